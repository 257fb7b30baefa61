"""Why a program could not be started: each cause is made, and the message read."""

from __future__ import annotations

import errno
import os
import pwd
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from plugin_host.diagnosis import diagnose, foresee
from plugin_host.errors import SpawnError
from plugin_host.executable import ElfProgram, Script, first_bytes, identify, our_machine

ENV = {"PATH": os.environ["PATH"]}


def failure(argv: list[str], cwd: str | None = None, env: dict[str, str] | None = None) -> SpawnError:
    """Start ``argv``, which must fail; what the diagnosis makes of it."""
    variables = ENV if env is None else env
    foreseen = foresee(argv, cwd, variables)
    try:
        subprocess.Popen(argv, cwd=cwd, env=variables).wait()
    except (OSError, ValueError) as error:
        found = diagnose(error, argv, cwd, variables)
        # What can only be seen by trying is not foreseen; nothing else is said of the rest.
        assert str(foreseen or found) == str(found)
        return found
    raise AssertionError(f"{argv} could be started")


def explained(number: int, *argv: str, cwd: str | None = None) -> SpawnError:
    """The diagnosis of an error that cannot be made here."""
    return diagnose(OSError(number, os.strerror(number)), argv, cwd, ENV)


def program(path: Path, content: bytes, mode: int = 0o755) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def elf(machine: int, *, loader: bytes = b"", order: str = "<", bits: int = 64) -> bytes:
    """The smallest ELF header that names a machine, with one PT_INTERP segment for a loader."""
    identification = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    if bits == 64:
        header = struct.pack(
            f"{order}HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, 1 if loader else 0, 0, 0, 0
        )
        segment = struct.pack(f"{order}IIQQQQQQ", 3, 4, 120, 0, 0, len(loader) + 1, 0, 1)
    else:
        header = struct.pack(
            f"{order}HHIIIIIHHHHHH", 2, machine, 1, 0, 52, 0, 0, 52, 32, 1 if loader else 0, 0, 0, 0
        )
        segment = struct.pack(f"{order}IIIIIIII", 3, 84, 0, 0, len(loader) + 1, 0, 4, 1)
    return identification + header + (segment + loader + b"\0" if loader else b"") + bytes(64)


def test_missing_interpreter_is_named_with_where_its_path_ends(tmp_path: Path) -> None:
    direct = failure([str(tmp_path / "python")])
    assert direct.file == str(tmp_path / "python")
    assert str(direct) == f"cannot start {direct.file!r}: {direct.file!r} does not exist"
    deep = failure([str(tmp_path / "venv/bin/python")])
    assert f"the path ends at {str(tmp_path)!r}" in str(deep)
    blocked = failure([program(tmp_path / "file", b"") + "/python"])
    assert f"{str(tmp_path / 'file')!r} is not a folder" in str(blocked)


def test_venv_whose_python_is_gone_is_recognised(tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(tmp_path / "gone/python3.11")
    error = failure([str(link)])
    assert f"symbolic link to {str(tmp_path / 'gone/python3.11')!r}" in str(error)
    assert "virtual environment" in (error.hint or "")


def test_name_in_no_folder_of_path_shows_the_path(tmp_path: Path) -> None:
    error = failure(["no-such-tool"], env={"PATH": f"{tmp_path}:/nowhere"})
    assert f"it is in no folder of PATH ({tmp_path}:/nowhere)" in str(error)
    assert error.file == "no-such-tool"


def test_relative_name_is_looked_for_in_the_working_folder(tmp_path: Path) -> None:
    program(tmp_path / "tool", b"#!/bin/true\n", mode=0o644)
    error = failure(["./tool"], cwd=str(tmp_path))
    assert "is not executable (mode 0644" in str(error)
    assert error.file == f"{tmp_path}/./tool"


def test_program_found_in_path_that_cannot_be_executed(tmp_path: Path) -> None:
    tool = program(tmp_path / "tool", b"#!/bin/true\n", mode=0o600)
    error = failure(["tool"], env={"PATH": str(tmp_path)})
    assert error.file == tool
    assert "mode 0600, owner " in str(error)
    assert error.hint == f"chmod +x {tool}"


def test_folder_is_not_a_program(tmp_path: Path) -> None:
    assert f"{str(tmp_path)!r} is a folder" in str(failure([str(tmp_path)]))


def test_closed_folder_on_the_way_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = program(tmp_path / "tool", b"#!/bin/true\n")
    really = os.access  # the administrator, who may run these tests, may search every folder

    def access(path: str, mode: int) -> bool:
        return str(path) != str(tmp_path) and really(path, mode)

    monkeypatch.setattr(os, "access", access)
    error = explained(errno.EACCES, tool)
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert f"the folder {str(tmp_path)!r} may not be searched by {user} (mode 0700" in str(error)
    error = explained(errno.EACCES, "/bin/true", cwd=str(tmp_path))
    assert f"its working folder {str(tmp_path)!r} may not be entered" in str(error)


def test_mount_that_forbids_execution_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = program(tmp_path / "tool", b"#!/bin/true\n")
    assert "the system refuses to execute" in str(explained(errno.EPERM, tool))
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_NOEXEC))
    assert "mounted noexec" in str(explained(errno.EACCES, tool))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bits", [32, 64])
def test_wrong_architecture_names_both(tmp_path: Path, order: str, bits: int) -> None:
    error = failure([program(tmp_path / "tool", elf(22, order=order, bits=bits))])
    assert f"was built for s390x, and this machine is {our_machine()}" in str(error)
    assert error.file == str(tmp_path / "tool")
    unknown = failure([program(tmp_path / "other", elf(9999, order=order, bits=bits))])
    assert "ELF machine 9999" in str(unknown)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is an empty file"),
        (b"echo hello\n", r"not a program: its first bytes are 'echo hello\n'"),
        (b"\x00\x01\x02\x03", "not a program: its first bytes are 00 01 02 03"),
        (b"MZ\x90\x00", "is a Windows program"),
        (b"\xcf\xfa\xed\xfe", "is a macOS program"),
        (b"PK\x03\x04", "is a zip archive"),
        (b"\x7fELF", "is a damaged ELF program"),
        (b"#!\n", "#! line names no interpreter"),
    ],
)
def test_file_that_is_no_program_is_described(tmp_path: Path, content: bytes, words: str) -> None:
    error = failure([program(tmp_path / "tool", content)])
    assert words in str(error)
    assert error.hint


def test_damaged_program_of_this_machine(tmp_path: Path) -> None:
    head = first_bytes(sys.executable) or b""
    error = failure([program(tmp_path / "tool", head[:64])])
    assert "is damaged, or a 64-bit program" in str(error)


def test_missing_interpreter_line_is_quoted(tmp_path: Path) -> None:
    tool = program(tmp_path / "tool", b"#!/no/such/python3 -u\nprint()\n")
    error = failure([tool])
    assert f"the first line of {tool!r} is '#!/no/such/python3 -u'" in str(error)
    assert "'/no/such/python3' does not exist" in str(error)
    assert error.file == tool


def test_windows_line_ending_of_the_first_line_is_recognised(tmp_path: Path) -> None:
    error = failure([program(tmp_path / "tool", b"#!/bin/sh\r\necho\r\n")])
    assert r"'#!/bin/sh\r'" in str(error)
    assert "Windows line endings" in (error.hint or "")


def test_interpreter_that_is_not_executable_is_at_fault(tmp_path: Path) -> None:
    interpreter = program(tmp_path / "python", b"", mode=0o644)
    error = failure([program(tmp_path / "tool", f"#!{interpreter}\n".encode())])
    assert error.file == interpreter
    assert "is not executable (mode 0644" in str(error)


def test_script_of_a_sound_interpreter_is_shown_with_its_line() -> None:
    error = explained(errno.ENOEXEC, program(Path(os.environ["TMPDIR"]) / "tool", b"#!/bin/sh\n"))
    assert "is '#!/bin/sh'" in str(error)


def test_missing_loader_is_named(tmp_path: Path) -> None:
    tool = program(tmp_path / "tool", elf(62, loader=b"/lib/ld-musl-none.so.1"))
    error = explained(errno.ENOENT, tool)
    assert "needs the loader '/lib/ld-musl-none.so.1', which does not exist" in str(error)


def test_missing_working_folder_is_at_fault(tmp_path: Path) -> None:
    error = failure(["/bin/true"], cwd=str(tmp_path / "gone"))
    assert f"its working folder {str(tmp_path / 'gone')!r} does not exist" in str(error)
    assert error.file == str(tmp_path / "gone")
    file = program(tmp_path / "file", b"")
    assert f"{file!r} is not a folder" in str(failure(["/bin/true"], cwd=file))


def test_too_long_arguments_name_the_largest() -> None:
    error = failure(["/bin/true", "x" * 300_000])
    assert "argument 1 has 300001" in str(error)
    error = failure(["/bin/true"], env={**ENV, "HUGE": "x" * 300_000})
    assert "variable HUGE has 300006" in str(error)


@pytest.mark.parametrize(
    ("argv", "cwd", "env", "words"),
    [
        (["a\0b"], None, {}, "argument 0 holds a NUL byte"),
        (["/bin/true", "a\0b"], None, {}, "argument 1 holds a NUL byte"),
        (["/bin/true"], "/tm\0p", {}, "working folder holds a NUL byte"),
        (["/bin/true"], None, {"A": "\0"}, "environment variable 'A' holds a NUL byte"),
        (["/bin/true"], None, {"A=B": "1"}, "'A=B' cannot be the name"),
        ([""], None, {}, "the command is empty"),
    ],
)
def test_impossible_arguments_are_named(
    argv: list[str], cwd: str | None, env: dict[str, str], words: str
) -> None:
    assert words in str(failure(argv, cwd, env))


def test_empty_command_is_named() -> None:
    assert "the command is empty" in str(diagnose(ValueError("no"), [], None, ENV))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EMFILE, "may open no more files (its limit is"),
        (errno.ENFILE, "the whole system may open no more files"),
        (errno.EAGAIN, "no more processes may be made"),
        (errno.ENOMEM, "not enough memory"),
        (errno.ETXTBSY, "'/bin/true' is open for writing"),
        (errno.ELOOP, "a circle of symbolic links"),
        (errno.EIO, "Input/output error"),
        (errno.ENOENT, "No such file or directory"),  # of a file that is there and sound
    ],
)
def test_every_other_cause_has_words(number: int, words: str) -> None:
    error = explained(number, "/bin/true")
    assert words in str(error)
    assert str(error).startswith("cannot start '/bin/true': ")
    assert error.is_scarce == (number in (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM))


def test_name_that_is_nowhere_has_words_for_every_cause() -> None:
    for number in (errno.EACCES, errno.ENOEXEC, errno.ETXTBSY, errno.ELOOP):
        assert explained(number, "no-such-tool").file == "no-such-tool"


def test_place_that_changes_meanwhile_is_told_in_the_kernels_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: str) -> bool:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(os.path, "islink", gone)
    assert "No such file or directory" in str(explained(errno.ENOENT, "/bin/true"))


def test_what_would_block_when_opened_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert first_bytes(str(tmp_path / "fifo")) is None
    assert first_bytes("/dev/zero") is None
    assert first_bytes(str(tmp_path / "gone")) is None
    assert first_bytes(str(tmp_path)) is None
    error = explained(errno.ENOEXEC, str(tmp_path / "fifo"))
    assert "is not a program this system can execute" in str(error)


def test_this_interpreter_is_a_program_of_this_machine() -> None:
    found = identify(first_bytes(sys.executable) or b"")
    assert isinstance(found, ElfProgram)
    assert found.machine == our_machine() == os.uname().machine
    assert found.loader is not None
    assert os.path.exists(found.loader)


def test_first_line_is_split_as_the_kernel_does() -> None:
    assert identify(b"#! /usr/bin/env -S python3 -u\nx") == Script(
        "#! /usr/bin/env -S python3 -u", "/usr/bin/env"
    )


@pytest.mark.parametrize("size", range(0, 200, 7))
def test_cut_or_corrupt_headers_never_raise(size: int) -> None:
    whole = elf(62, loader=b"/lib/ld.so") + bytes(100)
    identify(whole[:size])
    identify(whole[:size] + b"\xff" * (200 - size))


def test_unknown_owner_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def nobody(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    tool = program(tmp_path / "tool", b"", mode=0o600)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert f"owner uid {os.getuid()}" in str(explained(errno.EACCES, tool))


def test_what_can_be_started_is_foreseen_to_be(tmp_path: Path) -> None:
    script = program(tmp_path / "script", b"#!/bin/sh\nexit 0\n")
    for argv, cwd in (
        (["true"], None),
        ([script], None),
        (["./script"], str(tmp_path)),
        ([sys.executable], "/"),
    ):
        assert foresee(argv, cwd, ENV) is None


def test_what_is_not_there_is_foreseen(tmp_path: Path) -> None:
    closed = program(tmp_path / "closed", b"#!/bin/sh\n", 0o644)
    script = program(tmp_path / "script", b"#!/no/such/shell\n")
    text = program(tmp_path / "text", b"hello")
    found = [foresee([one], None, ENV) for one in (closed, script, text, str(tmp_path / "none"), "\0")]
    words = [
        "is not executable",
        "'/no/such/shell' does not exist",
        "not a program",
        "does not exist",
        "NUL",
    ]
    assert [word in str(one) for word, one in zip(words, found, strict=True)] == [True] * len(words)
