"""What a session's program says of itself beside its output: a small file that it and the soak map.

It is there whatever happens to the program, up to the very write in which it was killed: what was written
lies between `written`, which is set after each write, and `offered`, which is set before.
"""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = ["Ledger"]

_FIELDS = (
    "written_stdout",
    "written_stderr",
    "offered_stdout",
    "offered_stderr",
    "ready",
    "over",
    "signals",
    "rows",
    "cols",
)
_PLACE = {name: index * 8 for index, name in enumerate(_FIELDS)}
_NUMBER = struct.Struct("=q")


class Ledger:
    """Numbers by name; each is written and read whole. Made by the soak, opened by the program."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        with open(path, "w+b" if create else "r+b") as file:
            if create:
                file.truncate(len(_FIELDS) * 8)
            self._map = mmap.mmap(file.fileno(), len(_FIELDS) * 8)

    def __getitem__(self, name: str) -> int:
        number: int = _NUMBER.unpack_from(self._map, _PLACE[name])[0]
        return number

    def __setitem__(self, name: str, number: int) -> None:
        _NUMBER.pack_into(self._map, _PLACE[name], number)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._map.close()
