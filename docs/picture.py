"""Draws `docs/session.svg`: real commands and what they really print.

    python docs/picture.py        (both distributions and all plugins installed)

Run it when what the commands print has changed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COMMANDS = [
    "plugin-host list",
    "plugin-host call system disk_usage path=/",
    "plugin-host call neovim nvim_eval '[\"6*7\"]'",
    "plugin-host exec shell -w /usr -- sh -c 'echo \"from $PWD\"'",
    "plugin-host call system proceses limit=3",
    "timeout -s INT 2 plugin-host run",
]


def main() -> None:
    """Run every command and draw what a person would see."""
    console = Console(record=True, width=100, file=open("/dev/null", "w"))  # noqa: SIM115
    for command in COMMANDS:
        shown = command.removeprefix("timeout -s INT 2 ")
        console.print(Text("$ ", style="green") + Text(shown, style="bold"))
        ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        for text, style in ((ended.stdout, ""), (ended.stderr, "red")):
            if text.strip():
                console.print(Text(text.rstrip("\n"), style=style))
        if command != shown:
            console.print(Text("^C"))
    picture = Path(__file__).with_name("session.svg")
    picture.write_text(console.export_svg(title="plugin-host", unique_id="session"))
    sys.stdout.write(f"{picture}\n")


if __name__ == "__main__":
    main()
