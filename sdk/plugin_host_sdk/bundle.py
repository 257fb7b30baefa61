"""Many calls of one command that came in one request: run in their order, answered together.

That is for handlers which have proved quick. Invariant: of the calls that came, the first few are run, each
once, and each of these has its place in the answer, with what it would have been answered alone; only where
that and what stands before it are too much for one message, it fails. The others, all of them if need be,
are left to whoever asked, as if they had not come. So one that turns out slow, or large, holds up nobody,
and what a later one does to a value changes nothing of an earlier one.
"""

from __future__ import annotations

from time import perf_counter

from .errors import CallFailed, CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from .endpoint import Endpoint
    from .errors import CallError

    # What a value is now, and how many bytes it takes; raises CallFailed for what cannot travel.
    Snapshot = Callable[[Any], tuple[Any, int]]

    class Single(Protocol):
        """The handler, as it serves one call."""

        name: str
        function: Callable[..., Any]
        endpoint: Endpoint
        plain: frozenset[str] | None

        @staticmethod
        def own_status(error: CommandError, /) -> dict[str, Any]: ...
        def no_map(self, params: Any, /) -> CallError: ...
        def bind(self, params: dict[str, Any], /) -> dict[str, Any]: ...
        def failure(self, ctx: Any, error: BaseException, /) -> CallError: ...


__all__ = ["run_bundle"]

# After one run over the first no more are begun: a reading thread is held little longer than the second.
_SLOW_S = 0.002
_LONGEST_S = 0.004
_MOST_BYTES = 256 * 1024
_SMALL = 9  # what a number takes at most
_SHORT = 64 * 1024
_INTEGERS = range(-(2**63), 2**64)


def run_bundle(handler: Single, ctx: Any, many: list[Any], snapshot: Snapshot) -> dict[str, Any]:
    """`{"results": [...], "failures": [[index, how], ...]}` of the first of `many`.

    `how` is the status of a `CommandError` or an error as it travels; the result beside it is None.
    """
    results: list[Any] = []
    failures: list[Any] = []
    function, plain, given_up, size = handler.function, handler.plain, ctx.cancelled, 0
    begun = last = perf_counter()
    for index, params in enumerate(many if handler.endpoint.quick else ()):
        result = how = None
        try:
            if type(params) is not dict or params.keys() != plain:
                params = _keywords(handler, params)
            try:
                result = function(ctx, **params)
            except CommandError as error:
                how, weight = snapshot(handler.own_status(error))
            except BaseException as error:
                how, weight = _travelling(handler.failure(ctx, error), snapshot)
            else:
                result, weight = _kept(result, snapshot)
        except CallFailed as error:
            result = None
            how, weight = _travelling(error, snapshot)
        results.append(result)
        if how is not None:
            failures.append([index, how])
        size += weight
        if size > _MOST_BYTES and index:
            _make_fit(results, failures, snapshot)
        now = perf_counter()
        # One that was slow may have been so by accident: who runs the others singly sees whether it was.
        if now - last > _SLOW_S or now - begun > _LONGEST_S or size > _MOST_BYTES or given_up:
            break
        last = now
    return {"results": results, "failures": failures}


def _make_fit(results: list[Any], failures: list[Any], snapshot: Snapshot) -> None:
    """If the last is too large to go with those before it, it fails, and they do not."""
    try:
        snapshot({"results": results, "failures": failures})
    except CallFailed as problem:
        index, how = len(results) - 1, problem.to_map()
        how["message"] += ", with the results of calls that shared its request"
        results[index] = None
        if failures and failures[-1][0] == index:
            del failures[-1]
        failures.append([index, how])


def _keywords(handler: Single, params: Any) -> dict[str, Any]:
    if type(params) is not dict and params is not None:
        raise handler.no_map(params)
    return handler.bind({"params": params})


def _kept(result: Any, snapshot: Snapshot) -> tuple[Any, int]:
    """A result that later calls cannot change, and about how many bytes it takes. Raises CallFailed."""
    kind = type(result)
    if kind is str or kind is bytes:
        if len(result) < _SHORT and (kind is bytes or result.isascii()):
            return result, len(result)
    elif result is None or kind is bool or kind is float or (kind is int and result in _INTEGERS):
        return result, _SMALL
    held, size = snapshot({"result": result})  # what cannot travel has the same place as in a single answer
    return held["result"], size


def _travelling(error: CallError, snapshot: Snapshot) -> tuple[Any, int]:
    """An error as a map that can be sent, whatever its author put in, and how many bytes it takes."""
    try:
        return snapshot(error.to_map())
    except CallFailed as problem:
        return snapshot(error.reduced(problem).to_map())
