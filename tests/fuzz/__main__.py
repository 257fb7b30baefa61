"""`python -m tests.fuzz [SECONDS] [libFuzzer options]`: fuzz the core, led by what it covers.

Needs atheris, which `tox -e fuzz` brings. Starts from inputs that the project's own encoder makes, and
stops with a status other than 0 at the first finding, whose input it leaves in the folder of
`-artifact_prefix` and names. What was found is mended, and stays as a test of its own.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["plugin_host_sdk"]):
    from plugin_host_sdk import connection, wire  # noqa: F401 - instrumented as they are imported
from tests.fuzz import case, seed

DEFAULT_S = 60
LONGEST_INPUT = 4096
MEMORY_MB = 1024
SLOWEST_S = 10


def main(arguments: list[str]) -> None:
    """Fuzz for a while; ends the process."""
    seconds = arguments.pop(0) if arguments and arguments[0].isdigit() else str(DEFAULT_S)
    with tempfile.TemporaryDirectory(prefix="plugin-host-fuzz-") as room:
        corpus, words = Path(room, "corpus"), Path(room, "dictionary")
        corpus.mkdir()
        for data in seed.seeds():
            (corpus / hashlib.sha1(data).hexdigest()).write_bytes(data)
        words.write_text(seed.dictionary())
        options = [
            f"-max_total_time={seconds}",
            f"-max_len={LONGEST_INPUT}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-timeout={SLOWEST_S}",
            f"-dict={words}",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], *options, *arguments, str(corpus)], case.check)
        atheris.Fuzz()


main(sys.argv[1:])
