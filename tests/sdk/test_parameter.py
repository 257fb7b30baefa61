"""What a handler takes: names, defaults, checks, and what a caller is told of a mistake."""

from __future__ import annotations

import functools
import numbers
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import pytest

from plugin_host_sdk.errors import RegistrationError
from plugin_host_sdk.parameter import BadParameters, Signature

if TYPE_CHECKING:
    from collections.abc import Iterator

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class Range(msgspec.Struct):
    first: int
    last: int


def untyped(ctx, name, size=3):  # type: ignore[no-untyped-def]
    raise NotImplementedError


def typed(
    ctx: Any,
    sort: Literal["cpu", "memory"],
    limit: Limit = 20,
    *,
    ranges: dict[str, list[Range]] | None = None,
) -> Iterator[int]:
    raise NotImplementedError


class Group:
    limit: str  # of the object, not of its call

    def method(self, ctx: Any, limit: int = 1) -> None:
        raise NotImplementedError

    def __call__(self, ctx: Any, limit: int) -> None:
        raise NotImplementedError


def refusal(function: Callable[..., Any], params: dict[Any, Any], text: bool = False) -> BadParameters:
    with pytest.raises(BadParameters) as caught:
        Signature(function).bind(params, text)
    return caught.value


def passing(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def test_what_fits_is_bound_as_it_is() -> None:
    assert Signature(untyped).bind({"name": object}) == {"name": object}
    assert Signature(typed).bind({"sort": "cpu"}) == {"sort": "cpu"}  # the default stays the handler's
    bound = Signature(typed).bind({"sort": "cpu", "ranges": {"a": [{"first": 1, "last": 2}]}})
    assert bound["ranges"] == {"a": [Range(1, 2)]}


@pytest.mark.parametrize(
    ("params", "path", "message"),
    [
        ({}, "$.sort", """parameter 'sort' is missing; it takes "cpu" | "memory\""""),
        ({"sort": "CPU"}, "$.sort", """enum value 'CPU'; it takes "cpu" | "memory\""""),
        ({"sort": "x - at `$.limit`"}, "$.sort", """it takes "cpu" | "memory\""""),
        ({"sort": "cpu", "limit": 0}, "$.limit", "Expected `int` >= 1; it takes int (1 to 1000)"),
        ({"sort": "cpu", "limit": "5"}, "$.limit", "Expected `int`, got `str`; it takes int (1 to 1000)"),
        ({"sort": "cpu", "limit": None}, "$.limit", "got `null`"),
        ({"sort": "cpu", "limti": 1}, "$.limti", "did you mean 'limit'? (takes: sort, limit, ranges)"),
        (
            {"sort": "cpu", "ranges": {"a": [{"first": 1, "last": None}]}},
            "$.ranges[...][0].last",
            "parameter ranges[...][0].last: Expected `int`, got `null`; it takes dict[str, ",
        ),
        ({"sort": "cpu", "ranges": {1: []}}, "$.ranges", "Expected `str`, got `int`"),
        ({"sort": "cpu", 7: 1}, "$.7", "unknown parameter 7 (takes: "),
    ],
)
def test_a_mistake_is_named_with_its_place(params: dict[Any, Any], path: str, message: str) -> None:
    error = refusal(typed, params)
    assert error.path == path
    assert message in error.message


def test_a_mistake_in_untyped_parameters_is_named_too() -> None:
    assert refusal(untyped, {}).message == "parameter 'name' is missing"
    assert refusal(untyped, {"nam": 1}).path == "$.nam"


def test_the_answer_to_a_name_of_a_megabyte_is_short_and_quick() -> None:
    error = refusal(untyped, {"n" * 1_000_000: 1})
    assert len(error.message) < 300
    assert len(error.path) < 300


def loose(ctx: Any, first: int = 0, *rest: str, **others: list[int]) -> None:
    raise NotImplementedError


def test_other_names_are_held_against_their_type() -> None:
    assert Signature(loose).bind({"first": 1, "a": [1], "rest": [2]}) == {"first": 1, "a": [1], "rest": [2]}
    error = refusal(loose, {"a": [1], "b": [1, "x"]})
    assert (error.path, error.message) == (
        "$.b[1]",
        "parameter b[1]: Expected `int`, got `str`; it takes list[int]",
    )
    assert Signature(loose).bind({"a": ["7"]}, text=True) == {"a": [7]}
    assert len(refusal(loose, {"n" * 1_000_000: 1}).message) < 300


@pytest.mark.parametrize(
    "function", [loose, passing(loose), functools.partial(loose), lambda ctx, **others: None]
)
def test_the_name_of_the_context_is_no_other_name(function: Callable[..., Any]) -> None:
    assert refusal(function, {"ctx": 1}).path == "$.ctx"


def test_a_context_without_a_name_leaves_its_name_to_others() -> None:
    def handler(ctx, /, **others):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    assert Signature(handler).bind({"ctx": 1}) == {"ctx": 1}


def test_text_is_converted_only_when_it_may_be() -> None:
    assert Signature(typed).bind({"sort": "cpu", "limit": "7"}, text=True)["limit"] == 7
    assert refusal(typed, {"sort": "cpu", "limit": "seven"}, text=True).path == "$.limit"


@pytest.mark.parametrize(
    "function",
    [
        Group().method,
        Group(),
        functools.partial(Group().method),
        functools.partial(Group()),
        passing(Group().method),
        functools.partial(lambda ctx, limit: None, limit=1),
    ],
)
def test_every_kind_of_callable_shows_its_names(function: Callable[..., Any]) -> None:
    assert Signature(function).names == ["limit"]


@pytest.mark.parametrize(
    "function", [Group().method, Group(), functools.partial(Group().method), passing(Group().method)]
)
def test_every_kind_of_callable_has_its_types_checked(function: Callable[..., Any]) -> None:
    assert Signature(function).bind({"limit": 1}) == {"limit": 1}
    assert refusal(function, {"limit": "1"}).path == "$.limit"


def test_annotations_of_context_and_result_may_be_for_type_checkers_alone() -> None:
    def handler(ctx: NoSuchContext, limit: int) -> NoSuchResult:  # type: ignore[name-defined] # noqa: F821
        raise NotImplementedError

    assert Signature(handler).bind({"limit": 1}) == {"limit": 1}


def test_an_annotation_that_cannot_be_evaluated_is_the_authors_fault() -> None:
    def handler(ctx: Any, limit: NoSuchType) -> None:  # type: ignore[name-defined] # noqa: F821
        raise NotImplementedError

    signature = Signature(handler)
    for _ in range(2):
        with pytest.raises(RegistrationError, match=r"annotations cannot be used: NameError: .*NoSuchType"):
            signature.bind({"limit": 1})
    assert signature.describe() == [{"name": "limit", "type": "NoSuchType", "required": True}]


def test_a_type_that_msgspec_cannot_check_is_the_authors_fault() -> None:
    class Other(msgspec.Struct):
        a: int

    def handler(ctx: Any, one: Any) -> None:
        raise NotImplementedError

    handler.__annotations__["one"] = Other | Range  # nothing tells them apart
    with pytest.raises(RegistrationError, match="annotations cannot be used: TypeError"):
        Signature(handler).bind({"one": {"a": 1}})


def test_text_is_taken_for_a_path() -> None:
    def handler(ctx: Any, at: Path, to: PurePosixPath | None = None, **more: Path) -> None: ...

    signature = Signature(handler)
    bound = signature.bind({"at": "/tmp", "to": "a/b", "other": "c"})
    assert bound == {"at": Path("/tmp"), "to": PurePosixPath("a/b"), "other": Path("c")}
    assert signature.bind({"at": "/tmp", "to": None}) == {"at": Path("/tmp"), "to": None}
    with pytest.raises(BadParameters, match="parameter at: Expected `Path`, got `int`; it takes Path"):
        signature.bind({"at": 1})
    with pytest.raises(BadParameters, match=r"parameter other: Expected `Path`, got `list`"):
        signature.bind({"at": "/tmp", "other": []})


def test_a_type_of_which_no_value_travels_is_the_authors_fault() -> None:
    def handler(ctx: Any, one: threading.Thread) -> None: ...

    with pytest.raises(RegistrationError, match="no value that a call can have is a Thread"):
        Signature(handler).bind({"one": 1})


def test_a_type_that_is_more_than_one_of_those_that_travel_is_held_against_it() -> None:
    def handler(ctx: Any, one: numbers.Number, two: object = None) -> None: ...

    signature = Signature(handler)
    assert signature.bind({"one": 1.5, "two": [1]}) == {"one": 1.5, "two": [1]}
    with pytest.raises(BadParameters, match="parameter one: Expected `Number`, got `str`"):
        signature.bind({"one": "1"})


def test_the_description_says_types_and_plain_defaults() -> None:
    assert Signature(typed).describe() == [
        {"name": "sort", "type": '"cpu" | "memory"', "required": True},
        {"name": "limit", "type": "int (1 to 1000)", "required": False, "default": 20},
        {
            "name": "ranges",
            "type": "dict[str, list[{first: int, last: int}]] | None",
            "required": False,
            "default": None,
        },
    ]
    assert Signature(untyped).describe() == [
        {"name": "name", "type": "any", "required": True},
        {"name": "size", "type": "any", "required": False, "default": 3},
    ]


@pytest.mark.parametrize("value", ["", "text", 0, True, None, -(2**63) + 1, 1.5])
def test_a_plain_default_is_shown(value: object) -> None:
    def handler(ctx: Any, one: Any = value) -> None:
        raise NotImplementedError

    [described] = Signature(handler).describe()
    assert described["default"] is value


@pytest.mark.parametrize(
    "value", [object(), [], {}, "\udcff", "x" * 1000, 2**63, float("nan"), float("inf"), b""]
)
def test_a_default_that_is_not_plain_is_left_out(value: object) -> None:
    def handler(ctx: Any, one: Any = value) -> None:
        raise NotImplementedError

    [described] = Signature(handler).describe()
    assert described == {"name": "one", "type": "any", "required": False}


def test_reading_and_describing_untyped_handlers_loads_nothing() -> None:
    program = """
import sys
import threading
from plugin_host_sdk.parameter import Signature
def handler(ctx, name, size=3): ...
signature = Signature(handler)
signature.bind({"name": 1})
signature.describe()
print([name for name in ("typing", "msgspec", "inspect", "enum") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], capture_output=True, text=True, env=_path()
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def _path() -> dict[str, str]:
    """Where the SDK and msgpack are; `-S` keeps what .pth files load out of the count."""
    import msgpack

    import plugin_host_sdk

    folders = [module.__path__[0].rpartition("/")[0] for module in (plugin_host_sdk, msgpack)]
    return {"PYTHONPATH": ":".join(folders)}
