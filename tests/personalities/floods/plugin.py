"""Talks without end: log records, lines on stderr, progress."""

# mypy: disallow-untyped-defs=False

from __future__ import annotations

import sys

import plugin_host_sdk as sdk

plugin = sdk.Plugin("floods", version="1.0.0")


@plugin.command("log")
def log(ctx):
    number = 0
    while not ctx.cancelled:
        ctx.log.info("one of very many", number=number)
        number += 1
    return number


@plugin.command("stderr")
def stderr(ctx):
    number = 0
    while not ctx.cancelled:
        sys.stderr.write(f"one of very many lines: {number}\n")
        number += 1
    return number


@plugin.command("progress")
def progress(ctx):
    number = 0
    while not ctx.cancelled:
        ctx.progress(number)
        number += 1
    return number
