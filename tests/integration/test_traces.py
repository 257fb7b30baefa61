"""Traces across processes: what is carried without any tracing, and the spans that both sides make."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id

from plugin_host import Caller, CallFailed, PluginHost
from plugin_host.trace import current_trace, traced
from plugin_host_sdk.tracecontext import TraceContext
from tests.run import Run
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
INCOMING = f"00-{TRACE}-{SPAN}-00"
SAMPLED = f"00-{TRACE}-{SPAN}-01"

CODE = """
    import os, sys

    shell = sdk.exec.Handler("shell", default_command=["sh"])
    sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts([shell]))

    @plugin.command("trace")
    def trace(ctx):
        return [ctx.traceparent, ctx.tracestate]

    @plugin.command("relay")
    def relay(ctx):
        return ctx.host.call("relay")

    @plugin.command("relay_async")
    async def relay_async(ctx):
        return await ctx.host.call("relay")

    @plugin.command("fail")
    def fail(ctx):
        raise LookupError("no such luck")

    @plugin.command("refuse")
    def refuse(ctx):
        raise sdk.CommandError(3, "not yours")

    @plugin.command("modules")
    def modules(ctx):
        return [name for name in sys.modules if name.startswith("opentelemetry")]
"""
# Spans go to a file, one to a line, as an author's exporter would send them somewhere.
SPANS = """
    @plugin.command("install")
    def install(ctx, file):
        from opentelemetry import trace as traces
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

        exporter = ConsoleSpanExporter(
            out=open(file, "a", buffering=1), formatter=lambda span: span.to_json(indent=None) + "\\n"
        )
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        traces.set_tracer_provider(provider)

    @plugin.command("below")
    def below(ctx):
        from opentelemetry import trace as traces

        with traces.get_tracer("author").start_as_current_span("query"):
            return [ctx.traceparent, ctx.host.call("relay")[0]]
"""


class Stage:
    """A host of one plugin, whose service `relay` asks the same plugin for its trace."""

    def __init__(self) -> None:
        self.host: PluginHost
        self.callers: list[Caller] = []

    async def relay(self, caller: Caller) -> Any:
        self.callers.append(caller)
        return await self.host.call("demo", "trace")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("plugins")
    return write_plugin(home, "demo", CODE + SPANS, permissions=["host.relay"])


@contextlib.asynccontextmanager
async def staged(folder: Path, **options: Any) -> AsyncIterator[Stage]:
    there = Stage()
    async with stage(
        "demo", dirs=[folder], services={"relay": lambda caller: there.relay(caller)}, **options
    ) as there.host:
        yield there


def test_a_trace_goes_with_every_call_within_and_with_none_outside(run: Run, folder: Path) -> None:
    async def body() -> None:
        with traced(SAMPLED):  # who starts the plugin is not who calls it
            async with staged(folder) as there:
                call = there.host.call
                with traced(INCOMING, "vendor=1") as trace:
                    assert trace == TraceContext(INCOMING, "vendor=1")
                    assert await call("demo", "trace") == [INCOMING, "vendor=1"]
                    assert await call("demo", "trace", timeout=5) == [INCOMING, "vendor=1"]
                    for relay in ("relay", "relay_async"):
                        assert await call("demo", relay) == [INCOMING, "vendor=1"]
                    with traced(None):
                        assert await call("demo", "trace") == [None, ""]
                        assert await call("demo", "relay") == [None, ""]
                assert [caller.trace for caller in there.callers] == [trace, trace, None]
                assert await call("demo", "trace") == [SAMPLED, ""]

    run(body())


def test_a_trace_that_is_not_valid_is_left_out(run: Run, folder: Path) -> None:
    async def body() -> None:
        async with staged(folder) as there:
            with traced("00-nonsense", "vendor=1") as trace:
                assert trace is None
                assert await there.host.call("demo", "trace") == [None, ""]
            token = current_trace.set(TraceContext("ff-nonsense"))  # a host of another make
            assert await there.host.call("demo", "trace") == [None, ""]
            current_trace.reset(token)

    run(body())


def ids(span: ReadableSpan) -> tuple[str, str]:
    context = span.get_span_context()
    assert context is not None
    return format_trace_id(context.trace_id), format_span_id(context.span_id)


def parent_of(span: ReadableSpan) -> str | None:
    return None if span.parent is None else format_span_id(span.parent.span_id)


class Recorded:
    """What the host records, and what the plugin writes to `file`."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def clients(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    @property
    def servers(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def server_of(self, span: ReadableSpan) -> dict[str, Any]:
        """The plugin's span right below one of the host's."""
        trace_id, span_id = ids(span)
        (found,) = (one for one in self.servers if one["parent_id"] == f"0x{span_id}")
        assert found["context"]["trace_id"] == f"0x{trace_id}"
        return found


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path / "spans")


@contextlib.asynccontextmanager
async def recording(folder: Path, recorded: Recorded) -> AsyncIterator[Stage]:
    async with staged(folder, tracing=recorded.provider) as there:
        await there.host.call("demo", "install", {"file": str(recorded.file)})
        recorded.exporter.clear()
        recorded.file.write_text("")
        yield there


def test_each_call_is_a_span_on_both_sides(
    run: Run, folder: Path, recorded: Recorded, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with recording(folder, recorded) as there:
            tracer = recorded.provider.get_tracer("test")
            with tracer.start_as_current_span("request") as request:
                traceparent, _ = await there.host.call("demo", "trace")
            client, outer = recorded.clients
            assert outer.name == "request"
            assert (client.name, client.kind) == ("demo/trace", SpanKind.CLIENT)
            assert client.attributes == {
                "rpc.system.name": "msgpack_rpc",
                "rpc.method": "demo/trace",
                "server.address": "demo",
            }
            assert client.status.status_code is StatusCode.UNSET
            assert parent_of(client) == format_span_id(request.get_span_context().span_id)
            await wait_until.aio(lambda: recorded.servers)
            server = recorded.server_of(client)
            assert (server["name"], server["kind"]) == ("demo/trace", "SpanKind.SERVER")
            assert server["attributes"]["rpc.system.name"] == "msgpack_rpc"
            span_id = server["context"]["span_id"].removeprefix("0x")
            assert traceparent == f"00-{ids(client)[0]}-{span_id}-01"
            assert current_trace.get() is None

    run(body())


def test_what_goes_wrong_is_in_both_spans(
    run: Run, folder: Path, recorded: Recorded, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with recording(folder, recorded) as there:
            for command in ("fail", "refuse", "nowhere"):
                with pytest.raises(CallFailed):
                    await there.host.call("demo", command)
            fail, refuse, nowhere = recorded.clients
            names = [dict(span.attributes or {})["error.type"] for span in (fail, refuse, nowhere)]
            assert names == ["command.handler_failed", "command.failed", "command.not_found"]
            assert dict(fail.attributes or {})["rpc.response.status_code"] == "command.handler_failed"
            assert {span.status.status_code for span in (fail, refuse, nowhere)} == {StatusCode.ERROR}
            assert dict(refuse.attributes or {})["plugin_host.status"] == 3
            assert dict(nowhere.attributes or {})["rpc.method"] == "_OTHER"
            assert dict(nowhere.attributes or {})["rpc.method_original"] == "demo/nowhere"
            assert "no such luck" in (fail.status.description or "")
            assert [event.name for event in fail.events] == ["exception"]
            await wait_until.aio(lambda: len(recorded.servers) == 2)
            server = recorded.server_of(fail)
            assert server["status"]["status_code"] == "ERROR"
            (event,) = server["events"]
            assert event["attributes"]["exception.type"] == "LookupError"
            assert "in fail" in event["attributes"]["exception.stacktrace"]
            assert recorded.server_of(refuse)["attributes"]["plugin_host.status"] == 3

    run(body())


@pytest.mark.parametrize("relay", ["relay", "relay_async"])
def test_a_nested_call_hangs_below_the_plugins_own_span(
    relay: str, run: Run, folder: Path, recorded: Recorded, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with recording(folder, recorded) as there:
            with traced(SAMPLED):
                await there.host.call("demo", relay)
            inner, outer = recorded.clients
            assert (outer.name, parent_of(outer)) == (f"demo/{relay}", SPAN)
            await wait_until.aio(lambda: len(recorded.servers) == 2)
            assert f"0x{parent_of(inner)}" == recorded.server_of(outer)["context"]["span_id"]
            recorded.server_of(inner)
            assert {ids(span)[0] for span in recorded.clients} == {TRACE}

    run(body())


def test_below_a_span_of_the_authors_it_hangs_there(
    run: Run, folder: Path, recorded: Recorded, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with recording(folder, recorded) as there:
            seen, _ = await there.host.call("demo", "below")
            await wait_until.aio(lambda: len(recorded.servers) == 3)
            (query,) = (span for span in recorded.servers if span["name"] == "query")
            inner, outer = recorded.clients
            assert query["parent_id"] == recorded.server_of(outer)["context"]["span_id"]
            assert query["context"]["span_id"] == f"0x{parent_of(inner)}"
            assert seen.split("-")[2] == f"{parent_of(inner)}"

    run(body())


def test_what_a_service_records_itself_hangs_below_the_plugins_span(
    run: Run, folder: Path, recorded: Recorded, wait_until: WaitUntil
) -> None:
    tracer = recorded.provider.get_tracer("service")

    async def relay(caller: Caller) -> Any:
        with tracer.start_as_current_span("lookup"):
            return [None, ""]

    async def body() -> None:
        async with recording(folder, recorded) as there:
            there.relay = relay  # type: ignore[method-assign]
            await there.host.call("demo", "relay")
            lookup, client = recorded.clients
            assert (lookup.name, client.name) == ("lookup", "demo/relay")
            await wait_until.aio(lambda: recorded.servers)
            assert f"0x{parent_of(lookup)}" == recorded.server_of(client)["context"]["span_id"]
            assert ids(lookup)[0] == ids(client)[0]

    run(body())


def test_opening_a_session_is_a_span(
    run: Run, folder: Path, recorded: Recorded, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with recording(folder, recorded) as there:
            session = await there.host.exec("demo", ["true"], tty=False, detached=True)
            await session.wait()
            (client,) = recorded.clients
            assert (client.name, client.kind) == ("demo/exec.create", SpanKind.CLIENT)
            await wait_until.aio(lambda: recorded.servers)
            assert recorded.server_of(client)["name"] == "demo/exec.create"

    run(body())


def test_a_call_that_is_cancelled_is_an_error(run: Run, folder: Path, recorded: Recorded) -> None:
    async def body() -> None:
        async with recording(folder, recorded) as there:
            task = asyncio.create_task(there.host.call("demo", "trace"))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            (client,) = recorded.clients
            assert dict(client.attributes or {})["error.type"] == "rpc.cancelled"

    run(body())


def test_nobody_makes_spans_of_what_is_not_recorded(run: Run, folder: Path, tmp_path: Path) -> None:
    async def body() -> None:
        async with staged(folder) as there:
            with traced(INCOMING):
                assert await there.host.call("demo", "modules") == []
            assert await there.host.call("demo", "modules") == []
        async with staged(
            folder, tracing=TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
        ) as there:
            assert await there.host.call("demo", "modules") == []
            traceparent, _ = await there.host.call("demo", "trace")
            assert traceparent.endswith("-00")

    run(body())
