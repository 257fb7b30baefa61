"""What a capability offers the runtime for one call: the work, and what is known about its pace.

A capability resolves the parameters of a request to an `Endpoint` without running author code. The
runtime decides on which thread `run` is called, and keeps in the endpoint how fast it has proved to be.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any, Protocol

    from .context import Context
    from .sink import Sink

    # Parameters of a request to the work that answers it and the arguments of that work.
    Resolver = Callable[[dict[str, Any]], tuple["Endpoint", Any]]

    class Runtime(Protocol):
        """What a capability may ask of the runtime that serves it, from any thread."""

        @property
        def sink(self) -> Sink:
            """The way to the host for streams and notifications."""

        def context(self, name: str) -> Context:
            """A context for work that outlives the call that began it."""

        def step_aside(self) -> None:
            """This thread is about to wait for the host: if it reads the wire, another does from now on."""

        def run_async(self, make: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
            """Start a coroutine on the event loop of async handlers; returns what cancels it."""

        def adopt(self, settings: Mapping[str, Any]) -> None:
            """These settings are in force for calls that start from now on."""

        def log(self, level: str, logger: str, message: str, fields: Mapping[str, Any]) -> None:
            """Send a log record."""

        def drain(self) -> None:
            """Wait until the wire has taken everything that is queued, or is gone."""

        def leave(self, reason: str) -> None:
            """End the plugin by itself, with status 0; what runs is cancelled."""

    class Capability(Protocol):
        """One capability of a plugin as the runtime sees it."""

        name: str

        @property
        def routes(self) -> Mapping[str, Resolver]:
            """The methods it answers."""

        def describe(self) -> Any:
            """What `initialize` says of it."""

        def open(self, runtime: Runtime) -> None:
            """Serving begins; called on the thread that waits for its end."""

        # A capability may also have `ready()`: the host has the answer to `initialize`, so it can be asked.
        # Called on the reading thread: it never waits, and runs no author code there.

        def close(self, grace: float) -> None:
            """Serving ends: stop what runs, within `grace` seconds. Called on every way out."""

    class CapabilityHolder(Protocol):
        """A plugin as its capabilities see it."""

        id: str
        capabilities: dict[str, Capability]

        def add_capability(self, capability: Capability) -> None:
            """Take it in; a second one of the same name raises."""


__all__ = ["Endpoint", "is_async", "is_generator"]

FIRST_PROOF = 8
LONGEST_PROOF = 4096
_CO_COROUTINE, _CO_GENERATORS = 0x80, 0x20 | 0x200
_MARKED = "_is_coroutine_marker"  # by inspect.markcoroutinefunction


class Endpoint:
    """Work that answers one kind of request.

    `run(ctx, arguments)` gives the result, or a `Later` of it; it is a coroutine function when
    `is_async`. `quick` endpoints have proved `proof` times in a row to be fast enough for the reading
    thread. What runs no author code may be `is_urgent`: it does not wait for workers that do.
    """

    __slots__ = ("is_async", "is_urgent", "name", "proof", "proved", "quick", "run")

    def __init__(
        self,
        name: str,
        run: Callable[[Any, Any], Any],
        *,
        is_async: bool = False,
        is_urgent: bool = False,
    ) -> None:
        self.name = name
        self.run = run
        self.is_async = is_async
        self.is_urgent = is_urgent
        self.quick = False
        self.proved = 0
        self.proof = FIRST_PROOF

    def ran_fast(self) -> None:
        """One more run within the time that a reading thread can spare."""
        self.proved += 1
        if self.proved >= self.proof:
            self.quick = True

    def ran_slow(self) -> None:
        """A run took longer: it has to prove itself anew, twice as often."""
        self.quick = False
        self.proved = 0
        self.proof = min(self.proof * 2, LONGEST_PROOF)


def is_async(function: Any) -> bool:
    """Whether calling `function` gives a coroutine; also one that `inspect` was told so of."""
    called = _called(function)
    return bool(_flags(called) & _CO_COROUTINE) or hasattr(called, _MARKED)


def is_generator(function: Any) -> bool:
    """Whether calling `function` gives a generator, plain or asynchronous."""
    return bool(_flags(_called(function)) & _CO_GENERATORS)


def _called(function: Any) -> Any:
    """What runs when it is called: behind a bound method, a partial, an object with a call."""
    plain = getattr(function, "__func__", function)
    while hasattr(plain, "func") and not hasattr(plain, "__code__"):  # functools.partial
        plain = plain.func
    plain = getattr(plain, "__func__", plain)
    return plain if hasattr(plain, "__code__") else getattr(type(plain), "__call__")  # noqa: B004, B009


def _flags(called: Any) -> int:
    code = getattr(called, "__code__", None)
    return 0 if code is None else int(code.co_flags)
