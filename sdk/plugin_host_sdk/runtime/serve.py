"""Serving a plugin from start to exit: claim the wire, hear the host, end in time.

`main` is what `python -m plugin_host_sdk MODULE:ATTRIBUTE` runs. Its order is the promise: the wire is
claimed before any author code is imported, and the process ends by itself, with status 0, whether it
was asked to or the host is gone.
"""

from __future__ import annotations

import os
import sys
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from plugin_host_sdk.plugin import Plugin

    from .wiring import Wiring

__all__ = ["COOKIE", "EX_USAGE", "leave", "open_wire", "serve"]

EX_USAGE = 64
COOKIE = "PLUGIN_HOST_COOKIE"

_EXPLANATION = """\
This is a plugin for plugin-host. It is not run by hand: a host starts it and speaks to it over standard
input and output.

  plugin-host list                       shows the plugins that a host finds here
  plugin-host call PLUGIN COMMAND        starts one and calls it
"""


def open_wire() -> Wiring:
    """The wire from the host; ends the process with an explanation when no host started it.

    From here on standard output and logging lead to the host's log.
    """
    if os.environ.pop(COOKIE, None) is None:
        sys.stderr.write(_EXPLANATION)
        sys.stderr.flush()
        os._exit(EX_USAGE)
    from .channel import claim
    from .logbridge import bridge_logging
    from .output import trace_output
    from .wiring import Wiring

    wiring = Wiring(claim(), _to_builtins)
    os.register_at_fork(after_in_child=wiring.disown)
    trace_output(lambda message: wiring.log("warning", "stdout", message, {}))
    bridge_logging(wiring.log)
    return wiring


def serve(plugin: Plugin, wiring: Wiring | None = None) -> int:
    """Serve until the host ends it; returns the exit status."""
    from .server import Server

    # A thread that computes is asked for the interpreter sooner, so that a ping waits less for it.
    sys.setswitchinterval(0.0005)
    server = Server(plugin, wiring or open_wire())
    server.crew.start()
    server.ending.wait()
    return _end(server)


def _end(server: Any) -> int:
    """Cancel what runs, wait for it within the grace, answer the host's `shutdown`."""
    ending = server.ending
    begun = monotonic()
    server.cancel_all(ending.reason)
    # Those that run something of their own take their time; calls end beside.
    server.close_capabilities(ending.grace)
    if server.running:
        ending.wait_idle(max(0.0, ending.grace - (monotonic() - begun)))
    if ending.msgid is not None:
        with server.wiring.mutex:
            server.wiring.answer(ending.msgid, {"running": len(server.running)}, "rpc.not_encodable")
    server.wiring.drain()  # also an answer that another thread has just made
    server.close()
    return 0


def leave(status: int) -> NoReturn:
    """End the process now: exit handlers run and streams are flushed, threads are not waited for."""
    import atexit

    try:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    finally:
        os._exit(status)


def _to_builtins(value: Any) -> Any:
    """For a result msgpack does not know: typed objects become maps."""
    if _is_record(value):
        import msgspec

        _complete(value)
        return msgspec.to_builtins(value, builtin_types=(bytes, bytearray, memoryview))
    raise TypeError(f"can not serialize {type(value).__qualname__!r} object")


def _is_record(value: Any) -> bool:
    kind = type(value)
    return hasattr(kind, "__struct_fields__") or hasattr(kind, "__dataclass_fields__")


def _complete(value: Any) -> None:
    """Give all dataclasses in `value` the defaults that they only have from their class.

    msgspec makes a dataclass without them and writes one without them, so a parameter that is handed
    back would lose them.
    """
    if hasattr(type(value), "__dataclass_fields__"):
        import dataclasses

        inner = [getattr(value, field.name) for field in dataclasses.fields(value)]
        if hasattr(value, "__dict__"):
            for field, own in zip(dataclasses.fields(value), inner, strict=True):
                value.__dict__.setdefault(field.name, own)
    elif hasattr(type(value), "__struct_fields__"):
        inner = [getattr(value, name) for name in type(value).__struct_fields__]
    elif isinstance(value, (list, tuple, set, frozenset)):
        inner = list(value)
    else:
        inner = list(value.values()) if isinstance(value, dict) else []
    for part in inner:
        _complete(part)
