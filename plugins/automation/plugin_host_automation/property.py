"""What tells this machine from others: its name, its kernel, its distribution."""

from __future__ import annotations

import os
import platform

from plugin_host_sdk.action import Properties

__all__ = ["properties"]


def properties() -> Properties:
    """Those of this machine; what cannot be known is ""."""
    system = os.uname()
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    return Properties(
        hostname=system.nodename,
        kernel_name=system.sysname,
        kernel_version=system.release,
        distribution_name=release.get("NAME", ""),
        distribution_version=release.get("VERSION_ID", ""),
    )
