"""Callers: each calls one plugin all the time, checks every answer, and sometimes thinks better of it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plugin_host import PluginHostError

from .judge import kind_of, lateness, objection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .part import Part
    from .scene import Scene

__all__ = ["call_often"]

_PAUSE_S = 0.08
_CANCELLED = 0.05  # of all calls
_IMPATIENT = 0.1
_BYSTANDERS_S = 15.0
_VICTIMS_S = (0.2, 1.0, 3.0)
_BLOBS = (1000, 60_000, 600_000)
# Of the call itself, when it was not the other plugin that it failed at.
_OWN_NAMES = ("host.relay", "'relay'")
# The host's own bound for a call that has lost its way; nothing should come to it.
_LOST_S = 30.0


@dataclass(frozen=True, slots=True)
class _Ask:
    """A call as it is to be made, and what it has to return; `via` is whom it is passed on to."""

    command: str
    params: dict[str, Any]
    expected: Any
    timeout: float
    fail_fast: bool = False
    via: Part | None = None


async def call_often(scene: Scene, part: Part, parts: Sequence[Part], seed: str) -> None:
    """One call after another to a plugin, until the run is over."""
    chance = random.Random(seed)
    while not scene.is_over:
        ask = _draw(part, parts, chance)
        if chance.random() < _CANCELLED:
            await _call_off(scene, part, ask, chance.uniform(0, 0.03))
        else:
            await _call(scene, part, ask)
        await asyncio.sleep(chance.expovariate(1 / _PAUSE_S))


def _draw(part: Part, parts: Sequence[Part], chance: random.Random) -> _Ask:
    timeout = chance.choice(_VICTIMS_S) if part.is_victim else _BYSTANDERS_S
    hasty = part.is_victim and chance.random() < _IMPATIENT
    value = chance.random()
    kind = chance.choice(("echo", "echo", "nap", "doze", "compute", "blob", "stamp", "relay", "relay"))
    if kind in ("nap", "doze"):
        seconds = chance.uniform(0, 0.1)
        return _Ask(kind, {"seconds": seconds, "value": value}, value, timeout, hasty)
    if kind == "compute":
        number = chance.randrange(30_000)
        return _Ask(kind, {"value": number}, number * (number - 1) // 2, timeout, hasty)
    if kind == "blob":
        blob = chance.randbytes(1000) * (chance.choice(_BLOBS) // 1000)
        return _Ask("echo", {"value": blob}, blob, timeout, hasty)
    if kind == "relay":
        other = chance.choice([one for one in parts if one is not part])
        params = {"to": other.id, "value": value}
        return _Ask(kind, params, {"result": value}, timeout, hasty, via=other)
    return _Ask(kind, {"value": value}, value, timeout, hasty)


async def _call(scene: Scene, part: Part, ask: _Ask) -> None:
    tally, loop = scene.tally, asyncio.get_running_loop()
    begun = loop.time()
    tally.calls["made"] += 1
    try:
        async with asyncio.timeout(ask.timeout + _LOST_S):
            result = await scene.host.call(
                part.id, ask.command, ask.params, timeout=ask.timeout, fail_fast=ask.fail_fast
            )
    except TimeoutError:
        tally.violate(
            part.id, f"`{ask.command}` went on {_LOST_S:g} s beyond its deadline of {ask.timeout} s"
        )
        return
    except PluginHostError as error:
        _failed(scene, part, ask, error)
    else:
        _answered(scene, part, ask, result, loop.time() - begun)
    if late := lateness(begun + ask.timeout, scene.pulse):
        tally.violate(part.id, f"`{ask.command}` ended {late:.2f} s too late for {ask.timeout} s")


def _failed(scene: Scene, part: Part, ask: _Ask, error: PluginHostError) -> None:
    tally = scene.tally
    tally.calls["failed"] += 1
    tally.failures[kind_of(error)] += 1
    if not part.is_victim:
        tally.violate(
            part.id, f"a bystander missed a call of `{ask.command}`: {type(error).__name__}: {error}"
        )
    elif (wrong := objection(error, part.id)) is not None:
        tally.violate(part.id, f"`{ask.command}`: {wrong}")


def _answered(scene: Scene, part: Part, ask: _Ask, result: Any, took: float) -> None:
    tally = scene.tally
    if not part.is_victim and (ask.via is None or not ask.via.is_victim):
        tally.latencies.append(took)
    if result == ask.expected:
        tally.calls["ok"] += 1
    elif ask.via is not None and isinstance(result, dict) and "error" in result:
        _not_relayed(scene, part, ask.via, str(result["error"]))
    elif part.id in scene.tainted:
        tally.calls["ok, with an answer that somebody wrote into"] += 1
    else:
        tally.violate(
            part.id, f"`{ask.command}` answered {str(result)[:100]}, not {str(ask.expected)[:100]}"
        )


def _not_relayed(scene: Scene, part: Part, to: Part, error: str) -> None:
    """The plugin answered that the one behind it could not be reached."""
    tally = scene.tally
    tally.calls["ok, the nested call failed"] += 1
    if not part.is_victim and not to.is_victim:
        tally.violate(to.id, f"a bystander missed a call passed on by {part.id}: {error}")
    elif not any(name in error for name in (to.id, *_OWN_NAMES)):
        tally.violate(to.id, f"a call passed on by {part.id} failed and does not say of whom: {error!r}")


async def _call_off(scene: Scene, part: Part, ask: _Ask, after_s: float) -> None:
    """Cancel the call at any moment: it ends at once, and with nothing but the cancellation."""
    tally, loop = scene.tally, asyncio.get_running_loop()
    tally.calls["made"] += 1
    call = asyncio.create_task(scene.host.call(part.id, ask.command, ask.params, timeout=ask.timeout))
    await asyncio.sleep(after_s)
    moment = loop.time()
    call.cancel()
    await asyncio.wait([call])
    if late := lateness(moment, scene.pulse):
        tally.violate(part.id, f"`{ask.command}` ended {late:.2f} s after it was cancelled")
    if call.cancelled():
        tally.calls["cancelled"] += 1
    elif isinstance(error := call.exception(), PluginHostError):
        _failed(scene, part, ask, error)
    elif error is not None:
        tally.violate(part.id, f"`{ask.command}` raised {error!r}")
    else:
        tally.calls["ok"] += 1
