"""What nobody waits for any more is called off, also where too much waits for the plugin to call it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from plugin_host import action
from plugin_host.action.actions import begin
from plugin_host.action.proxy import ActionProxy
from plugin_host.errors import CallFailed
from plugin_host.exec.proxy import ExecProxy
from plugin_host.link import Link
from plugin_host.metric.meter import Meter
from plugin_host.writer import Writer
from plugin_host_sdk.types.session import SessionOptions
from tests.linked import linked
from tests.run import Run


async def create(link: Link) -> Any:
    return await ExecProxy("demo", link, Meter().sessions).create(SessionOptions(id="one"), 7)


async def trigger(link: Link) -> Any:
    proxy = ActionProxy("demo", link, lambda event: None)
    return await begin(proxy, action.RunScript(data=b"echo hi"), None, id="one")


@pytest.mark.parametrize(
    ("ask", "asked", "ended"),
    [
        (create, "exec.create", ("exec.close", "session")),
        (trigger, "action.trigger", ("action.cancel", "action")),
    ],
)
def test_it_is_called_off_where_no_call_would_be_taken(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[Link], Awaitable[Any]],
    asked: str,
    ended: tuple[str, str],
) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            task = asyncio.ensure_future(ask(link))
            await plugin.request(asked)
            _, large = link.request("work", {"data": bytes(1 << 23)})
            assert link._writer.is_waiting
            monkeypatch.setattr(Writer, "is_overfull", True)
            with pytest.raises(CallFailed, match="reads"):
                link.request("work", {})
            task.cancel()
            await asyncio.wait([task])
            method, key = ended
            request = await plugin.request(method)
            assert request.params[key] == "one"
            await plugin.answer(request.msgid, {})
            large.cancel()

    run(body())
