"""Spans of the calls that a plugin serves, for authors who have OpenTelemetry.

A call whose caller records it is served within a server span, below the caller's. OpenTelemetry itself is
imported on the thread of the first such call, never on the reading one; this module, with the first call
that has a trace.
"""

from __future__ import annotations

from plugin_host_sdk.endpoint import Endpoint
from plugin_host_sdk.errors import CallError
from plugin_host_sdk.later import Later
from plugin_host_sdk.tracecontext import TraceContext
from plugin_host_sdk.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from opentelemetry.trace import Span

    from plugin_host_sdk.context import Context

__all__ = ["SpanTrace", "traced"]

_SYSTEM = "msgpack_rpc"
_is_there: bool | None = None


class SpanTrace(TraceContext):
    """The trace of a call that has a span here."""

    __slots__ = ()

    def outgoing(self) -> TraceContext:
        """The span that is active, which may be the author's own below the call's."""
        from opentelemetry import trace as traces

        return _carried(traces.get_current_span()) or self


def traced(endpoint: Endpoint, ctx: Context, plugin: str) -> Endpoint:
    """What serves this call within a span; `endpoint` itself when there is to be none.

    The answer of an exporter may take its time, so it never is an endpoint for the reading thread.
    """
    if ctx.trace is None or not ctx.trace.is_sampled or not _has_opentelemetry():
        return endpoint

    def run(ctx: Context, arguments: Any) -> Any:
        serving = _Serving(ctx, plugin)
        with serving.span_in_use():
            try:
                result = endpoint.run(ctx, arguments)
            except BaseException as error:
                serving.end(None, error)
                raise
        serving.end(result, None)
        return result

    async def run_async(ctx: Context, arguments: Any) -> Any:
        serving = _Serving(ctx, plugin)
        with serving.span_in_use():
            try:
                result = await endpoint.run(ctx, arguments)
            except BaseException as error:
                serving.end(None, error)
                raise
        serving.end(result, None)
        return result

    return Endpoint(
        endpoint.name,
        run_async if endpoint.is_async else run,
        is_async=endpoint.is_async,
        is_urgent=endpoint.is_urgent,
    )


def _has_opentelemetry() -> bool:
    global _is_there
    if _is_there is None:
        from importlib.util import find_spec

        try:
            _is_there = find_spec("opentelemetry.trace") is not None
        except ImportError:  # not even a package of that name
            _is_there = False
    return _is_there


class _Serving:
    """The span of one call that is served."""

    def __init__(self, ctx: Context, plugin: str) -> None:
        from opentelemetry import trace as traces
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._traces = traces
        name = f"{plugin}/{ctx.name}"
        assert ctx.trace is not None
        self._span = traces.get_tracer("plugin_host_sdk", VERSION).start_span(
            name,
            context=TraceContextTextMapPropagator().extract(ctx.trace.to_meta()),
            kind=traces.SpanKind.SERVER,
            attributes={"rpc.system.name": _SYSTEM, "rpc.method": name, "server.address": plugin},
        )
        carried = _carried(self._span) or ctx.trace
        ctx.trace = SpanTrace(carried.traceparent, carried.tracestate)

    def span_in_use(self) -> Any:
        """While it runs, spans that the author makes are below this one."""
        return self._traces.use_span(self._span, record_exception=False, set_status_on_exception=False)

    def end(self, result: Any, error: BaseException | None) -> None:
        """The call has ended, or will when `result` is there."""
        if type(result) is Later:
            result.then(self.end)
            return
        if error is not None:
            self._fail(error)
        elif type(result) is dict and result.get("status"):
            self._note("command.failed", str(result.get("status_message", "")))
            self._span.set_attribute("plugin_host.status", result["status"])
        self._span.end()

    def _fail(self, error: BaseException) -> None:
        self._note(error.name if isinstance(error, CallError) else type(error).__qualname__, str(error))
        # What an author's code raised is behind the error that travels.
        self._span.record_exception(error.__context__ or error)

    def _note(self, name: str, message: str) -> None:
        self._span.set_attribute("rpc.response.status_code", name)
        self._span.set_attribute("error.type", name)
        self._span.set_status(self._traces.Status(self._traces.StatusCode.ERROR, message))


def _carried(span: Span) -> TraceContext | None:
    """What a call within the span carries; None when nobody makes spans."""
    from opentelemetry.trace import format_span_id, format_trace_id

    context = span.get_span_context()
    if not context.is_valid:
        return None
    ids = f"{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}"
    return TraceContext(f"00-{ids}-{context.trace_flags & 1:02x}", context.trace_state.to_header())
