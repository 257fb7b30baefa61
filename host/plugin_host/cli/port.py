"""The TCP ports that `plugin-host run` was told to open."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from plugin_host.configuration import Control

__all__ = ["Ports"]


class Ports(NamedTuple):
    """`metrics` is a port for Prometheus, `sealed` host:port for who has the key in `psk_file`."""

    metrics: int | None = None
    sealed: str | None = None
    psk_file: str | None = None

    def configured(self, control: Control) -> Ports:
        """With what the configuration says where nothing was given. Raises click.UsageError."""
        sealed, psk_file = self.sealed or control.listen, self.psk_file or control.psk_file
        if sealed is not None and psk_file is None:
            text = "--listen needs --psk-file: without a key anybody could run programs here"
            raise click.UsageError(f"{text} (in the configuration: listen and psk_file under [control])")
        return self._replace(sealed=sealed, psk_file=psk_file)
