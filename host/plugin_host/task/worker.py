"""Who works on a task, as the task sees it: a plugin behind its link, or a program elsewhere.

The other way round a worker uses `Task.claim`, `start`, `feed`, `report`, `decline` and `lose`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from plugin_host_sdk.types.task import FolderEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plugin_host.exec.session import Session

    from .artifact import Artifact

__all__ = ["FilePath", "FolderEntry", "TaskWorker"]

FilePath = str | bytes
"""An absolute path; bytes are one that is no UTF-8."""


class TaskWorker(Protocol):
    """Every method may be called from `claim` until `close`, with the id of the task.

    Each raises CallError for what it refuses.
    """

    async def list_folder(self, task: str, path: FilePath, recursive: bool) -> list[FolderEntry]:
        """What is in a folder. Raises FolderNotFound and other FileAccessErrors."""

    async def get_artifact(self, task: str, path: FilePath) -> Artifact:
        """A file that is open, to be read once. Raises ArtifactNotFound and other FileAccessErrors."""

    async def open_shell(self, task: str, command: Sequence[str] | None, **given: Any) -> Session:
        """A session beside the task; `given` are fields of `SessionOptions`, None for absent."""

    async def kill(self, task: str, grace: float) -> str:
        """End all that the task runs, for certain after `grace` seconds.

        "killed", or "remembered" when nothing runs yet, or "ended" when nothing runs any more.
        """

    async def close(self, task: str) -> None:
        """Nothing more will be asked about the task: end its shells and what is still being read."""
