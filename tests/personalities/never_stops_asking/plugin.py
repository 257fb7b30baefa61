"""Asks its host without end and without waiting for answers; reads them, though."""

from __future__ import annotations

import os
import sys
import threading

from tests.personalities.peer import Peer

peer = Peer()
peer.be_ready("never_stops_asking", commands=["ask"])
asked = peer.request()
service = asked.params["params"]["service"]


def swallow() -> None:
    while os.read(0, 65536):
        pass
    os._exit(0)


threading.Thread(target=swallow, daemon=True).start()
number = 0
while True:
    sys.stdout.buffer.write(peer.pack([0, number, f"host.{service}", [{}]]))
    number += 1
