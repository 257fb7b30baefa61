"""Which versions fit together: of Python, of the SDK, and of the protocol.

Pure. A version is text such as `0.1.0`; the first two numbers decide, since host and SDK share them.
"""

from __future__ import annotations

__all__ = ["OLDEST_PYTHON", "fits", "python_is_new_enough", "requirement"]

OLDEST_PYTHON = (3, 11)


def fits(sdk: str, host: str) -> bool:
    """Whether a plugin with this SDK and a host of this version understand each other's start-up."""
    return sdk.split(".")[:2] == host.split(".")[:2]


def requirement(host: str) -> str:
    """What pip is to install beside a plugin: `plugin-host-sdk==0.1.0`."""
    return f"plugin-host-sdk=={host}"


def python_is_new_enough(version: tuple[int, ...]) -> bool:
    """Whether the SDK runs on this Python."""
    return version[:2] >= OLDEST_PYTHON
