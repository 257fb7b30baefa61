"""Becomes ready and breaks the protocol with its very next bytes."""

from __future__ import annotations

import time

from tests.personalities.peer import Peer

peer = Peer()
peer.be_ready("ready_and_gone", more=b"\xc1 this is no message")
time.sleep(60)
