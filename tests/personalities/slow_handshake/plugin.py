"""Is imported for longer than a host waits."""

from __future__ import annotations

import sys
import time

print("loading a large model", file=sys.stderr, flush=True)
time.sleep(60)
