"""Answers, and hears neither `shutdown` nor the end of its input nor SIGTERM."""

from __future__ import annotations

import signal
import time

from tests.personalities.peer import Peer

signal.signal(signal.SIGTERM, signal.SIG_IGN)
peer = Peer()
peer.be_ready("ignores_term")
while True:
    time.sleep(60)
