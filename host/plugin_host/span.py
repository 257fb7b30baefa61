"""Spans of the calls that a host makes, for those who have OpenTelemetry and switch it on.

Each call is a client span, and what it sends carries that span, so that the plugin's part hangs below it.
Names and attributes follow the semantic conventions for RPC. This is the only module of the host that knows
OpenTelemetry, and it is loaded only when tracing is on.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from .command import ask_command, call_command
from .errors import CallError, PluginHostError
from .exec.opening import open_session
from .trace import TraceContext, current_trace
from .version import VERSION

try:
    from opentelemetry import context as contexts
    from opentelemetry import trace as traces
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    raise PluginHostError(
        f"tracing needs OpenTelemetry, which cannot be imported ({error}): pip install 'plugin-host[otel]'"
    ) from None

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.trace import Span, TracerProvider

    from .asker import Progress
    from .exec.proxy import ExecProxy
    from .exec.session import Session
    from .link import Link
    from .plugin import Plugin
    from .sharedlink import SharedLink

__all__ = ["Spans"]

_SYSTEM = "msgpack_rpc"


class Spans:
    """Makes the spans of one host, by `provider`; None is the one that the program has set for all."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = traces.get_tracer("plugin_host", VERSION, tracer_provider=provider)
        self._propagator = TraceContextTextMapPropagator()

    async def call_command(
        self,
        plugin: Plugin,
        link: Link,
        command: str,
        params: Any,
        timeout: float | None,
        on_progress: Progress | None,
        text: bool = False,
    ) -> Any:
        """`command.call_command` within a span."""
        with self._span(plugin.id, command if plugin.offers(command) else "_OTHER", command):
            return await call_command(plugin, link, command, params, timeout, on_progress, text)

    def ask_command(
        self,
        plugin: Plugin,
        link: SharedLink,
        command: str,
        params: Any,
        timeout: float | None,
        on_progress: Progress | None,
        text: bool = False,
    ) -> Any:
        """`command.ask_command` within a span."""
        with self._span(plugin.id, command if plugin.offers(command) else "_OTHER", command):
            return ask_command(plugin, link, command, params, timeout, on_progress, text)

    async def open_session(
        self, proxy: ExecProxy, *, command: Sequence[str] | None, **given: Any
    ) -> Session:
        """`exec.opening.open_session` within a span, which ends when the session is open."""
        with self._span(proxy.plugin, "exec.create", "exec.create"):
            return await open_session(proxy, command=command, **given)

    def adopt(self, trace: TraceContext | None) -> None:
        """What runs in this task from now on is part of `trace`, or of none."""
        current_trace.set(trace)
        carrier = {} if trace is None else trace.to_meta()
        contexts.attach(self._propagator.extract(carrier, context=contexts.Context()))

    @contextlib.contextmanager
    def _span(self, plugin: str, method: str, original: str) -> Iterator[None]:
        name = method if method == "_OTHER" else f"{plugin}/{method}"
        attributes = {"rpc.system.name": _SYSTEM, "rpc.method": name, "server.address": plugin}
        if method != original:
            attributes["rpc.method_original"] = f"{plugin}/{original}"
        span = self._tracer.start_span(
            _SYSTEM if name == "_OTHER" else name,
            context=self._parent(),
            kind=traces.SpanKind.CLIENT,
            attributes=attributes,
        )
        token = current_trace.set(_carried(span) or current_trace.get())
        try:
            with traces.use_span(
                span, end_on_exit=True, record_exception=False, set_status_on_exception=False
            ):
                try:
                    yield
                except BaseException as error:
                    _fail(span, error)
                    raise
        finally:
            current_trace.reset(token)

    def _parent(self) -> contexts.Context | None:
        """The span that is active; without one the trace that was handed to the host."""
        incoming = current_trace.get()
        if incoming is None or traces.get_current_span().get_span_context().is_valid:
            return None
        return self._propagator.extract(incoming.to_meta())


def _carried(span: Span) -> TraceContext | None:
    """What a call within the span carries; None when nobody makes spans."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    trace_id, span_id = traces.format_trace_id(context.trace_id), traces.format_span_id(context.span_id)
    traceparent = f"00-{trace_id}-{span_id}-{context.trace_flags & 1:02x}"
    return TraceContext(traceparent, context.trace_state.to_header())


def _fail(span: Span, error: BaseException) -> None:
    if isinstance(error, CallError):
        name = error.name
        span.set_attribute("rpc.response.status_code", name)
        if name == "command.failed":
            span.set_attribute("plugin_host.status", error.code)
    else:
        name = "rpc.cancelled" if isinstance(error, asyncio.CancelledError) else type(error).__qualname__
    span.set_attribute("error.type", name)
    span.set_status(traces.Status(traces.StatusCode.ERROR, str(error)))
    span.record_exception(error)
