"""The trace that calls of the host are part of: whoever sets it once has it carried by all calls within.

Owns the context variable. Tracing itself is another's work; without any, a trace that came in is passed on.
"""

from __future__ import annotations

import contextlib
import contextvars
from typing import TYPE_CHECKING

from plugin_host_sdk.tracecontext import TraceContext, read_trace

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TraceContext", "current_trace", "traced"]

current_trace: contextvars.ContextVar[TraceContext | None] = contextvars.ContextVar(
    "plugin_host_trace", default=None
)
"""What calls carry that are made now, in this task or thread."""


@contextlib.contextmanager
def traced(traceparent: str | None, tracestate: str | None = None) -> Iterator[TraceContext | None]:
    """Have every call within carry this trace, as a W3C `traceparent` and `tracestate` say it.

    A value that is not valid is as good as None, which stands for no trace: headers of a request can be
    given as they came. Yields what is carried.
    """
    trace = read_trace({"traceparent": traceparent, "tracestate": tracestate})
    token = current_trace.set(trace)
    try:
        yield trace
    finally:
        current_trace.reset(token)
