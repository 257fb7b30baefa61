"""One transfer through descriptors: so many bytes in, the same bytes out, and how long that took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["transfer"]

_CLIENT = str(Path(__file__).with_name("io_client.py"))
_BYTES_A_SECOND = 1 << 30


def transfer(fds: Sequence[int], seconds: float) -> dict[str, float]:
    """Give the client the descriptors to write and to read, which are closed here. Blocks.

    A "second" is a GiB: a fixed amount, so that a slow machine moves no less. Raises ValueError for
    bytes that changed on the way.
    """
    size = int(seconds * _BYTES_A_SECOND)
    command = [sys.executable, "-I", "-S", _CLIENT, *map(str, fds), str(size)]
    client = subprocess.Popen(command, pass_fds=fds, stdout=subprocess.PIPE)
    for fd in fds:
        os.close(fd)
    out, _ = client.communicate()
    if client.returncode:
        raise ValueError(f"the client of the descriptors ended with status {client.returncode}")
    figures = json.loads(out)
    if not figures["is_equal"]:
        raise ValueError(f"what came back of {size} bytes is not what was sent")
    return {"mb_per_s": size / 1e6 / figures["seconds"]}
