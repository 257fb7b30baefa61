"""Closes its end of the wire and lives on."""

from __future__ import annotations

import os
import time

from tests.personalities.peer import Peer

Peer()
os.close(1)
time.sleep(60)
