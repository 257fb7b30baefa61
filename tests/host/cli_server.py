"""The program that ``tests.host.cli_fork`` starts: it imports `plugin-host`, then forks for each command.

A fork takes over standard streams, environment, folder and words, runs the entry point, or the program
behind `-c`, and leaves through the interpreter's ordinary end.
"""

from __future__ import annotations

import asyncio  # noqa: F401 - with what follows, most of what a command imports
import gc
import json
import os
import socket
import sys
import warnings
from collections.abc import Sequence

import plugin_host.cli.program
import plugin_host.control
import plugin_host.host  # noqa: F401
from plugin_host.cli import main

_LARGEST_REQUEST = 1 << 17


def _serve(server: socket.socket) -> list[str]:
    """Fork for each request. Returns the words of one in the fork alone; the server exits."""
    while True:
        request, fds, _, _ = socket.recv_fds(server, _LARGEST_REQUEST, 3)
        if not request:
            sys.exit()
        pid = os.fork()
        if pid == 0:
            server.close()
            return _become(request, fds)
        for fd in fds:
            os.close(fd)
        server.send(str(pid).encode())
        server.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def _become(request: bytes, fds: Sequence[int]) -> list[str]:
    """Take over what the request gives: standard streams, environment, folder, words."""
    words, env, folder = json.loads(request)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    sys.path[0] = folder  # as `python -m` has it
    return [*sys.argv[:1], *words]


def _run_program(text: str) -> None:
    """What `python -P -W error -c` does."""
    del sys.path[0]
    warnings.simplefilter("error")
    sys.argv = ["-c"]
    exec(compile(text, "<string>", "exec", dont_inherit=True), {"__name__": "__main__"})


if __name__ == "__main__":
    gc.freeze()
    sys.argv = _serve(socket.socket(fileno=int(sys.argv[1])))
    if sys.argv[1:2] == ["-c"]:
        _run_program(sys.argv[2])
    else:
        sys.exit(main())
