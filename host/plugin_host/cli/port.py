"""The TCP ports that `plugin-host run` was told to open."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Ports"]


class Ports(NamedTuple):
    """`metrics` is a port for Prometheus, `sealed` host:port for who has the key in `psk_file`."""

    metrics: int | None = None
    sealed: str | None = None
    psk_file: str | None = None
