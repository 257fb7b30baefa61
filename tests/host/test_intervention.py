"""What is told of a plugin that is not well, and when it is ended: the findings are the test's."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from plugin_host import hang
from plugin_host.candidate import Candidate
from plugin_host.event import HostEvent
from plugin_host.hang import HangReport
from plugin_host.health import HealthVerdict
from plugin_host.intervention import Intervention
from plugin_host.journal import Journal
from plugin_host.manifest import decode
from plugin_host.plugin import Plugin
from plugin_host.vitals import Vitals
from tests.run import Run

SILENT = HealthVerdict("silent", 23.0, 3)
LOOP = HealthVerdict("loop", 20.0, 3)
STALLED = HealthVerdict("stalled", 30.0, 3, Vitals(running=2, waiting=1, finished=0))


class Ward:
    """An intervention for the plugin `demo`, and the instance that it is about."""

    process = link = None

    def __init__(self, monkeypatch: pytest.MonkeyPatch, action: str = "restart") -> None:
        self.found = asyncio.Event()  # the inquiry ends with it
        self.ends: list[str] = []
        self.told: list[HostEvent] = []
        keys = {"id": "demo", "version": "1.0.0", "launch": {"argv": ["x"]}, "health": {"action": action}}
        self.manifest = decode(json.dumps(keys).encode(), file="demo")
        self.plugin = Plugin(Candidate(id="demo", source="here", manifest=self.manifest), self.told.append)
        self.intervention = Intervention(self.plugin, Journal("demo"), self.told.append)
        monkeypatch.setattr(hang, "examine", self.examine)

    async def examine(self, process: Any, link: Any) -> HangReport:
        await self.found.wait()
        return HangReport("found at demo.py:7", "none", "sleeping")

    async def kill(self, how: str, doing: str) -> None:
        self.ends.append(how)

    def begin(self, verdict: HealthVerdict) -> None:
        instance: Any = self
        self.intervention.begin(instance, verdict)

    async def find(self) -> None:
        """Let the inquiry come to its end, and to what follows."""
        self.found.set()
        inquiry = self.intervention._inquiry
        assert inquiry is not None
        await inquiry
        self.found.clear()

    @property
    def causes(self) -> list[str | None]:
        """Of what was told; None is that it is well again."""
        return [event.cause for event in self.told]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("verdict", "action", "is_ended"),
    [
        (SILENT, "restart", True),
        (LOOP, "restart", True),
        (STALLED, "restart", False),
        (SILENT, "report", False),
        (LOOP, "report", False),
        (STALLED, "report", False),
    ],
    ids=lambda value: getattr(value, "cause", str(value)),
)
def test_one_is_ended_for_what_may_end_it_unless_its_manifest_says_otherwise(
    run: Run, monkeypatch: pytest.MonkeyPatch, verdict: HealthVerdict, action: str, is_ended: bool
) -> None:
    async def body() -> None:
        ward = Ward(monkeypatch, action)
        ward.begin(verdict)
        assert not ward.plugin.healthy
        await ward.find()
        (event,) = ward.told
        assert (event.healthy, event.cause) == (False, verdict.cause)  # type: ignore[attr-defined]
        assert event.reason == f"{verdict.describe()}; found at demo.py:7"  # type: ignore[attr-defined]
        words = f"was unresponsive and killed by the host: {verdict.describe()}"
        assert ward.ends == ([words] if is_ended else [])

    run(body())


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (SILENT, "it answers, and its event loop comes round"),
        (LOOP, "it answers, and its event loop comes round"),
        (STALLED, "a call has ended, or none waits any more"),
    ],
    ids=lambda value: getattr(value, "cause", ""),
)
def test_recovery_is_told_once_with_what_is_well_again(
    run: Run, monkeypatch: pytest.MonkeyPatch, verdict: HealthVerdict, words: str
) -> None:
    async def body() -> None:
        ward = Ward(monkeypatch, "report")
        ward.begin(verdict)
        await ward.find()
        ward.intervention.recovered()
        ward.intervention.recovered()
        assert ward.causes == [verdict.cause, None]
        assert ward.told[-1].reason == words  # type: ignore[attr-defined]
        assert ward.plugin.healthy

    run(body())


@pytest.mark.parametrize("verdict", [SILENT, LOOP, STALLED], ids=lambda verdict: verdict.cause)
def test_one_that_recovers_while_it_is_examined_is_not_ended_and_both_are_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, verdict: HealthVerdict
) -> None:
    async def body() -> None:
        ward = Ward(monkeypatch)
        ward.begin(verdict)
        inquiry = ward.intervention._inquiry
        assert inquiry is not None
        await asyncio.sleep(0)
        ward.intervention.recovered()
        ward.found.set()
        with pytest.raises(asyncio.CancelledError):
            await inquiry
        assert ward.causes == [verdict.cause, None]
        assert ward.told[0].reason.startswith(verdict.describe())  # type: ignore[attr-defined]
        assert ward.ends == []
        assert ward.plugin.healthy

    run(body())


def test_another_cause_takes_the_place_of_the_one_that_is_examined(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        ward = Ward(monkeypatch)
        ward.begin(SILENT)
        await asyncio.sleep(0)
        ward.begin(STALLED)
        await ward.find()
        assert (ward.causes, ward.ends) == (["stalled"], [])
        ward.begin(LOOP)
        await ward.find()
        assert ward.causes == ["stalled", "loop"]
        assert len(ward.ends) == 1

    run(body())


def test_what_was_called_off_is_told_neither_then_nor_at_a_later_recovery(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        ward = Ward(monkeypatch)
        ward.begin(SILENT)
        await asyncio.sleep(0)
        ward.intervention.call_off()
        ward.plugin.healthy = True  # as of the next instance
        ward.intervention.recovered()
        assert (ward.causes, ward.ends) == ([], [])

    run(body())
