"""A guest's tools, as one would write them for one's own machine, with the standard library alone.

    python -m tests.guest.tools PLACE [CONFIGURATION]

PLACE is HOST:PORT or the path of a unix socket; CONFIGURATION is JSON with `entrypoint`, `env`, `shell`.
Runs the one task, and does what the host asks until it is killed.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import sys
import threading
import time
from typing import Any

from tests.guest.tools.caller import Caller
from tests.guest.tools.job import Job
from tests.guest.tools.shell import Shell
from tests.guest.tools.websocket import Refused, Websocket

_PAUSE_S = 0.1


class Tools:
    """The two loops."""

    def __init__(self, place: str, configuration: dict[str, Any]) -> None:
        self._caller = Caller(place)
        self._env = dict(os.environ) | configuration.get("env", {})
        self._shell = configuration.get("shell", ["sh"])
        self._job = Job(self._caller, configuration.get("entrypoint", []), self._env)
        self._actions = {
            "get-artifact": self._send_artifact,
            "list-folder": self._send_list,
            "exec-shell": self._open_shell,
            "kill-process": self._kill,
        }

    def run(self) -> None:
        threading.Thread(target=self._job.run, daemon=True).start()
        while True:
            try:
                status, answer = self._caller.ask("GET", "poll")
            except (OSError, http.client.HTTPException):
                status = 0
            if status != 200:
                time.sleep(_PAUSE_S)
                continue
            action = json.loads(answer)
            if action["type"] != "none":
                threading.Thread(target=self._act, args=(action,), daemon=True).start()

    def _act(self, action: dict[str, Any]) -> None:
        perform = self._actions.get(action["type"])
        if perform is None:
            self._reply(action, word="not-supported")
        else:
            perform(action)

    def _reply(self, action: dict[str, Any], body: bytes = b"", *, word: str = "", **headers: str) -> None:
        if word:
            headers["X_Taskcluster_Worker_Error"] = word
        self._caller.insist("POST", f"reply?id={action['id']}", body, **headers)

    def _send_artifact(self, action: dict[str, Any]) -> None:
        try:
            with open(action["path"], "rb") as file:
                data = file.read()
        except FileNotFoundError:
            self._reply(action, word="file-not-found")
        except IsADirectoryError:
            self._reply(action, word="is-folder")
        except PermissionError:
            self._reply(action, word="permission-denied")
        except OSError:
            self._reply(action, word="read-error")
        else:
            digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
            self._reply(action, data, Content_Digest=f"sha-256=:{digest}:")

    def _send_list(self, action: dict[str, Any]) -> None:
        found = []
        for folder, _, names in os.walk(action["path"]):
            found += [os.path.join(folder, name) for name in names]
        told = {"files": found, "notFound": not os.path.isdir(action["path"])}
        self._reply(action, json.dumps(told).encode(), Content_Type="application/json")

    def _open_shell(self, action: dict[str, Any]) -> None:
        try:
            websocket = Websocket(self._caller.place, f"reply?id={action['id']}")
        except Refused:
            return
        try:
            shell = Shell(websocket, action["command"] or self._shell, self._env, action["tty"])
        except OSError as error:
            websocket.send(b"\x00\x01" + str(error).encode())
            websocket.send(b"\x05\x7f")
            websocket.finish()
        else:
            shell.run()

    def _kill(self, action: dict[str, Any]) -> None:
        self._job.kill()
        self._reply(action)


if __name__ == "__main__":
    Tools(sys.argv[1], json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}).run()
