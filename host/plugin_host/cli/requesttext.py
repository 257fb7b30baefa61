"""The request that a person gives to `plugin-host send`: read, and held against what a listener takes.

Invariant: what is sent is what was given, byte by byte; what no listener would read is not sent.
"""

from __future__ import annotations

import codecs
import os
import sys

import click

from . import argument, output

__all__ = ["request_text"]

_OBJECT = """expected a JSON object, as in '{"Command": "host.status"}'"""


def request_text(word: str) -> bytes:
    """The text that the word stands for: itself, `@file`, or `-`. Raises click.UsageError."""
    name, text = argument.contents(word) or ("the request", os.fsencode(word))
    text = text.removeprefix(codecs.BOM_UTF8)
    if not text.lstrip().startswith(b"{"):
        raise click.UsageError(_OBJECT)
    _check(name, text)
    return text


def _check(name: str, text: bytes) -> None:
    """As the listener will; its own limit of a request's size is the listener's to tell."""
    from plugin_host.listener.framing import BadRequest, Framing
    from plugin_host.listener.request import Request

    framing = Framing(limit=sys.maxsize)
    framing.feed(text)
    try:
        found = framing.next()
        if found is None:
            raise framing.ended() or BadRequest("expected a JSON object")
        Request.of(found[0])
    except BadRequest as error:
        raise click.UsageError(output.printable(f"{name}: {error}")) from None
    if framing.has_more:
        raise click.UsageError(f"{name}: expected one JSON object, found more behind it")
