"""What a plugin is told when the host itself fails, and how much it may ask for at once."""

from __future__ import annotations

from typing import Any, cast

import pytest

from plugin_host.errors import CallError, InternalError
from plugin_host.link import Link
from plugin_host.metadata.desk import MOST_WAITS, MetadataDesk
from plugin_host.metadata.face import Metadata
from plugin_host_sdk.events import RequestReceived
from tests.run import Run


class Answers:
    """A link that remembers what it was to send."""

    def __init__(self) -> None:
        self.results: dict[int, Any] = {}
        self.errors: dict[int, CallError] = {}

    def answer(self, msgid: int, result: Any) -> None:
        self.results[msgid] = result

    def refuse(self, msgid: int, error: CallError) -> None:
        self.errors[msgid] = error


class Broken(Metadata):
    def look(self, path: str, *, recursive: bool = True) -> Any:
        raise RuntimeError("a secret detail")


def ask(desk: MetadataDesk, link: Answers, msgid: int, method: str, **params: Any) -> None:
    event = RequestReceived(msgid, method, params, None)
    desk.serve(cast(Link, link), "a", ["metadata.read:/"], event)


def test_fault_of_the_host_is_told_by_an_incident_that_its_log_explains(
    caplog: pytest.LogCaptureFixture,
) -> None:
    link = Answers()
    ask(MetadataDesk(Broken()), link, 1, "metadata.get", path="/")
    error = link.errors[1]
    assert isinstance(error, InternalError)
    assert error.incident
    assert "secret" not in str(error.to_map())
    (record,) = [one for one in caplog.records if error.incident in one.getMessage()]
    assert record.exc_info is not None
    assert "a secret detail" in str(record.exc_info[1])


def test_incident_survives_the_wire() -> None:
    sent = InternalError("it failed", data={"incident": "0123"}).to_map()
    rebuilt = CallError.from_map(sent)
    assert isinstance(rebuilt, InternalError)
    assert rebuilt.incident == "0123"


@pytest.mark.parametrize(
    "params",
    [{}, {"path": 7}, {"path": "a"}, {"path": "/", "last": "x"}, {"path": "/", "timeout_ms": -1}],
)
def test_wrong_parameters_are_refused_and_nobody_waits(run: Run, params: dict[str, Any]) -> None:
    async def body() -> None:
        link, desk = Answers(), MetadataDesk(Metadata())
        ask(desk, link, 1, "metadata.wait", **params)
        assert link.errors[1].name == "metadata.invalid_payload"
        assert desk.waiting(cast(Link, link)) == 0

    run(body())


def test_plugin_that_waits_too_often_is_told_so(run: Run) -> None:
    async def body() -> None:
        link, desk = Answers(), MetadataDesk(Metadata())
        for msgid in range(MOST_WAITS + 1):
            ask(desk, link, msgid, "metadata.wait", path="/a")
        assert {msgid: error.name for msgid, error in link.errors.items()} == {MOST_WAITS: "rpc.busy"}
        desk.forget(cast(Link, link))
        assert desk.waiting(cast(Link, link)) == 0

    run(body())
