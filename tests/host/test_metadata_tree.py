"""The tree of metadata: what is where, which version it has, and what is not let in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host.errors import InvalidPayload, MetadataNotFound
from plugin_host.metadata.path import parse_path
from plugin_host.metadata.tree import MOST_BYTES, MOST_ENTRIES, MetadataTree

pytestmark = pytest.mark.edges


def tree(value: Any) -> MetadataTree:
    made = MetadataTree()
    made.set("/", value)
    return made


@pytest.mark.parametrize(("path", "names"), [("/", ()), ("/a", ("a",)), ("/a/b c/ü", ("a", "b c", "ü"))])
def test_path_is_its_names(path: str, names: tuple[str, ...]) -> None:
    assert parse_path(path) == names


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "/a/",
        "//",
        "/a//b",
        "/.",
        "/a/../b",
        "/a\n",
        "/\ud800",
        "/" + "x" * 256,
        "/a" * 33,
        None,
        7,
    ],
)
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(InvalidPayload):
        parse_path(path)


def test_map_is_a_folder_whose_parts_have_paths() -> None:
    found = tree({"task": {"env": {"HOME": "/root"}, "words": ["a", ["b"]]}})
    assert found.look("/task/env/HOME").value == "/root"
    assert found.look("/task").value == {"env": {"HOME": "/root"}, "words": ["a", ["b"]]}
    assert found.look("/task", recursive=False).value == ["env", "words"]
    assert not found.look("/task/none").exists
    assert not found.look("/task/words/0").exists


def test_folders_on_the_way_are_made() -> None:
    found = MetadataTree()
    found.set("/a/b/c", 1)
    assert found.look("/").value == {"a": {"b": {"c": 1}}}


def test_set_takes_the_place_of_all_that_was_there() -> None:
    found = tree({"a": {"b": 1, "c": 2}})
    found.set("/a", {"c": 2})
    assert found.look("/").value == {"a": {"c": 2}}


def test_change_gives_a_new_version_to_it_and_all_above_it_and_to_nothing_else() -> None:
    found = tree({"a": {"b": 1, "c": 2}, "d": 3})
    before = {path: found.version_of(path) for path in ("/", "/a", "/a/b", "/a/c", "/d")}
    version = found.set("/a/b", 9)
    after = {path: found.version_of(path) for path in before}
    assert after == before | {"/": version, "/a": version, "/a/b": version}


def test_parts_that_stay_the_same_keep_their_versions_when_their_folder_is_set() -> None:
    found = tree({"a": {"b": 1, "c": {"d": 2}}})
    kept = found.version_of("/a/c")
    found.set("/a", {"b": 5, "c": {"d": 2}})
    assert found.version_of("/a/c") == kept
    assert found.version_of("/a/b") > kept


@pytest.mark.parametrize("value", [1, "x", b"x", [1, [2]], {"b": {"c": None}}, {}])
def test_value_that_is_set_again_is_no_change(value: Any) -> None:
    found = MetadataTree()
    version = found.set("/a", value)
    assert found.set("/a", value) == version
    assert found.version_of("/") == version


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), ("1", b"1"), ([1], [True])])
def test_value_of_another_type_is_a_change(one: Any, other: Any) -> None:
    found = MetadataTree()
    assert found.set("/a", one) != found.set("/a", other)
    assert type(found.look("/a").value) is type(other)


def test_listing_changes_only_when_a_name_comes_or_goes() -> None:
    found = tree({"a": {"b": 1}})
    version = found.version_of("/a", recursive=False)
    found.set("/a/b", 2)
    assert found.version_of("/a", recursive=False) == version
    found.set("/a/c", 2)
    grown = found.version_of("/a", recursive=False)
    assert grown > version
    found.delete("/a/b")
    assert found.version_of("/a", recursive=False) > grown


def test_what_is_deleted_is_gone_and_comes_back_with_a_version_of_its_own() -> None:
    found = tree({"a": {"b": 1}})
    first = found.version_of("/a/b")
    found.delete("/a/b")
    assert (found.look("/a/b").exists, found.version_of("/a/b")) == (False, 0)
    assert found.look("/a").value == {}
    assert found.set("/a/b", 1) > first


def test_deleting_what_is_not_there_changes_nothing() -> None:
    found = tree({"a": 1})
    version = found.version_of("/")
    for path in ("/b", "/a/b"):
        with pytest.raises(MetadataNotFound):
            found.delete(path)
    with pytest.raises(InvalidPayload):
        found.delete("/")
    assert found.version_of("/") == version


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1: 2},
        {"": 1},
        {"a/b": 1},
        {"..": 1},
        2**64,
        -(2**63) - 1,
        float("nan"),
        "\ud800",
        [{}],
        {1},
    ],
)
def test_value_that_cannot_be_is_refused_as_a_whole(value: Any) -> None:
    found = tree({"a": 1})
    version = found.version_of("/")
    with pytest.raises(InvalidPayload):
        found.set("/a", value)
    with pytest.raises(InvalidPayload):
        found.set("/a", {"good": 1, "bad": value})
    assert (found.look("/").value, found.version_of("/")) == ({"a": 1}, version)


def test_root_is_a_map_and_a_value_has_nothing_below_it() -> None:
    found = tree({"a": 1})
    with pytest.raises(InvalidPayload, match="the root is a map"):
        found.set("/", 1)
    with pytest.raises(InvalidPayload, match="/a is a value"):
        found.set("/a/b/c", 1)


def test_depth_counts_from_the_root() -> None:
    deep: Any = {}
    for _ in range(31):
        deep = {"a": deep}
    MetadataTree().set("/", deep)
    with pytest.raises(InvalidPayload, match="deeper than 32"):
        MetadataTree().set("/b/c", deep)


def test_host_keeps_so_many_bytes_and_entries() -> None:
    found = MetadataTree()
    found.set("/a", b"x" * (MOST_BYTES // 2))
    with pytest.raises(InvalidPayload, match="bytes"):
        found.set("/b", b"x" * (MOST_BYTES // 2))
    found.set("/a", b"x" * (MOST_BYTES - 1000))  # in place of what was there
    with pytest.raises(InvalidPayload, match="entries"):
        MetadataTree().set("/", {str(n): n for n in range(MOST_ENTRIES)})


def test_names_count_in_bytes() -> None:
    names = {"\U0001f600" * 250 + str(n): n for n in range(MOST_BYTES // 1000)}
    with pytest.raises(InvalidPayload, match="bytes"):
        MetadataTree().set("/a", names)


def test_folders_that_are_made_on_the_way_count() -> None:
    found = tree({str(n): n for n in range(MOST_ENTRIES - 3)})
    with pytest.raises(InvalidPayload, match=f"in {MOST_ENTRIES + 1} entries"):
        found.set("/a/b/c", 1)
    found.set("/a/b", 1)
    assert repr(found).endswith(f"entries={MOST_ENTRIES}>")
    with pytest.raises(InvalidPayload, match="entries"):
        found.set("/c", 1)


def test_names_on_the_way_count() -> None:
    found = tree({"a": b"x" * (MOST_BYTES - 500)})
    with pytest.raises(InvalidPayload, match="bytes"):
        found.set("/" + "/".join(["n" * 250] * 2), 1)
    found.set("/a", b"x" * (MOST_BYTES - 1000))
    found.set("/" + "/".join(["n" * 250] * 2), 1)


def test_what_does_not_grow_is_let_in_though_there_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    found = tree({"a": b"x" * 1000, "b": 1, "c": [1, 2]})
    monkeypatch.setattr("plugin_host.metadata.tree.MOST_BYTES", 500)
    monkeypatch.setattr("plugin_host.metadata.tree.MOST_ENTRIES", 3)
    found.set("/b", 2)
    found.set("/c", [1])
    found.set("/a", b"x" * 900)
    for path, value in (("/d", 1), ("/a", b"x" * 901), ("/c", [1, 2])):
        with pytest.raises(InvalidPayload):
            found.set(path, value)


def test_room_is_given_back() -> None:
    found = MetadataTree()
    for _ in range(3):
        found.set("/a/b", b"x" * (MOST_BYTES - 1000))
        found.delete("/a/b")
        found.set("/", {"a": {"c": b"x" * (MOST_BYTES - 1000)}})
        found.set("/a/c", 1)
    assert repr(found).endswith("entries=3>")


def test_nobody_changes_a_value_behind_the_trees_back() -> None:
    given_list: list[Any] = [1, [2]]
    found = tree({"a": given_list})
    given_list[1].append(3)
    found.look("/a").value.append(4)
    found.look("/").value["b"] = 5
    assert found.look("/").value == {"a": [1, [2]]}


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))


@given(st.lists(st.tuples(paths, values), max_size=8))
def test_version_moves_exactly_when_the_value_does(steps: list[tuple[str, Any]]) -> None:
    found = MetadataTree()
    watched = ["/", "/a", "/a/b", "/b/c/a"]
    for path, value in steps:
        before = {one: found.look(one) for one in watched}
        try:
            found.set(path, value)
        except InvalidPayload:
            pass
        for one in watched:
            now = found.look(one)
            assert (now.version != before[one].version) == (
                repr(_sorted(now.value)) != repr(_sorted(before[one].value))
                or now.exists != before[one].exists
            )


def _sorted(value: Any) -> Any:
    return {name: _sorted(value[name]) for name in sorted(value)} if isinstance(value, dict) else value
