"""Host extensions: whatever one does, the host and the other extensions go on."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from plugin_host.candidate import Candidate
from plugin_host.configuration import Configuration
from plugin_host.extension import Extensions
from plugin_host.hookspecs import hookimpl
from plugin_host.manifest import Launch, Manifest

DEMO = Candidate(
    id="demo",
    source="",
    manifest=Manifest(id="demo", version="1", launch=Launch(entry_point="demo:plugin")),
)


class Finder:
    """Finds one plugin and remembers the moves it was told of."""

    def __init__(self, *found: Candidate) -> None:
        self.found = list(found)
        self.moves: list[tuple[str, str, str]] = []

    @hookimpl
    def plugin_host_discover(self, configuration: Configuration) -> list[Candidate]:
        assert isinstance(configuration, Configuration)
        return self.found

    @hookimpl
    def plugin_host_state_changed(self, plugin: str, old: str, new: str) -> None:
        self.moves.append((plugin, old, new))


class Failing:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    @hookimpl
    def plugin_host_discover(self) -> None:
        raise self.error

    @hookimpl
    def plugin_host_state_changed(self) -> None:
        raise self.error


class Answering:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    @hookimpl
    def plugin_host_discover(self) -> Any:
        return self.answer


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, the only one there is; what is imported from it is forgotten."""
    folder = tmp_path / "site"
    folder.mkdir()
    rest = [path for path in sys.path if "site-packages" not in path]
    monkeypatch.setattr(sys, "path", [str(folder), *rest])
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return folder


def install(site: Path, name: str, code: str) -> None:
    about = site / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[plugin_host]\n{name} = {name}_module\n")
    (site / f"{name}_module.py").write_text(code)


SILENT = "from plugin_host.hookspecs import hookimpl\n"


def test_installed_extensions_are_loaded_each_in_a_guard_of_its_own(
    site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(site, "exits", "raise SystemExit(3)")
    install(site, "fine", SILENT + "@hookimpl\ndef plugin_host_discover(): return []\n")
    install(site, "raises", "1 / 0")
    install(site, "typo", "import nowhere_at_all")
    extensions = Extensions()
    extensions.load()
    assert extensions.names == ["fine"]
    assert set(extensions.problems) == {"exits", "raises", "typo"}
    assert extensions.problems["raises"] == "could not be loaded: ZeroDivisionError: division by zero"
    assert "extension typo: could not be loaded: ModuleNotFoundError" in caplog.text
    assert extensions.discover(Configuration()) == [("fine", [])]


def test_a_blocked_extension_is_not_even_imported(site: Path) -> None:
    install(site, "bad", f"open({str(site / 'proof')!r}, 'w').close()")
    extensions = Extensions(block=["bad"])
    extensions.load()
    assert (extensions.names, extensions.blocked, extensions.problems) == ([], {"bad"}, {})
    assert not (site / "proof").exists()
    assert not extensions.register(Finder(DEMO), "bad")
    assert extensions.discover(Configuration()) == []


def test_what_an_extension_finds_comes_with_its_name() -> None:
    extensions = Extensions()
    assert extensions.register(Finder(DEMO), "first")
    assert extensions.register(Finder(), "second")
    assert extensions.discover(Configuration()) == [("second", []), ("first", [DEMO])]


def test_moves_are_told_to_all() -> None:
    extensions, one, two = Extensions(), Finder(), Finder()
    extensions.register(one, "one")
    extensions.register(two, "two")
    extensions.state_changed("demo", "STARTING", "READY")
    assert one.moves == two.moves == [("demo", "STARTING", "READY")]


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(1), RecursionError("deep")])
def test_one_that_raises_is_named_and_the_rest_still_run(
    caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    extensions, before, after = Extensions(), Finder(DEMO), Finder()
    extensions.register(before, "before")
    extensions.register(Failing(error), "failing")
    extensions.register(after, "after")
    assert extensions.discover(Configuration()) == [("after", []), ("before", [DEMO])]
    extensions.state_changed("demo", "a", "b")
    assert before.moves == after.moves == [("demo", "a", "b")]
    named = [record.getMessage() for record in caplog.records]
    assert named == [
        f"extension failing: plugin_host_discover: {type(error).__name__}: {error}",
        f"extension failing: plugin_host_state_changed: {type(error).__name__}: {error}",
    ]
    assert all(record.exc_info for record in caplog.records)


def test_an_interrupt_is_the_users_and_passes() -> None:
    extensions = Extensions()
    extensions.register(Failing(KeyboardInterrupt()), "failing")
    with pytest.raises(KeyboardInterrupt):
        extensions.discover(Configuration())


def test_a_slow_one_is_named_and_a_quick_one_is_not(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        @hookimpl
        def plugin_host_state_changed(self, plugin: str) -> None:
            end = time.perf_counter() + 0.06
            while time.perf_counter() < end:
                pass

    extensions = Extensions()
    extensions.register(Slow(), "slow")
    extensions.register(Finder(), "quick")
    with caplog.at_level(logging.WARNING):
        extensions.state_changed("demo", "a", "b")
    (record,) = [record for record in caplog.records if "slow" in record.getMessage()]
    assert record.getMessage().startswith("extension slow: plugin_host_state_changed took ")


@pytest.mark.parametrize("answer", [DEMO, "demo", [DEMO, 3], {"demo": DEMO}, 3, iter([DEMO])])
def test_an_answer_of_another_shape_is_logged_and_dropped(
    caplog: pytest.LogCaptureFixture, answer: Any
) -> None:
    extensions = Extensions()
    extensions.register(Answering(answer), "odd")
    assert extensions.discover(Configuration()) == []
    assert "extension odd: plugin_host_discover: expected a list of Candidate" in caplog.text


def test_no_answer_is_nothing_found(caplog: pytest.LogCaptureFixture) -> None:
    extensions = Extensions()
    extensions.register(Answering(None), "quiet")
    assert extensions.discover(Configuration()) == []
    assert caplog.text == ""


def test_an_async_hook_is_refused_and_leaves_no_coroutine(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Async:
        @hookimpl
        async def plugin_host_discover(self) -> list[Candidate]:
            return []

    extensions = Extensions()
    extensions.register(Async(), "modern")
    assert extensions.discover(Configuration()) == []
    assert "extension modern: plugin_host_discover must not be async" in caplog.text


def test_a_hook_nobody_calls_is_refused_with_what_it_resembles() -> None:
    class Typo:
        @hookimpl
        def plugin_host_discovr(self) -> None: ...

    extensions = Extensions()
    assert not extensions.register(Typo(), "typo")
    reason = extensions.problems["typo"]
    assert reason == "plugin_host_discovr: no such hook (did you mean `plugin_host_discover`?)"
    assert extensions.names == []


def test_a_hook_for_another_version_may_say_so() -> None:
    class Later:
        @hookimpl(optionalhook=True)
        def plugin_host_later(self) -> None: ...

    assert Extensions().register(Later(), "later")


def test_an_argument_nobody_gives_is_refused() -> None:
    class Asking:
        @hookimpl
        def plugin_host_discover(self, weather: str) -> None: ...

    extensions = Extensions()
    assert not extensions.register(Asking(), "asking")
    assert "weather" in extensions.problems["asking"]
    assert extensions.discover(Configuration()) == []


def test_a_wrapper_is_refused_because_it_would_span_the_guards() -> None:
    class Wrapper:
        @hookimpl(wrapper=True)
        def plugin_host_discover(self) -> Any:
            return (yield)

    extensions = Extensions()
    assert not extensions.register(Wrapper(), "wrapper")
    assert "wrappers are not supported" in extensions.problems["wrapper"]
    assert extensions.discover(Configuration()) == []


def test_a_second_one_of_the_same_name_is_refused_and_the_first_stays() -> None:
    extensions = Extensions()
    assert extensions.register(Finder(DEMO), "same")
    assert not extensions.register(Finder(), "same")
    assert extensions.problems == {"same": "another extension of this name is loaded"}
    assert extensions.discover(Configuration()) == [("same", [DEMO])]


def test_an_object_that_is_no_extension_does_no_harm() -> None:
    class Hostile:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("no")

        def __bool__(self) -> bool:
            raise RuntimeError("no")

    extensions = Extensions()
    for index, thing in enumerate((Hostile(), Hostile(), 3, None, SimpleNamespace())):
        extensions.register(thing, f"thing-{index}")
    extensions.register(Finder(DEMO), "fine")
    assert extensions.discover(Configuration()) == [("fine", [DEMO])]
