"""The actions that wait for one guest, and what each waits for: a poll, a reply, or its end.

Pure: times are arguments. Invariants: an action is handed to one poll at a time, the oldest first; it
stays until a reply to it is good, whatever is said to it before; one that nobody takes or answers in time
expires.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from plugin_host.errors import InvalidPayload, MethodNotAllowed, ResourceConflict, UnknownActionId
from plugin_host.wording import shown

from .action import KINDS, Action
from .mediatype import media_type

__all__ = ["ANSWERING", "TAKEN", "TRANSITIONS", "WAITING", "ActionTable", "Reply"]

WAITING = "waiting"  # for a poll
TAKEN = "taken"  # by a poll, and not answered
ANSWERING = "answering"  # a reply has begun

TRANSITIONS: dict[str, dict[str, str]] = {
    WAITING: {"take": TAKEN, "reply": ANSWERING},
    TAKEN: {"return": WAITING, "reply": ANSWERING},
    ANSWERING: {"fail": TAKEN},
}


@dataclass(frozen=True, slots=True)
class Reply:
    """How a guest answers: what can be seen before the body. `error` is its word for a failure."""

    method: str
    content_type: str | None = None
    is_upgrade: bool = False
    error: str | None = None


@dataclass(slots=True)
class _Pending:
    action: Action
    deadline: float
    state: str = field(default=WAITING)


class ActionTable:
    """`take_s` is how long an action waits for a poll, `reply_s` how long from then on for a reply."""

    def __init__(self, take_s: float, reply_s: float) -> None:
        self._take_s = take_s
        self._reply_s = reply_s
        self._pending: dict[str, _Pending] = {}

    def __repr__(self) -> str:
        return f"<ActionTable {[(one.action.type, one.state) for one in self._pending.values()]}>"

    def __len__(self) -> int:
        return len(self._pending)

    def __iter__(self) -> Iterator[Action]:
        return (pending.action for pending in self._pending.values())

    @property
    def has_waiting(self) -> bool:
        """Whether there is something for a poll."""
        return any(pending.state == WAITING for pending in self._pending.values())

    @property
    def deadline(self) -> float | None:
        """When the next action expires, unless something happens to it; None when none does."""
        return min((one.deadline for one in self._pending.values() if one.state != ANSWERING), default=None)

    def add(self, action: Action, now: float) -> None:
        """An action for the guest."""
        self._pending[action.id] = _Pending(action, now + self._take_s)

    def take(self, now: float) -> Action | None:
        """The oldest that waits, which a poll is answered with."""
        for pending in self._pending.values():
            if pending.state == WAITING:
                self._move(pending, "take", now + self._reply_s)
                return pending.action
        return None

    def give_back(self, action: str, now: float) -> bool:
        """The poll that took it was lost: it goes to the next. Whether it does: it may be done already."""
        pending = self._pending.get(action)
        if pending is None or pending.state != TAKEN:
            return False
        self._move(pending, "return", now + self._take_s)
        return True

    def begin(self, action: str, reply: Reply) -> Action:
        """A reply begins; no other can meanwhile, and time does not count against it.

        Nothing changes when that raises: UnknownActionId, also for one that has expired or was answered;
        ResourceConflict while another reply is on the way; MethodNotAllowed, and InvalidPayload for a reply
        that its type does not have.
        """
        pending = self._pending.get(action)
        if pending is None:
            raise UnknownActionId(f"there is no action {shown(action)}, or no longer")
        if pending.state == ANSWERING:
            raise ResourceConflict(f"action {shown(action)} is being answered already")
        self._check(pending.action, reply)
        self._move(pending, "reply", pending.deadline)
        return pending.action

    def fail(self, action: str, now: float) -> None:
        """The reply was no good, or was cut off: another is waited for."""
        pending = self._pending.get(action)
        if pending is not None and pending.state == ANSWERING:
            self._move(pending, "fail", now + self._reply_s)

    def remove(self, action: str) -> None:
        """It was answered, or nobody wants the answer any more."""
        self._pending.pop(action, None)

    def expire(self, now: float) -> list[tuple[Action, str]]:
        """Remove those whose time is over, each with what it waited for."""
        over = [one for one in self._pending.values() if one.state != ANSWERING and one.deadline <= now]
        for pending in over:
            del self._pending[pending.action.id]
        return [(pending.action, pending.state) for pending in over]

    def _move(self, pending: _Pending, event: str, deadline: float) -> None:
        pending.state = TRANSITIONS[pending.state][event]
        pending.deadline = deadline

    def _check(self, action: Action, reply: Reply) -> None:
        kind = KINDS.get(action.type)
        if kind is None or (reply.error is not None and reply.method == "POST"):
            return  # an action that a guest does not know or cannot do is refused in one way
        if reply.method != kind.method:
            raise MethodNotAllowed(f"{action.type} is answered with {kind.method}, not {reply.method}")
        if reply.is_upgrade != kind.is_upgrade:
            how = "with an upgrade to a websocket" if kind.is_upgrade else "without an upgrade"
            raise InvalidPayload(f"{action.type} is answered {how}")
        if kind.content_type is not None and media_type(reply.content_type) != kind.content_type:
            given = "none" if reply.content_type is None else shown(reply.content_type)
            raise InvalidPayload(
                f"{action.type} is answered with 'Content-Type: {kind.content_type}', and this has {given}"
            )
