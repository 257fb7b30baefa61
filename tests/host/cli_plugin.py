"""A plugin for trying the command line on: every kind of result, and every kind of failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stage import write_plugin

__all__ = ["RAW_PROMPT", "plugins"]

CODE = """
    @plugin.command("echo")
    def echo(ctx, value=None, **others):
        return others or value

    @plugin.command("typed")
    def typed(ctx, n: int, share: float = 0.5, flag: bool = False, items: list[int] = [], name: str = "x"):
        return {"n": n, "share": share, "flag": flag, "items": items, "name": name}

    @plugin.command("weird")
    def weird(ctx):
        return {1: b"\\xff", "nan": float("nan"), "big": 2**64 - 1}

    @plugin.command("boom")
    def boom(ctx):
        raise ValueError("went \\x1b[31mwrong")

    @plugin.command("own")
    def own(ctx):
        raise sdk.CommandError(7, "not today", why="monday")

    @plugin.command("die")
    def die(ctx, code: int = 3):
        print("about to die", file=sys.stderr, flush=True)
        os._exit(code)

    @plugin.command("wait")
    def wait(ctx, seconds: float = 60):
        print("waiting", file=sys.stderr, flush=True)
        for done in range(100):
            ctx.progress(done, 100, f"\\x1b[2Jstep {done}")
            if ctx.cancelled.wait(seconds / 100):
                print("cancelled", file=sys.stderr, flush=True)
                return "unheard"
        return "done"

    @plugin.command("say")
    def say(ctx):
        ctx.log.warning("watch out", n=1)
        logging.getLogger("library").info("a library\\nspeaks")
        logging.getLogger("library").debug("a detail")
        logging.getLogger("library").setLevel(logging.DEBUG)
        logging.getLogger("library").debug("another detail")

    @plugin.command("deep")
    def deep(ctx, levels: int):
        value = "end"
        for _ in range(levels):
            value = [value]
        return value
"""

# A raw peer that answers [0, id, method, params] with [1, id, None, params], and ends with its stdin.
RAW_PROMPT = """
import os, msgpack
unpacker = msgpack.Unpacker(strict_map_key=False)
while data := os.read(0, 65536):
    unpacker.feed(data)
    for kind, msgid, method, params in unpacker:
        if method == "notify":
            os.write(1, msgpack.packb([2, "told", [b"\\xff", 1]]))
        error = [7, b"no \\xff"] if method == "refuse" else None
        os.write(1, msgpack.packb([1, msgid, error, None if error else params]))
"""


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A folder with the plugins `odd` (above) and `raw`, a peer that speaks plain msgpack-RPC."""
    folder = tmp_path / "plugins"
    write_plugin(folder, "odd", CODE, head="import logging, os, sys", permissions=["host.echo"])
    write_plugin(folder, "raw", launch={"argv": ["python3", "-c", RAW_PROMPT]}, protocol="msgpack-rpc")
    return folder
