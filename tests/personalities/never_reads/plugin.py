"""Is ready, and never reads again. With the setting `ask` it asks all the time and hears no answer."""

from __future__ import annotations

import sys
import time

from tests.personalities.peer import Peer

peer = Peer()
initialize = peer.be_ready("never_reads", commands=["anything"])
value = "x" * 1000
number = 0
while initialize.params["settings"].get("ask"):
    number += 1
    sys.stdout.buffer.write(peer.pack([0, number, "host.echo", [{"value": value}]]))
time.sleep(60)
