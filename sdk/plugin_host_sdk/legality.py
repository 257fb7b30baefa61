"""Who may send which method, in which state: the reading of the tables in `protocol`."""

from __future__ import annotations

from .protocol import FAMILIES, INITIAL, LEGAL, METHODS

__all__ = ["objection"]


def objection(state: str, sender: str, method: str, kind: int, name: str = "") -> str | None:
    """Why `sender` may not send `method` as this kind of message in this state; None when it may.

    Methods that no table knows may be sent: a request for one is answered, a notification ignored.
    `name` is what to call the sender, if it is not what the role says.
    """
    legal = LEGAL[state]
    if method in INITIAL if legal is None else method not in legal:
        return f"{method[:80]} cannot be sent by the {name or sender} while the connection is {state}"
    senders, right_kind = METHODS.get(method, (None, kind))
    if senders is None:
        senders = FAMILIES.get(method[: method.find(".") + 1])
    if senders is not None and sender not in senders:
        return f"{method[:80]} is not for the {name or sender} to send"
    if right_kind != kind:
        return f"{method[:80]} was sent as the wrong kind of message"
    return None
