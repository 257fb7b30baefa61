"""The sessions of the running host, as a user names them and as he is shown them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from plugin_host.errors import SessionNotFound

from .duration import brief_duration
from .sessionname import Key, brief_ids, chosen_session
from .table import table

if TYPE_CHECKING:
    from plugin_host.control import ControlClient
    from plugin_host.exec.session import Session

__all__ = ["find_session", "list_sessions", "sessions_text"]

_TITLES = ("SESSION", "PLUGIN", "HANDLER", "COMMAND", "STATE", "VIEWERS", "OWNER", "AGE")
_LONGEST_COMMAND = 40


async def list_sessions(client: ControlClient, plugin: str | None = None) -> list[dict[str, Any]]:
    """Those that this client may use, in order of plugin and time.

    Each is what its plugin says of it, with `plugin`, `owner` (a client's number, None without one),
    `mine` and `keep` beside it.
    """
    found = (await client.ask("host.sessions", {"plugin": plugin}))["sessions"]
    beside = ("plugin", "owner", "mine", "keep")
    return [{**one["session"], **{name: one.get(name) for name in beside}} for one in found]


async def find_session(client: ControlClient, name: str) -> Session:
    """The session that a user means. Raises SessionNotFound, CallFailed when there are several."""
    known = [_key(one) for one in await list_sessions(client)]
    try:
        plugin, id = chosen_session(name, known)
    except SessionNotFound as error:
        # One that nobody may use without being its owner is not listed; by its token this client may be.
        try:
            return await client.session(name)
        except SessionNotFound:
            raise error from None
    return await client.session(id, plugin)


def sessions_text(sessions: Sequence[Mapping[str, Any]]) -> str:
    """The table for people; nothing but its titles where there are none."""
    brief = brief_ids([_key(one) for one in sessions])
    return table(_TITLES, [_row(one, brief) for one in sessions])


def _row(session: Mapping[str, Any], brief: Mapping[Key, str]) -> list[str]:
    owner = session["owner"]
    return [
        brief[_key(session)],
        session["plugin"],
        session["handler"],
        _command(session["command"]),
        _state(session),
        str(session["viewers"]),
        "" if owner is None else f"client {owner}",
        brief_duration(time.time() - session["created_at"]),
    ]


def _key(session: Mapping[str, Any]) -> Key:
    return session["plugin"], session["id"]


def _command(words: Sequence[str]) -> str:
    text = " ".join(words)
    return text if len(text) <= _LONGEST_COMMAND else f"{text[: _LONGEST_COMMAND - 1]}…"


def _state(session: Mapping[str, Any]) -> str:
    """`running`, or `ended` and with what."""
    end = session["exit"]
    if not end:
        return str(session["state"])
    how = end.get("signal") or end.get("code")
    return "ended" if how is None else f"ended: {how}"
