"""The steps of `action change-key`: what fails takes back the new key, and nothing that is another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from plugin_host.cli import actionkey
from plugin_host.errors import ActionFailed
from plugin_host_sdk.action import KeyRejected, KeyResult, UpdateKey, key_fingerprint
from tests.run import Run

KEY = "a key of sixteen bytes"


def changed(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
    error: BaseException,
    prints: dict[str, str] | None = None,
) -> list[str]:
    """The steps that are taken when the one `failing` raises `error`, as `change-key` then does."""
    taken: list[str] = []

    async def result(phase: str) -> KeyResult:
        if phase == failing:
            raise error
        return KeyResult(
            state="offered", nonce="n", fingerprint=(prints or {"offer": "mine"}).get(phase, "")
        )

    async def trigger(plugin: str, request: UpdateKey) -> Any:
        taken.append(request.phase)
        if request.phase == "withdraw":  # of this key alone: another may have been offered since
            answered = failing != "offer"
            assert request.fingerprint == ("mine" if answered else key_fingerprint(KEY))
        return SimpleNamespace(result=lambda: result(request.phase))

    @asynccontextmanager
    async def reach(*_: Any) -> AsyncIterator[Any]:
        yield SimpleNamespace(trigger=trigger)

    monkeypatch.setattr(actionkey, "reach", reach)

    async def body() -> None:
        options: Any = None
        with pytest.raises(ActionFailed if failing in ("drop", "") else type(error), match=str(error)):
            await actionkey._change(options, "automation", KEY)

    run(body())
    return taken


def test_a_refused_offer_leaves_what_was_offered_before(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert changed(run, monkeypatch, "offer", KeyRejected("too short")) == ["offer"]


def test_who_is_interrupted_in_the_offer_takes_back_what_may_have_come_of_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert changed(run, monkeypatch, "offer", asyncio.CancelledError("now")) == ["offer", "withdraw"]


@pytest.mark.parametrize("error", [KeyRejected("wrong"), asyncio.CancelledError("now")])
def test_a_key_that_is_not_proved_is_taken_back(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    assert changed(run, monkeypatch, "prove", error) == ["offer", "prove", "withdraw"]


def test_a_key_that_was_proved_stays(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert changed(run, monkeypatch, "drop", KeyRejected("no")) == ["offer", "prove", "drop"]


def test_a_change_of_somebody_else_that_came_between_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = KeyRejected(
        "the key with the fingerprint theirs is valid, and the one that was given here is not"
    )
    prints = {"offer": "ours", "prove": "ours", "drop": "theirs"}
    assert changed(run, monkeypatch, "", words, prints) == ["offer", "prove", "drop"]
