"""Actions as types: what cannot be meant is refused where it is made, and secrets are not printed."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec
import pytest

from plugin_host_sdk.action.handler import KINDS as NAMES
from plugin_host_sdk.errors import (
    ActionFailed,
    ActionInvalid,
    ActionNotFound,
    ActionNotPrivileged,
    ActionNotSupported,
    ActionRefused,
    CallError,
    KeyRejected,
)
from plugin_host_sdk.types.action import (
    KINDS,
    File,
    Register,
    RunAs,
    RunScript,
    Script,
    ScriptResult,
    UpdateKey,
    UploadFile,
    key_proof,
    mode_bits,
)


def converted(kind: type[Any], **fields: Any) -> Any:
    return msgspec.convert(fields, kind, builtin_types=(bytes,))


@pytest.mark.parametrize(
    ("mode", "bits"),
    [(0o640, 0o640), (755, 755), ("640", 0o640), ("755", 0o755), ("4755", 0o4755), ("0", 0)],
)
def test_a_number_is_the_mode_and_a_text_is_octal_digits(mode: int | str, bits: int) -> None:
    assert mode_bits(mode) == bits
    assert mode_bits(File(path="/f", mode=mode).mode) == bits


@pytest.mark.parametrize("mode", ["798", "", "8", "0o640", " 640", "-1", "77777", -1, 0o10000, True])
def test_what_is_no_mode_is_refused(mode: Any) -> None:
    with pytest.raises(ValueError, match="mode"):
        mode_bits(mode)
    for kind in (File, UploadFile):
        with pytest.raises(ValueError, match="mode"):
            kind(path="/f", mode=mode)
        with pytest.raises(msgspec.ValidationError):
            converted(kind, path="/f", mode=mode)


def test_naming_a_user_or_a_group_says_that_nothing_is_inherited() -> None:
    assert RunAs() == RunAs(inherit=True)
    assert RunAs(uid=1).inherit is False
    assert RunAs(gid=0).inherit is False
    assert converted(RunAs, uid=5, inherit=True) == RunAs(inherit=False, uid=5)


@pytest.mark.parametrize("fields", [{"inherit": False}, {"uid": -1}, {"uid": 2**32 - 1}, {"gid": "wheel"}])
def test_nobody_in_particular_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        converted(RunAs, **fields)


@pytest.mark.parametrize("path", ["relative", "", "~/f", "/nul\0"])
def test_paths_are_absolute(path: str) -> None:
    for kind in (File, UploadFile):
        with pytest.raises(ValueError, match="absolute"):
            kind(path=path)
    with pytest.raises(ValueError, match="absolute"):
        Script(data=b"", working_directory=path)


@pytest.mark.parametrize("executable", ["", [], [""]])
def test_an_empty_executable_is_refused(executable: Any) -> None:
    with pytest.raises(msgspec.ValidationError, match="executable"):
        converted(Script, data=b"", executable=executable)


@pytest.mark.parametrize(
    "fields",
    [
        {"phase": "offer"},
        {"phase": "prove"},
        {"phase": "drop", "key": "k"},
        {"phase": "offer", "key": "k", "proof": "p"},
        {"phase": "withdraw", "proof": "p"},
        {"phase": "steal"},
    ],
)
def test_a_step_of_a_key_change_has_what_belongs_to_it_and_no_more(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        converted(UpdateKey, **fields)


def test_the_proof_of_a_key_is_an_hmac_over_the_nonce() -> None:
    message = b"plugin-host key proof\0nonce"
    assert key_proof("key", "nonce") == hmac.new(b"key", message, hashlib.sha256).hexdigest()


def test_a_result_is_one_line_whatever_was_put_out() -> None:
    result = ScriptResult(
        success=False, code=3, stdout=b"a\nb\x1b[0m\xff", stderr=b"\r\n", truncated=True, elapsed=1.5
    )
    assert str(result) == (
        r"ScriptResult(success=False, code=3, stdout='a\nb\x1b[0m\\xff', stderr='\r\n', truncated, "
        "elapsed=1.500)"
    )
    refused = ScriptResult(success=False, exec_error="no\nsuch")
    assert "\n" not in str(refused)
    assert r"exec_error='no\nsuch'" in str(refused)


@pytest.mark.parametrize(
    "value",
    [
        Register(key="hunter2"),
        UpdateKey(phase="offer", key="hunter2"),
        UpdateKey(phase="prove", proof="hunter2"),
        RunScript(data=b"hunter2", environment={"PASSWORD": "hunter2"}),
        File(path="/f", data=b"hunter2"),
        ScriptResult(success=True, stdout=b"hunter2"),
    ],
)
def test_what_is_secret_is_not_printed(value: Any) -> None:
    assert "hunter2" not in repr(value)


def test_every_kind_has_its_types_and_one_name() -> None:
    assert tuple(KINDS) == NAMES
    for name, kind in KINDS.items():
        assert kind.request.kind == name
        assert issubclass(kind.result, msgspec.Struct)
    assert {name for name, kind in KINDS.items() if kind.takes_data} == {
        "upload_file",
        "upload_file_and_exit",
    }


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ActionNotSupported, 1),
        (ActionRefused, 2),
        (ActionNotPrivileged, 3),
        (ActionNotFound, 4),
        (ActionInvalid, 5),
        (ActionFailed, 6),
        (KeyRejected, 7),
    ],
)
def test_errors_keep_their_kind_and_number_on_the_wire(kind: type[CallError], code: int) -> None:
    error = CallError.from_map(kind("why", data={"option": "allow_it"}).to_map())
    assert type(error) is kind
    assert (error.code, error.message, error.retryable) == (code, "why", False)
    if isinstance(error, ActionRefused):
        assert error.option == "allow_it"
        assert ActionRefused("why").option == ""


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("inf"), float("nan")])
def test_script_has_a_timeout_that_can_be_over(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        RunScript(data=b"", timeout=timeout)
