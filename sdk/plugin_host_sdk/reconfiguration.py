"""New settings while a plugin runs: the author's function that takes them, refuses them or wants a restart.

Owns one function of a plugin and the order of its runs: one at a time, on a worker, never on the thread
that reads. Invariant: the settings in force are those of the last run that took them while somebody waited
for that; a run that raises, or that asks for a restart, changes nothing.
"""

from __future__ import annotations

import threading

from .endpoint import Endpoint, is_async
from .errors import CallCancelled, CallFailed, CallTimeout, CommandError, RegistrationError, excerpt
from .excerpt import encodable, said
from .later import Later
from .parameter import BadParameters, Signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .endpoint import Resolver, Runtime

__all__ = ["RESTART", "Reconfiguration", "Restart"]

REFUSED = "reconfigure.refused"
_LONGEST_S = threading.TIMEOUT_MAX


class Restart:
    """What `RESTART` is an instance of."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "RESTART"


RESTART = Restart()
"""Returned by a function of `on_reconfigure`: the new settings take a restart of the plugin."""


class Reconfiguration:
    """`function(ctx, settings)`, plain or async, which returns None or RESTART.

    Raises RegistrationError for a function that cannot be called so.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise RegistrationError(f"what is to take new settings cannot be called: {function!r}")
        try:
            self._signature = Signature(function)
        except (TypeError, ValueError) as error:
            raise RegistrationError(f"the function for new settings cannot serve: {error}") from None
        names = self._signature.names
        if not names or self._signature.required - {names[0]}:
            others = ", ".join(names) or "nothing else"
            raise RegistrationError(
                f"the function for new settings takes a context and the settings, not {others}"
            )
        self._function = function
        self._is_async = is_async(function)
        self._turn = threading.Lock()
        self._runtime: Runtime | None = None
        self._endpoint = _Unhurried("reconfigure", self._run)
        self.routes: Mapping[str, Resolver] = {"reconfigure": self._resolve}

    def open(self, runtime: Runtime) -> None:
        """Serving begins."""
        self._runtime = runtime

    def _resolve(self, params: dict[str, Any]) -> tuple[Endpoint, Any]:
        settings = params.get("settings")
        if type(settings) is not dict:
            raise CallFailed(f"settings are a map, not {excerpt(settings)}", name="rpc.invalid_params")
        return self._endpoint, settings

    def _run(self, ctx: Any, settings: dict[str, Any]) -> dict[str, Any]:
        left = ctx.remaining()
        if not self._turn.acquire(timeout=_LONGEST_S if left is None else left):
            raise CallTimeout("earlier settings are still being taken", name="rpc.deadline_exceeded")
        try:
            outcome = self._outcome(ctx, self._bound(settings))
            if outcome is None and (ctx.cancelled or ctx.remaining() == 0.0):
                # Whoever gave up goes by the old ones, and what the function has done is done.
                ctx.log.warning(
                    "new settings were taken when nobody waited any more: a restart has to follow"
                )
                outcome = RESTART
            if outcome is None:
                assert self._runtime is not None
                self._runtime.adopt(settings)
                return {}
        finally:
            self._turn.release()
        if outcome is RESTART:
            return {"restart": True}
        raise CallFailed(
            f"the plugin's function for new settings returns nothing or RESTART, not {excerpt(outcome)}",
            name=REFUSED,
        )

    def _bound(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings as the function wants them; a typed one gets a copy of that type."""
        name = self._signature.names[0]
        try:
            return self._signature.bind({name: settings})
        except BadParameters as error:
            path = error.path.replace(f"$.{name}", "$", 1)
            raise CallFailed(f"new settings: {error.message}", name=REFUSED, data={"path": path}) from None
        except RegistrationError as error:
            raise CallFailed(f"the plugin's function for new settings: {error}", name=REFUSED) from None

    def _outcome(self, ctx: Any, keywords: dict[str, Any]) -> Any:
        try:
            return self._awaited(ctx, keywords) if self._is_async else self._function(ctx, **keywords)
        except CommandError as error:
            data = {"status": error.status, **error.fields}
            raise CallFailed(error.message or "refused", name=REFUSED, data=data) from None
        except BaseException as error:
            if ctx.cancelled or ctx.remaining() == 0.0:
                raise  # given up because nobody waits for it
            raise _failure(error) from None

    def _awaited(self, ctx: Any, keywords: dict[str, Any]) -> Any:
        """What the coroutine returns, which runs on the loop of the async handlers.

        This worker waits for it however it ends, so that no other run begins meanwhile.
        """
        runtime, later, has_begun = self._runtime, Later(), False
        assert runtime is not None

        async def work() -> None:
            nonlocal has_begun
            has_begun = True
            try:
                later.resolve((await self._function(ctx, **keywords), None))
            except BaseException as error:
                later.resolve((None, error))

        async def settle() -> None:
            if not has_begun:  # a coroutine that was cancelled before its first step never runs
                later.resolve((None, _given_up()))

        def stop() -> None:
            cancel()
            runtime.run_async(settle)

        ctx.is_async = True
        cancel = runtime.run_async(work)
        ctx.cancelled.listen(stop)
        try:
            result, error = later.wait(ctx.remaining())
        except CallTimeout:
            stop()
            result, error = later.wait()
        if error is not None:
            raise _given_up() if type(error).__name__ == "CancelledError" else error
        return result


class _Unhurried(Endpoint):
    """However fast it has been: it waits for its turn, and that is no wait for the reading thread."""

    __slots__ = ()

    def ran_fast(self) -> None:
        pass


def _given_up() -> CallCancelled:
    return CallCancelled("nobody waits for the new settings to be taken", name="rpc.cancelled")


def _failure(error: BaseException) -> CallFailed:
    import traceback

    trace = encodable("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    kind, text = type(error).__name__, said(error)
    data = {"type": kind, "message": text, "traceback": trace}
    return CallFailed(
        f"the plugin's function for new settings raised {kind}: {text}", name=REFUSED, data=data
    )
