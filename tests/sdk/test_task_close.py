"""What the close of a task frees in its worker."""

from __future__ import annotations

import plugin_host_sdk as sdk
from plugin_host_sdk.metadata import PluginOpts, Task
from plugin_host_sdk.testing import TaskHost


def test_task_whose_log_nobody_takes_leaves_its_slot_when_it_is_closed() -> None:
    def work(ctx: sdk.Context, task: Task) -> None:
        for piece in task.command:
            task.log(piece)

    plugin = sdk.Plugin("worker", version="1")
    sdk.metadata.register_plugin(plugin, PluginOpts(on_task=work))
    with TaskHost(plugin) as host:
        held = host.give(["a" * 100, "b"], window=10)
        held.wait_until_taken()
        host.sink.wait_for_offset(held.stream, 10)
        host.ask("metadata.close", {"task": held.id})
        following = host.give(["next"])
        assert following.wait().success
        assert following.log == b"next"
