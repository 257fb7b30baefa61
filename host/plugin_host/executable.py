"""What a file is to the kernel that should execute it: an ELF program, a script, or nothing it can run.

Reads the first bytes of regular files and nothing else; opening a fifo or a device could block or act.
`diagnosis` uses it once a spawn has failed, so it is never on a path that works.
"""

from __future__ import annotations

import os
import stat
import struct
import sys
from dataclasses import dataclass

__all__ = ["ElfProgram", "Script", "first_bytes", "identify", "our_machine", "shown"]

_HEAD_BYTES = 4096  # holds the ELF header with its program headers, and any #! line (256 bytes)
_PT_INTERP = 3

_MACHINES = {
    2: "sparc",
    3: "x86",
    8: "mips",
    20: "ppc",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    43: "sparc64",
    50: "ia64",
    62: "x86_64",
    183: "aarch64",
    243: "riscv",
    258: "loongarch",
}
_FOREIGN = (
    (b"MZ", "a Windows program"),
    (b"\xcf\xfa\xed\xfe", "a macOS program"),
    (b"\xce\xfa\xed\xfe", "a macOS program"),
    (b"\xca\xfe\xba\xbe", "a macOS universal program or a Java class"),
    (b"PK\x03\x04", "a zip archive"),
)


@dataclass(frozen=True, slots=True)
class ElfProgram:
    """`machine` and `bits` are what it was built for; `loader` is the program that has to load it."""

    machine: str
    bits: int
    loader: str | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """A file that begins with `#!`; `line` is the whole first line, `interpreter` its first word."""

    line: str
    interpreter: str


def first_bytes(path: str, count: int = _HEAD_BYTES) -> bytes | None:
    """The beginning of a regular file; None when it cannot be read or is something else."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        return os.read(fd, count) if stat.S_ISREG(os.fstat(fd).st_mode) else None
    except OSError:
        return None
    finally:
        os.close(fd)


def identify(head: bytes) -> ElfProgram | Script | str:
    """What a file that begins with `head` is; in words when it is nothing that could be executed."""
    if head.startswith(b"\x7fELF"):
        return _elf(head) or "a damaged ELF program"
    if head.startswith(b"#!"):
        line = head.split(b"\n", 1)[0].decode("utf-8", "replace")
        words = line[2:].strip(" \t").split(None, 1)
        if not words:
            return "a script whose #! line names no interpreter"
        # A carriage return belongs to the name for the kernel, so it has to be kept and shown.
        interpreter = words[0] + ("\r" if line.endswith("\r") and len(words) == 1 else "")
        return Script(line, interpreter)
    if not head:
        return "an empty file"
    for magic, words_for_it in _FOREIGN:
        if head.startswith(magic):
            return words_for_it
    return f"not a program: its first bytes are {shown(head)}"


def our_machine() -> str:
    """The machine this interpreter was built for, in the words `identify` uses."""
    head = first_bytes(sys.executable)
    program = identify(head) if head else None
    return program.machine if isinstance(program, ElfProgram) else os.uname().machine


def shown(data: bytes, count: int = 16) -> str:
    """The first bytes for a person: as text when they are text, otherwise in hexadecimal."""
    piece = data[:count]
    printable = piece.isascii() and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in piece)
    return repr(piece.decode()) if printable else piece.hex(" ")


def _elf(head: bytes) -> ElfProgram | None:
    if len(head) < 64 or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    bits = 32 * head[4]
    order = "<" if head[5] == 1 else ">"
    (number,) = struct.unpack_from(f"{order}H", head, 18)
    machine = _MACHINES.get(number, f"ELF machine {number}")
    return ElfProgram(machine, bits, _loader(head, bits, order))


def _loader(head: bytes, bits: int, order: str) -> str | None:
    """The path in the PT_INTERP segment, when header and path lie within `head`."""
    wide = bits == 64
    (table,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", head, 32 if wide else 28)
    entry_bytes, entries = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
    for place in range(table, table + entry_bytes * entries, entry_bytes or 1):
        if place + 56 > len(head):
            break
        (kind,) = struct.unpack_from(f"{order}I", head, place)
        if kind == _PT_INTERP:
            layout, offset_at, size_at = ("Q", 8, 32) if wide else ("I", 4, 16)
            (offset,) = struct.unpack_from(f"{order}{layout}", head, place + offset_at)
            (size,) = struct.unpack_from(f"{order}{layout}", head, place + size_at)
            path = head[offset : offset + size].split(b"\0", 1)[0]
            return os.fsdecode(path) or None
    return None
