"""Large answers of services: a plugin that reads gets all of them, whichever host it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugin_host import Caller
from tests.run import Run
from tests.stage import stage, write_plugin
from tests.syncstage import blocking

pytestmark = [pytest.mark.edges, pytest.mark.deadline(60)]

CODE = """
    import threading

    @plugin.command("fetch")
    def fetch(ctx, count: int, size: int):
        "The sizes of so many answers to calls that threads make at once."
        found = [None] * count
        def call(number):
            try:
                found[number] = len(ctx.host.call("blob", size=size))
            except Exception as error:
                found[number] = repr(error)
        threads = [threading.Thread(target=call, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found
"""

crowds = pytest.mark.parametrize(("count", "size"), [(3, 5_000_000), (6, 15_000_000), (100, 200_000)])


async def blob(caller: Caller, size: int) -> bytes:
    return b"x" * size


def folder(place: Path) -> Path:
    return write_plugin(place / "plugins", "hungry", CODE, permissions=["host.blob"])


@crowds
def test_plugin_that_reads_loses_nothing(tmp_path: Path, run: Run, count: int, size: int) -> None:
    async def body() -> None:
        async with stage("hungry", dirs=[folder(tmp_path)], services={"blob": blob}) as host:
            pid = host.plugins["hungry"].pid
            for _ in range(2):
                got = await host.call("hungry", "fetch", {"count": count, "size": size})
                assert got == [size] * count
            assert host.plugins["hungry"].pid == pid

    run(body())


@crowds
def test_plugin_of_a_blocking_host_that_reads_loses_nothing(tmp_path: Path, count: int, size: int) -> None:
    with blocking("hungry", dirs=[folder(tmp_path)], services={"blob": blob}) as host:
        assert host.call("hungry", "fetch", {"count": count, "size": size}) == [size] * count
        traffic = host.metrics()["plugins"]["hungry"]["traffic"]
        assert traffic["sent_bytes"] > count * size
        assert traffic["received_bytes"] > 10 * count
