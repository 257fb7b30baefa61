"""Large messages, one after the other, cost no pages that the system has to make anew."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.edges,
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is kept is the C library's to say"),
]

# In an interpreter of its own: what was given back in this one has taught its C library already.
CODE = """
import resource, sys
from plugin_host_sdk.wire import Decoder, Encoder

encoder, decoder = Encoder(), Decoder()
payload = bytes(int(sys.argv[1]))

def exchange():
    sent = memoryview(encoder.encode([0, 1, "command.call", [{"payload": payload}]]))
    for at in range(0, len(sent), 65536):
        messages = decoder.feed(sent[at : at + 65536])
    assert len(messages) == 1

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(5):
    exchange()
before = faults()
for _ in range(20):
    exchange()
print((faults() - before) // 20)
"""


@pytest.mark.parametrize("size", [1024 * 1024, 3_000_000])
def test_series_of_large_messages_uses_the_same_pages(size: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(size)], check=True, capture_output=True, text=True, timeout=30
    )
    assert int(done.stdout) < size // 4096 // 10
