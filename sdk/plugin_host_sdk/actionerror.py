"""Why an action was not done."""

from __future__ import annotations

from .trunk import NamedError

__all__ = [
    "ActionError",
    "ActionFailed",
    "ActionInvalid",
    "ActionNotFound",
    "ActionNotPrivileged",
    "ActionNotSupported",
    "ActionRefused",
    "KeyRejected",
]


class ActionError(NamedError):
    """An action was refused, or failed; the subclass says why."""

    NAME = "action.failed"


class ActionNotSupported(ActionError):
    """The plugin has no such kind of action; `data["kinds"]` are those it has, sorted."""

    NAME = "action.not_supported"


class ActionRefused(ActionError):
    """The operator has not allowed it."""

    NAME = "action.refused"

    @property
    def option(self) -> str:
        """The setting that would allow it; empty when the peer named none."""
        found = self.data.get("option") if isinstance(self.data, dict) else None
        return found if isinstance(found, str) else ""


class ActionNotPrivileged(ActionError):
    """It takes rights that the plugin's process has not, such as to run as another user."""

    NAME = "action.not_privileged"


class ActionNotFound(ActionError):
    """No action of that id, or no longer."""

    NAME = "action.not_found"


class ActionInvalid(ActionError):
    """The request is not what this kind of action takes; nothing was done."""

    NAME = "action.invalid"


class ActionFailed(ActionError):
    """It was begun and could not be done; `data` may hold `errno`."""

    NAME = "action.failed"


class KeyRejected(ActionError):
    """A key, or the proof of one, is not right; what was valid before is still valid."""

    NAME = "action.key_rejected"


KINDS = {
    kind.NAME: kind
    for kind in (
        ActionNotSupported,
        ActionRefused,
        ActionNotPrivileged,
        ActionNotFound,
        ActionInvalid,
        ActionFailed,
        KeyRejected,
    )
}
