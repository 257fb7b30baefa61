"""The command line of a sandbox: what it shows, what can be written, and in which order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host.sandbox import HIDDEN, SYSTEM, View, command

pytestmark = pytest.mark.edges


def words(**view: object) -> list[str]:
    made = command("/usr/bin/bwrap", View(**view))  # type: ignore[arg-type]
    assert made[0] == "/usr/bin/bwrap"
    assert made[-1] == "--"
    return made


def binds(made: list[str]) -> list[tuple[str, ...]]:
    return [tuple(made[n : n + 3]) for n, word in enumerate(made) if word in ("--bind", "--ro-bind")]


def test_everything_is_apart_and_no_capability_is_kept() -> None:
    made = words()
    assert "--unshare-all" in made
    assert made[made.index("--cap-drop") + 1] == "ALL"
    assert "--share-net" not in made
    assert "--die-with-parent" not in made


def test_network_is_shared_when_it_is_granted() -> None:
    assert "--share-net" in words(network=True)


def test_whole_file_system_comes_first_and_is_read_only() -> None:
    made = words()
    assert binds(made) == [("--ro-bind", "/", "/")]
    covers = [made[n + 1] for n, word in enumerate(made) if word == "--tmpfs"]
    assert tuple(covers) == HIDDEN
    assert made.index("--ro-bind") < made.index("--tmpfs") < made.index("--dev") < made.index("--proc")


def test_named_folders_take_the_place_of_the_whole() -> None:
    made = words(readable=("/srv",), needed=(("/opt/py", "/opt/py"),))
    assert ("--ro-bind", "/", "/") not in binds(made)
    assert binds(made) == [("--ro-bind", "/opt/py", "/opt/py"), ("--ro-bind", "/srv", "/srv")]
    tried = [made[n + 1] for n, word in enumerate(made) if word == "--ro-bind-try"]
    assert tuple(tried) == SYSTEM
    assert made[made.index("--remount-ro") + 1] == "/"
    assert made.index("--remount-ro") > made.index("/srv")


def test_names_of_hosts_can_be_looked_up_with_the_network_only() -> None:
    assert "/etc/resolv.conf" in words(readable=("/srv",), network=True)
    assert "/etc/resolv.conf" not in words(readable=("/srv",))


def test_what_is_inside_has_its_own_word() -> None:
    made = words(
        needed=(("/srv/plugins/a", "/srv/plugins/a"),), writable=("/srv", "/srv/plugins/a/data", "/tmp")
    )
    assert binds(made)[1:] == [
        ("--bind", "/srv", "/srv"),
        ("--ro-bind", "/srv/plugins/a", "/srv/plugins/a"),
        ("--bind", "/srv/plugins/a/data", "/srv/plugins/a/data"),
        ("--bind", "/tmp", "/tmp"),
    ]
    assert made.index("/tmp") < made.index("--bind")  # the operator's word comes after the empty folder


def test_root_that_is_listed_covers_nothing_of_its_own() -> None:
    for view, bind in (({"writable": ("/",)}, "--bind"), ({"readable": ("/",)}, "--ro-bind")):
        made = words(**view)
        assert binds(made) == [(bind, "/", "/")]
        assert made.index(bind) < made.index("--tmpfs") < made.index("--dev")
        assert "--remount-ro" not in made
    made = words(writable=("/",), readable=("/srv",))
    assert binds(made) == [("--bind", "/", "/"), ("--ro-bind", "/srv", "/srv")]


def test_writable_wins_over_readable_at_the_same_place() -> None:
    made = words(readable=("/srv/",), writable=("/srv",), needed=(("/srv", "/srv"),))
    assert binds(made) == [("--bind", "/srv", "/srv")]


def test_plugin_starts_in_its_folder_or_at_the_top() -> None:
    assert words(cwd="/srv/a")[-3:] == ["--chdir", "/srv/a", "--"]
    assert words()[-3:] == ["--chdir", "/", "--"]


paths = st.lists(st.sampled_from(["a", "b", "a b", "ab"]), min_size=1, max_size=4).map(
    lambda names: "/" + "/".join(names)
)


@given(st.lists(paths), st.lists(paths), st.lists(paths))
def test_no_folder_is_covered_by_one_above_it(
    needed: list[str], readable: list[str], writable: list[str]
) -> None:
    made = binds(
        words(
            needed=tuple((path, path) for path in needed),
            readable=tuple(readable),
            writable=tuple(writable),
        )
    )
    for n, (_, _, inner) in enumerate(made):
        assert all(not f"{outer}".startswith(f"{inner}/") for _, _, outer in made[:n])
    assert {path for kind, _, path in made if kind == "--bind"} == set(writable)
