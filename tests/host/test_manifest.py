"""What a manifest may hold, and how a refused one is explained."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plugin_host import manifest
from plugin_host.candidate import interpreter_of
from plugin_host.errors import ManifestError
from plugin_host.manifest import Health, Launch, Limits, Manifest, Restart

pytestmark = pytest.mark.edges

SMALL: dict[str, Any] = {"id": "demo", "version": "1.0", "launch": {"entry_point": "demo:plugin"}}


def decoded(**changes: Any) -> Manifest:
    return manifest.decode(json.dumps({**SMALL, **changes}).encode(), file="F")


def refusal(document: Any) -> ManifestError:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(ManifestError) as caught:
        manifest.decode(data, file="F")
    assert caught.value.file == "F"
    assert str(caught.value).startswith("F: ")
    return caught.value


def test_three_keys_are_enough_and_the_rest_has_the_documented_defaults() -> None:
    found = decoded()
    assert found == Manifest(id="demo", version="1.0", launch=Launch(entry_point="demo:plugin"))
    assert (found.protocol, found.activation, found.idle_stop_s) == ("plugin-host", "eager", 300)
    assert (found.capabilities, found.permissions, found.checksum) == (None, (), None)
    assert found.restart == Restart(
        policy="on-failure",
        max_failures=5,
        window_s=180,
        backoff_initial_s=0.5,
        backoff_max_s=30,
    )
    assert found.health == Health(interval_s=10, timeout_s=3, misses=3, action="restart")
    assert found.limits == Limits()
    launch = found.launch
    assert (launch.start_timeout_s, launch.stop_timeout_s, launch.warm) == (10, 5, True)


def test_every_documented_key_is_read() -> None:
    found = decoded(
        launch={
            "entry_point": "demo.deep:plugin.inner",
            "venv": ".venv",
            "cwd": "work",
            "env": {"A": "", "B_b": "x=y"},
            "inherit_env": ["LANG"],
            "start_timeout_s": 60,
            "stop_timeout_s": 0.5,
            "warm": False,
        },
        name="Demo",
        description="two\nlines",
        authors=["Ärger <a@example.org>"],
        license="MIT",
        homepage="https://example.org",
        manifest_version=1,
        protocol="plugin-host",
        capabilities=["command", "exec"],
        permissions=["host.echo", "metadata.read:/task"],
        activation="lazy",
        idle_stop_s=1,
        checksum="sha256:" + "0a" * 32,
        restart={"policy": "never"},
        health={"misses": 1},
        limits={
            "memory_bytes": 1,
            "cpu_s": 60,
            "open_files": 256,
            "processes": 64,
            "address_space_bytes": 2,
        },
        settings_schema={"type": "object", "properties": {}},
    )
    assert found.launch.env == {"A": "", "B_b": "x=y"}
    assert found.permissions == ("host.echo", "metadata.read:/task")
    assert found.limits.cpu_s == 60
    assert found.restart.max_failures == 5


def test_a_raw_peer_is_launched_by_argv() -> None:
    found = decoded(protocol="msgpack-rpc", launch={"argv": ["nvim", "--embed", ""]})
    assert found.launch.argv == ("nvim", "--embed", "")


def test_an_editor_may_be_told_where_the_schema_is() -> None:
    found = manifest.decode(json.dumps({"$schema": "s.json", **SMALL}).encode(), file="F")
    assert found.id == "demo"


@pytest.mark.parametrize("text", ["a", "demo", "a-b_c9", "a" * 64])
def test_ids_that_are_allowed(text: str) -> None:
    assert decoded(id=text).id == text


@pytest.mark.parametrize(
    "text",
    ["", "A", "9a", "_a", "-a", "a" * 65, "a b", "a.b", "a/b", "../a", "é", "a\n", "a\x00", "aé", "٣"],
)
def test_ids_that_are_refused(text: str) -> None:
    error = refusal({**SMALL, "id": text})
    assert error.path == "$.id"
    assert "expected an id" in str(error)
    assert str(error).isprintable()


def test_a_refusal_names_file_path_expected_and_found() -> None:
    error = refusal({**SMALL, "launch": {"argv": ["sh", 3]}})
    assert str(error) == "F: $.launch.argv[1]: expected text without NUL characters, found 3"
    assert error.path == "$.launch.argv[1]"


@pytest.mark.parametrize(
    ("change", "path", "expected", "found"),
    [
        ({"version": ""}, "$.version", "a version", '""'),
        ({"version": "1 0"}, "$.version", "a version", '"1 0"'),
        ({"version": 1.0}, "$.version", "a version", "1.0"),
        ({"version": None}, "$.version", "a version", "null"),
        ({"launch": "demo:plugin"}, "$.launch", "a map", '"demo:plugin"'),
        ({"launch": {}}, "$.launch", "exactly one of entry_point and argv", "neither"),
        (
            {"launch": {"entry_point": "a:b", "argv": ["a"]}},
            "$.launch",
            "exactly one of entry_point and argv",
            "both",
        ),
        (
            {"launch": {"entry_point": "a:b", "interpreter": "/p", "venv": "v"}},
            "$.launch",
            "at most one of interpreter and venv",
            "both",
        ),
        ({"launch": {"argv": ["a"], "venv": "v"}}, "$.launch", "venv beside entry_point", "argv"),
        ({"launch": {"argv": []}}, "$.launch.argv", "a list of texts", "an empty list"),
        ({"launch": {"argv": "ls -l"}}, "$.launch.argv", "a list of texts", '"ls -l"'),
        ({"launch": {"argv": [""]}}, "$.launch", "the program's name", "empty text"),
        ({"launch": {"argv": ["a\0b"]}}, "$.launch.argv[0]", "without NUL", '"a\\u0000b"'),
        (
            {"launch": {"argv": ["a"], "env": {"A": "x", "B": "\0"}}},
            "$.launch.env.B",
            "without NUL",
            "text that is not shown",
        ),
        (
            {"launch": {"argv": ["a"], "env": {"odd key": 3}}},
            '$.launch.env["odd key"]',
            "text",
            "a whole number",
        ),
        (
            {"launch": {"argv": ["a"], "env": {"A": "x", "B=C": "y"}}},
            "$.launch.env",
            "a variable's name",
            '"B=C"',
        ),
        ({"launch": {"argv": ["a"], "env": {"": "y"}}}, "$.launch.env", "a variable's name", '""'),
        (
            {"launch": {"argv": ["a"], "start_timeout_s": -1}},
            "$.launch.start_timeout_s",
            "seconds above 0",
            "-1",
        ),
        (
            {"launch": {"argv": ["a"], "stop_timeout_s": 0}},
            "$.launch.stop_timeout_s",
            "seconds above 0",
            "0",
        ),
        ({"launch": {"argv": ["a"], "warm": 1}}, "$.launch.warm", "true or false", "1"),
        ({"launch": {"entry_point": "demo.py"}}, "$.launch.entry_point", "an entry point", "demo.py"),
        ({"launch": {"entry_point": "a:b\n"}}, "$.launch.entry_point", "an entry point", '"a:b\\n"'),
        ({"launch": {"entry_point": "a-b:c"}}, "$.launch.entry_point", "an entry point", '"a-b:c"'),
        ({"idle_stop_s": True}, "$.idle_stop_s", "seconds above 0", "true"),
        ({"authors": "me"}, "$.authors", "a list", '"me"'),
        ({"name": "\x1b[31mred"}, "$.name", "no control characters", '"\\u001b[31mred"'),
        ({"description": "\x07"}, "$.description", "without control characters", '"\\u0007"'),
        ({"protocol": "json-rpc"}, "$.protocol", '"msgpack-rpc", "plugin-host"', '"json-rpc"'),
        ({"protocol": "msgpack-rpc"}, "$", "launch.argv", "launch.entry_point"),
        ({"activation": "Lazy"}, "$.activation", '"eager", "lazy"', '"Lazy"'),
        ({"capabilities": "command"}, "$.capabilities", "a list", '"command"'),
        ({"permissions": ["host.a", "b c"]}, "$.permissions[1]", "a permission", '"b c"'),
        ({"checksum": "md5:0"}, "$.checksum", "sha256:", '"md5:0"'),
        ({"restart": {"policy": "no"}}, "$.restart.policy", '"on-failure"', '"no"'),
        ({"restart": {"max_failures": 0}}, "$.restart.max_failures", "above 0", "0"),
        ({"restart": {"max_failures": 1.5}}, "$.restart.max_failures", "a whole number", "1.5"),
        ({"health": {"action": "kill"}}, "$.health.action", "report", '"kill"'),
        ({"health": {"misses": 10**30}}, "$.health.misses", "63 bits", "1000"),
        ({"limits": {"memory_bytes": "1G"}}, "$.limits.memory_bytes", "a whole number", '"1G"'),
        ({"limits": {"open_files": 15}}, "$.limits.open_files", "at least 16", "15"),
        ({"limits": []}, "$.limits", "a map", "an empty list"),
        ({"settings_schema": [1]}, "$.settings_schema", "a map", "a list of 1"),
        ({"manifest_version": "1"}, "$.manifest_version", "a whole number", '"1"'),
        ({"manifest_version": 0}, "$.manifest_version", "expected 1", "0"),
    ],
)
def test_a_wrong_value_is_explained(change: dict[str, Any], path: str, expected: str, found: str) -> None:
    error = refusal({**SMALL, **change})
    assert error.path == path
    said, _, seen = str(error).removeprefix(f"F: {path}: ").rpartition("found ")
    assert expected in said
    assert found in seen


def test_an_infinite_number_is_refused_where_it_stands() -> None:
    data = b'{"id":"a","version":"1","launch":{"argv":["a"]},"limits":{"cpu_s":1e999}}'
    assert refusal(data).path == "$.limits.cpu_s"


def test_a_missing_key_says_what_it_would_have_to_be() -> None:
    error = refusal({"id": "demo", "version": "1"})
    assert error.path == "$.launch"
    assert str(error) == "F: $.launch: missing: expected a map, found no such key"


def test_an_unknown_key_is_told_what_it_resembles() -> None:
    error = refusal({**SMALL, "permisions": []})
    assert error.path == "$.permisions"
    assert "did you mean `permissions`?" in str(error)
    deep = refusal({**SMALL, "restart": {"polcy": "never"}})
    assert deep.path == "$.restart.polcy"
    assert "did you mean `policy`?" in str(deep)


def test_a_later_version_is_named_before_its_unknown_keys_are() -> None:
    error = refusal({"manifest_version": 2, "plugin": {}})
    assert error.path == "$.manifest_version"
    assert "the version this host reads, found 2" in str(error)


def test_a_long_value_is_cut() -> None:
    message = str(refusal({**SMALL, "id": "x" * 100_000}))
    assert len(message) < 250
    assert message.endswith("…")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{\n  "id": "a",\n  oops\n}', 'found "o" at line 3, column 3'),
        (b'{"id": "a",}', "at line 1, column 1"),
        (b'{"id": "a"', "found the end of the file at line 1, column 11"),
        (b"nope", 'found "n" at line 1, column 1'),
        (b'{"a": tru}', "line 1, column 7"),
        (b'{"a": "open', 'found "\\"" at line 1, column 7'),
        (b'{"n": ' + b"1" * 5000 + b"} x", "line 1, column 5009"),
        (b'{"n": ' + b"1" * 5000 + b"}", "line 1, column 7: Integer value out of range"),
        ('{"ä": "ö" x}'.encode(), "line 1, column 11"),
        (b"{'id': 1}", "line 1, column 2"),
        (b'{"id": NaN}', "line 1, column 8"),
        (b"{} {}", "line 1, column 4"),
        (b'{"\\ud83d\\ude00": "\\ud800"}', "line 1, column 19: half of a surrogate pair"),
        (b'{"\\ud83d\\ude00": "\\udc00"}', "line 1, column 25: invalid utf-16 surrogate pair"),
    ],
)
def test_what_is_not_json_is_shown_with_line_and_column(data: bytes, words: str) -> None:
    error = refusal(data)
    assert "expected JSON" in str(error)
    assert words in str(error)


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b'{"id": "a", "id": "b"}', '"id"'),
        (b'{"launch": {"argv" : ["x"], "\\u0061rgv"\n: ["y"]}}', '"argv"'),
        (b'{"launch": [{"a": 1}, {"b": {"c": ":", "c": "\\":"}}]}', '"c"'),
    ],
)
def test_key_that_is_there_twice_is_named(data: bytes, key: str) -> None:
    error = refusal(data)
    assert f"expected each key of an object once, found {key} twice" in str(error)
    assert error.file


def test_text_that_looks_like_a_key_is_none() -> None:
    data = b'{"id": "a", "version": "1", "description": "a \\"id\\": b", "launch": {"argv": ["x", "\\":"]}}'
    assert manifest.decode(data, file="a test").id == "a"


@pytest.mark.parametrize("data", [b"", b" \n\t"])
def test_an_empty_file_is_called_empty(data: bytes) -> None:
    assert "found an empty file" in str(refusal(data))


@pytest.mark.parametrize("document", [[], "x", 3, None, True])
def test_json_that_is_no_object_is_refused(document: Any) -> None:
    assert "$: expected a map" in str(refusal(document))


def test_deep_nesting_is_refused_and_not_a_crash() -> None:
    assert "nested too deeply" in str(refusal(b"[" * 200_000))


def test_a_file_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / manifest.MANIFEST_NAME
    file.write_text(json.dumps(SMALL))
    assert manifest.load(file).id == "demo"


def test_a_refused_file_is_named_in_full(tmp_path: Path) -> None:
    file = tmp_path / manifest.MANIFEST_NAME
    file.write_text(json.dumps({**SMALL, "id": "A"}))
    with pytest.raises(ManifestError) as caught:
        manifest.load(file)
    assert caught.value.file == str(file)
    assert str(caught.value).startswith(f"{file}: $.id: expected")


def test_a_relative_interpreter_is_joined_and_never_resolved(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "venv").symlink_to(real)

    def found(**launch: Any) -> str | None:
        changed = decoded(launch={"entry_point": "a:b", **launch})
        return interpreter_of(changed, tmp_path)

    assert found() is None
    assert found(interpreter="venv/bin/python3") == f"{tmp_path}/venv/bin/python3"
    assert found(venv="venv") == f"{tmp_path}/venv/bin/python"
    assert found(venv="../venv") == f"{tmp_path}/../venv/bin/python"
    assert found(venv="/opt/v") == "/opt/v/bin/python"
    assert found(interpreter="/usr/bin/python3") == "/usr/bin/python3"


def test_a_relative_interpreter_needs_a_folder() -> None:
    changed = decoded(launch={"entry_point": "a:b", "venv": "v"})
    with pytest.raises(ManifestError, match=r"\$\.launch\.venv: expected an absolute path"):
        interpreter_of(changed, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(sorted(Manifest.__struct_encode_fields__))
INNER = st.sampled_from(
    sorted({*Launch.__struct_fields__, *Restart.__struct_fields__, *Limits.__struct_fields__})
)


@example({"restart": {"\n": None}})
@given(st.dictionaries(KEYS, JSON | st.dictionaries(INNER, JSON, max_size=3), max_size=6))
def test_any_document_is_a_manifest_or_an_explained_refusal(changes: dict[str, Any]) -> None:
    error = None
    try:
        found = manifest.convert({**SMALL, **changes}, file="F")
    except ManifestError as caught:
        error = caught
    if error is None:
        assert re.fullmatch("[a-z][a-z0-9_-]{0,63}", found.id)
        return
    assert error.file == "F"
    assert error.path is not None
    assert str(error).startswith(f"F: {error.path}: ")
    assert str(error).isprintable()
    assert len(str(error)) < 700


@given(
    st.binary(max_size=64)
    | st.text(alphabet='{}[]":,0e-\\u d\ud800', max_size=24).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    )
)
def test_any_bytes_are_an_explained_refusal(data: bytes) -> None:
    with pytest.raises(ManifestError) as caught:
        manifest.decode(data, file="F")
    assert str(caught.value).isprintable()


def imported_by(module: str) -> set[str]:
    """What the module's source names in its own imports, wherever in it they stand."""
    source = Path(manifest.__file__).with_name(f"{module}.py").read_text()
    nodes = list(ast.walk(ast.parse(source)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def test_metadata_are_read_by_discovery_alone_and_toml_in_one_place() -> None:
    package = Path(manifest.__file__).parent
    users: dict[str, set[str]] = {"importlib": set(), "tomllib": set()}
    for file in package.glob("*.py"):
        for name in imported_by(file.stem):
            users.get(name.partition(".")[0], set()).add(file.stem)
    assert users["importlib"] == {"distribution", "entry_point", "installed", "shelf"}
    assert users["tomllib"] == {"configuration"}


def test_a_manifest_is_decoded_with_msgspec_and_small_modules_only() -> None:
    names = set().union(*map(imported_by, ("manifest", "constraint", "document", "wording")))
    small = {"__future__", "collections.abc", "difflib", "json", "os", "re", "stat", "typing"}
    ours = {"", "constraint", "errors", "explanation", "wording"}
    assert names - small - ours == {"msgspec", "plugin_host_sdk.types.discretion"}
