"""Ending the plugin's process once the answer has gone; its host starts it anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_host_sdk.action import Done

if TYPE_CHECKING:
    import plugin_host_sdk as sdk
    from plugin_host_sdk.action import Exit

__all__ = ["run"]


def run(ctx: sdk.Context, request: Exit) -> Done:
    ctx.action.after_reply(lambda: ctx.action.end_plugin("an action asked it to exit"))
    return Done(message="the plugin ends now")
