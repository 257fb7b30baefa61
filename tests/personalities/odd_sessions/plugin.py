"""Answers for sessions what it was told to, and says of them what it was told to; it runs none.

The command `answer(method, result, error, before, after, silent)` sets what the next requests of a method
get, with messages before and after that; `say(messages)` sends messages now. In all of it the texts
"$session", "$stdin", "$viewer", "$stdout" and "$stderr" stand for what the last requests named.
"""

from __future__ import annotations

from typing import Any

from plugin_host_sdk.events import RequestReceived
from tests.personalities.peer import Peer

HANDLER = {"key": "odd_sessions/one", "plugin": "odd_sessions", "resource": "one"}
CREDIT = 1_000_000

names: dict[str, Any] = {}
answers: dict[str, dict[str, Any]] = {}


def filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {filled(key): filled(part) for key, part in value.items()}
    if isinstance(value, list):
        return [filled(part) for part in value]
    return names.get(value, value) if isinstance(value, str) else value


def usual(method: str, params: dict[str, Any]) -> Any:
    """What a plugin answers."""
    session = {"id": params.get("id") or params.get("session"), "handler": HANDLER["key"], "tty": False}
    if method == "exec.create":
        return {"session": session | {"tty": params["tty"]}, "stdin_window": CREDIT}
    if method == "exec.attach":
        return {"session": session, "stdout": {}, "stderr": {}}
    if method == "exec.handlers":
        return {"handlers": [HANDLER]}
    return {"exec.get": session, "exec.list": {"sessions": []}}.get(method, {})


def note(asked: RequestReceived) -> None:
    """Remember names, and expect the streams, which the connection would else find unknown."""
    params = asked.params
    for name in ("session", "viewer", "stdin", "stdout", "stderr"):
        if params.get(name) is not None:
            names[f"${name}"] = params[name]
    if asked.method == "exec.create":
        names["$session"] = params["id"]
        peer.streams.open_receive(params["stdin"], CREDIT)
    elif asked.method == "exec.attach":
        for name in ("stdout", "stderr"):
            if params[name] is not None:
                peer.streams.open_send(params[name], params["window"])


def say(messages: list[Any]) -> None:
    for message in messages:
        if message[0] == 0:
            peer.expect_answer(message[1])
        peer.send(peer.pack(filled(message)))


def serve(asked: RequestReceived) -> None:
    note(asked)
    told = answers.get(asked.method, {})
    say(told.get("before", []))
    if not told.get("silent"):
        result = told.get("result", usual(asked.method, asked.params))
        say([[1, asked.msgid, told.get("error"), result]])
    say(told.get("after", []))


def run(msgid: int, params: Any) -> None:
    given = params["params"]
    if params["name"] == "answer":
        answers[given.pop("method")] = given
    say([[1, msgid, None, {"status": 0, "result": None}]])
    if params["name"] == "say":
        say(given["messages"])


peer = Peer()
peer.be_ready("odd_sessions", commands=["answer", "say"], capabilities={"exec": {"handlers": [HANDLER]}})
while True:
    asked = peer.request()
    if asked.method == "command.call":
        run(asked.msgid, asked.params)
    elif asked.method == "shutdown":
        peer.send(peer.pack([1, asked.msgid, None, {}]))
        raise SystemExit
    else:
        serve(asked)
