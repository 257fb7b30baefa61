"""A host that is short of what it needs while a plugin dies."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest

from plugin_host import PluginDied, State, ladder
from tests.run import Run
from tests.stage import stage
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges


def test_a_plugin_can_be_started_again_after_clearing_up_failed(
    run: Run, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture, wait_until: WaitUntil
) -> None:
    asked = asyncio.Event()

    async def no_descriptors(*_: Any, **__: Any) -> None:
        asked.set()
        raise OSError(errno.EMFILE, "Too many open files")

    async def body() -> None:
        async with stage("dies_midcall") as host:
            with monkeypatch.context() as patch:
                patch.setattr(ladder, "stop", no_descriptors)
                with pytest.raises(PluginDied):
                    await host.call("dies_midcall", "leave", {"status": 3})
                await asked.wait()
                await wait_until.aio(lambda: "clearing up after it failed" in logged.text)
            await host.start("dies_midcall")
            assert host.plugins["dies_midcall"].state is State.READY

    run(body())
