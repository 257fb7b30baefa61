"""Does whatever a handler may do: succeeds, fails, exits, and returns what can and cannot travel."""

# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

from __future__ import annotations

import dataclasses

import msgspec

import plugin_host_sdk as sdk

plugin = sdk.Plugin("obliging", version="1.0.0")


@plugin.command("echo", help="Give back what came.")
def echo(ctx, value=None):
    return value


@plugin.command("greet")
def greet(ctx, name, greeting="hello"):
    "Greet somebody."
    return f"{greeting} {name}"


@plugin.command("own")
def own(ctx, status, message="", fields=None):
    raise sdk.CommandError(status, message, **(fields or {}))


class OddError(Exception):
    pass


@plugin.command("fail")
def fail(ctx):
    def inner():
        raise OddError("it is Tuesday")

    inner()


@plugin.command("leave")
def leave(ctx):
    raise SystemExit(3)


@plugin.command("uncarried")
def uncarried(ctx, kind):
    return {"deep": [1, {"set": {1}, "object": object(), "big": 2**64, "lambda": echo}[kind]]}


@plugin.command("untaken")
def untaken(ctx, kind):
    if kind == "log":
        ctx.log.info("odd", field={(1, 2): 3})
        return None
    if kind == "own":
        raise sdk.CommandError(5, "odd", field={(1, 2): 3})
    if kind == "error":
        raise sdk.CallFailed("odd", data={(1, 2): 3})
    return {
        "key": lambda: {(1, 2): 3},
        "rows": lambda: [[n] for n in range(150_000)],
        "list": lambda: list(range(1_100_000)),
        "map": lambda: {n: n for n in range(150_000)},
    }[kind]()


@plugin.command("cycle")
def cycle(ctx):
    ring: list[object] = []
    ring.append(ring)
    return ring


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Named(msgspec.Struct):
    name: str


@plugin.command("typed")
def typed(ctx):
    return [Point(1, 2), Named("a")]


@plugin.command("large")
def large(ctx, size):
    return b"x" * size


@plugin.command("steps")
def steps(ctx, count):
    for number in range(count):
        ctx.progress(number, count, f"step {number}")
    return "done"


@plugin.command("anything")
def anything(ctx, **others):
    return others


@plugin.command("facts")
def facts(ctx):
    return {"name": ctx.name, "chain": list(ctx.chain), "deadline": ctx.deadline is not None}
