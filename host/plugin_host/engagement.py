"""What one run of a plugin is engaged in: calls, sessions, actions, tasks, and what it asks of its host.

Invariant: all of it ends at once and with the same reason, by `died` or `stopped`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .action.proxy import ActionProxy
from .errors import CallCancelled, CallFailed, MetadataError, PluginDied
from .exec.proxy import ExecProxy
from .task.proxy import TaskProxy

if TYPE_CHECKING:
    from plugin_host_sdk.events import RequestReceived

    from .candidate import Candidate
    from .death import DeathReport
    from .facility import Facilities
    from .journal import Journal
    from .link import Link
    from .manifest import Manifest
    from .metric.meter import Meter

__all__ = ["Engagement"]


class Engagement:
    """Of the run behind `link`, from when it is ready."""

    def __init__(
        self,
        candidate: Candidate,
        manifest: Manifest,
        link: Link,
        facilities: Facilities,
        journal: Journal,
        meter: Meter,
    ) -> None:
        self.id = candidate.id
        self.exec = ExecProxy(self.id, link, meter.sessions, facilities.emit)
        self.actions = ActionProxy(self.id, link, facilities.emit)
        self.tasks = TaskProxy(self.id, link, self.exec)
        self._link = link
        self._granted = candidate.granted
        self._asked = manifest.permissions
        self._is_raw = manifest.protocol == "msgpack-rpc"
        self._services = facilities.services
        self._metadata = facilities.metadata
        self._journal = journal

    @property
    def is_busy(self) -> bool:
        """Whether calls are in flight, sessions or tasks are open, or it asks something of the host.

        Sessions that have ended count while what they have put out is still read, or still kept for who
        has opened them.
        """
        link, tasks = self._link, self.tasks
        # One that serves no call and waits for its metadata to change, or for a task, may be stopped.
        waiting = self._metadata.waiting(link) + tasks.held
        asked = len(link.connection.incoming) - waiting
        is_working = bool(self.actions.running) or tasks.is_busy
        is_called = bool(link.calls()) or (link.joint is not None and link.joint.is_busy())
        is_in_session = bool(self.exec.running) or self.exec.has_readers
        return is_called or is_in_session or asked > 0 or is_working

    @property
    def calls(self) -> list[str]:
        """The calls in flight and the actions that run, in words."""
        return [*self._link.calls(), *(run.kind for run in self.actions.running)]

    # What the plugin says.

    def requested(self, event: RequestReceived) -> None:
        """It asks something of the host."""
        if self.tasks.serves(event.method) and not self._is_raw:
            self.tasks.serve(event)
            return
        is_metadata = event.method.startswith("metadata.") and not self._is_raw
        desk = self._metadata if is_metadata else self._services
        desk.serve(self._link, self.id, self._granted, event, self._asked)

    def cancelled(self, msgid: int) -> None:
        """It does not want the answer any more."""
        self._services.cancel(self._link, msgid)
        self._metadata.cancel(self._link, msgid)
        self.tasks.cancel(msgid)

    def notified(self, method: str, params: Any) -> bool:
        """It tells of a session, an action or a task; False when too much of that cannot be meant."""
        try:
            if method == "exec.exited":
                self.exec.exited(params)
            elif method.startswith("action."):
                self.actions.told(method, params)
            elif method.startswith("metadata."):
                self.tasks.hear(method, params)
        except (CallFailed, MetadataError) as error:
            return self._journal.complain(f"plugin {self.id}: {error.message}")
        return True

    # The end.

    def died(self, report: DeathReport) -> None:
        """All of it ends with the report."""
        self._link.fail_calls(lambda: PluginDied.of(report, "while the call was in flight"))
        self.exec.fail(lambda session: PluginDied.of(report, f"with session {session} open"))
        self.actions.fail(lambda action: PluginDied.of(report, f"with action {action} running"))
        when = "with a task given to it"
        self.tasks.fail(report.describe(when), report, lambda: PluginDied.of(report, when))
        self._forget()

    def stopped(self) -> None:
        """All of it ends because the host stopped the plugin."""
        self._link.fail_calls(self._stopped)
        self.exec.fail(lambda session: self._stopped())
        self.actions.fail(lambda action: self._stopped())
        self.tasks.fail(f"the host stopped plugin `{self.id}`", None, self._stopped)
        self._forget()

    def _forget(self) -> None:
        self._services.forget(self._link)
        self._metadata.forget(self._link)

    def _stopped(self) -> CallCancelled:
        text = f"the host stopped plugin `{self.id}` while the call was in flight"
        return CallCancelled(text, name="rpc.cancelled")
