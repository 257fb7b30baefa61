"""Answers of a plugin that no command of the SDK would give."""

from __future__ import annotations

from typing import Any

import pytest

from plugin_host import CallCancelled, CallFailed, CallTimeout
from tests.run import Run
from tests.stage import stage

pytestmark = pytest.mark.edges


def test_answer_that_is_none_of_a_command_fails_the_call(run: Run) -> None:
    async def body() -> None:
        async with stage("answers_strangely") as host:

            async def answer(**params: Any) -> Any:
                return await host.call("answers_strangely", "answer", params)

            result: Any
            status: Any
            for result in (None, 7, "text", [], {}, {"result": 1}):
                with pytest.raises(CallFailed, match="which has no status"):
                    await answer(result=result)
            for status in ("text", None, [], {}, 1.5, 2**63, -1):
                with pytest.raises(CallFailed):
                    await answer(result={"status": status})
            for error in (1, "broken", [0, "also broken"], {"name": 5}, {"code": "x"}, {"message": [1]}):
                with pytest.raises(CallFailed):
                    await answer(error=error)
            assert await answer(result={"status": 0}) is None

    run(body())


def test_errors_of_a_peer_keep_their_name_code_and_data(run: Run) -> None:
    async def body() -> None:
        async with stage("answers_strangely") as host:
            sent = {"code": 7, "name": "my.own", "message": "no", "data": {"a": 1}, "retryable": True}
            with pytest.raises(CallFailed) as caught:
                await host.call("answers_strangely", "answer", {"error": sent})
            error = caught.value
            assert (error.code, error.name, error.data, error.retryable) == (7, "my.own", {"a": 1}, True)
            with pytest.raises(CallCancelled):
                await host.call("answers_strangely", "answer", {"error": {"name": "rpc.cancelled"}})
            with pytest.raises(CallTimeout):
                await host.call("answers_strangely", "answer", {"error": {"name": "command.timeout"}})

    run(body())


def test_text_is_shown_when_an_answer_is_unreadable(run: Run) -> None:
    """What a hostile plugin answers must not break who shows it."""

    async def body() -> None:
        async with stage("deep_nesting") as host:
            for command in ("bare", "error", "status_message"):
                for depth in (10, 400, 500):
                    with pytest.raises(CallFailed) as caught:
                        await host.call("deep_nesting", command, {"depth": depth})
                    assert len(str(caught.value)) < 1000

    run(body())
