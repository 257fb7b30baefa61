"""Many calls of one command that came in one request: run in their order, answered together.

That is for handlers which have proved quick. Invariant: of the calls that came, the first few are run, each
once, each with a context of its own, and each of these has its place in the answer, with what it would have
been answered alone; only where that and what stands before it are too much for one message, it fails. The
others, all of them if need be, are left to whoever asked, as if they had not come. So one that turns out
slow, or large, holds up nobody: when it loses the lead, the request is split, and goes on for it alone.
"""

from __future__ import annotations

from time import perf_counter

from .errors import CallFailed, CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from .context import Context
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
        def success(result: Any, /) -> dict[str, Any]: ...
        @staticmethod
        def own_status(error: CommandError, /) -> dict[str, Any]: ...
        def no_map(self, params: Any, /) -> CallError: ...
        def bind(self, params: dict[str, Any], /) -> dict[str, Any]: ...
        def failure(self, ctx: Any, error: BaseException, /) -> CallError: ...


__all__ = ["Bundle", "run_bundle"]

# After one run over the first no more are begun: a reading thread is held little longer than the second.
_SLOW_S = 0.002
_LONGEST_S = 0.004
_MOST_BYTES = 256 * 1024
_SMALL = 9  # what a number takes at most
_SHORT = 64 * 1024
_INTEGERS = range(-(2**63), 2**64)


class Bundle:
    """One run: what has ended, and whether a call is running. May be split from another thread."""

    __slots__ = ("failures", "results", "running")

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.failures: list[Any] = []
        # Holds one thing while author code runs. Who takes it out, in one step, has the call: the thread
        # that runs it when it is over, or whoever splits the request before that.
        self.running: list[None] = []

    def split(self) -> dict[str, Any] | None:
        """What has ended before the call that runs, which is by itself from now on; None when none does."""
        try:
            self.running.pop()
        except IndexError:
            return None
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """`{"results": [...], "failures": [[index, how], ...]}` of the first of the calls.

        `how` is the status of a `CommandError` or an error as it travels; the result beside it is None.
        """
        return {"results": self.results, "failures": self.failures}


def run_bundle(
    handler: Single, ctx: Context, many: list[Any], snapshot: Snapshot, may_split: bool
) -> dict[str, Any]:
    """The answer to the request: that of the first of `many`, or of the call that it was split for."""
    bundle = Bundle()
    if may_split:
        ctx.bundle = bundle
    results, failures, running = bundle.results, bundle.failures, bundle.running
    function, plain, given_up, size = handler.function, handler.plain, ctx.cancelled, 0
    part, begun = ctx.parts(), perf_counter()
    last = begun
    for index, params in enumerate(many if handler.endpoint.quick else ()):
        result = problem = refusal = None
        one = part()
        try:
            if type(params) is not dict or params.keys() != plain:
                params = _keywords(handler, params)
        except CallFailed as error:
            refusal = error
        else:
            running.append(None)
            try:
                result = function(one, **params)
            except BaseException as error:
                problem = error
            try:
                running.pop()
            except IndexError:
                handler.endpoint.ran_slow()
                return _answer_alone(handler, one, result, problem)
            if problem is None:
                try:
                    result, weight = _kept(result, snapshot)
                except CallFailed as error:
                    result, refusal = None, error
        results.append(result)
        if problem is not None or refusal is not None:
            how, weight = _failure(handler, one, problem, refusal, snapshot)
            failures.append([index, how])
        size += weight
        if size > _MOST_BYTES and index:
            _make_fit(results, failures, snapshot)
        now = perf_counter()
        # One that was slow may have been so by accident: who runs the others singly sees whether it was.
        if now - last > _SLOW_S or now - begun > _LONGEST_S or size > _MOST_BYTES or given_up:
            break
        last = now
    return bundle.answer()


def _answer_alone(
    handler: Single, ctx: Context, result: Any, problem: BaseException | None
) -> dict[str, Any]:
    """What a call is answered by itself. Raises CallError."""
    if problem is None:
        return handler.success(result)
    if isinstance(problem, CommandError):
        return handler.own_status(problem)
    raise handler.failure(ctx, problem) from None


def _failure(
    handler: Single,
    ctx: Context,
    problem: BaseException | None,
    refusal: CallError | None,
    snapshot: Snapshot,
) -> tuple[dict[str, Any], int]:
    """How a call has failed, as it travels, and how many bytes that takes.

    `problem` was raised by the handler; without one, `refusal` says what is wrong with what it was given,
    or with what it gave.
    """
    if isinstance(problem, CommandError):
        try:
            return snapshot(handler.own_status(problem))
        except CallFailed as error:
            refusal = error
    elif problem is not None:
        refusal = handler.failure(ctx, problem)
    assert refusal is not None
    return _travelling(refusal, snapshot)


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
