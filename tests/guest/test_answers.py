"""What guests say about files, folders and themselves, and what it is taken for."""

from __future__ import annotations

import json
import logging

import pytest

from plugin_host.errors import (
    ArtifactNotFound,
    FileAccessDenied,
    FolderNotFound,
    InternalError,
    InvalidPayload,
    IsFolder,
    MetadataError,
    MethodNotAllowed,
    NoSuchEndPoint,
    ResourceConflict,
    TaskLost,
    UnknownActionId,
)
from plugin_host.guest.action import Action
from plugin_host.guest.folder import entries
from plugin_host.guest.refusal import refusal
from plugin_host.guest.report import outcome_of
from plugin_host.guest.reported import reported


def test_empty_folder_is_an_empty_list_and_a_missing_one_an_error() -> None:
    assert entries(b'{"files":[],"notFound":false}', "/x", True) == []
    assert entries(b'{"files":null}', "/x", True) == []
    assert isinstance(entries(b'{"files":null,"notFound":true}', "/x", True), FolderNotFound)


def test_files_are_sorted_and_those_right_in_the_folder_can_be_told() -> None:
    data = b'{"files":["/x/b","/x/a/c","/x/a.txt"],"notFound":false}'
    found = entries(data, "/x/", False)
    assert isinstance(found, list)
    assert [(entry.path, entry.type) for entry in found] == [("/x/a.txt", "file"), ("/x/b", "file")]
    found = entries(data, "/x", True)
    assert isinstance(found, list)
    assert len(found) == 3


@pytest.mark.parametrize(
    ("path", "recursive", "listed"),
    [
        ("/", False, ["/a"]),
        ("/", True, ["/a", "/tmp/b", "/tmp/c/d", "/tmpfile/e"]),
        ("/tmp", True, ["/tmp/b", "/tmp/c/d"]),
        ("/tmp/", False, ["/tmp/b"]),
        ("//tmp/x/..", False, ["/tmp/b"]),
    ],
)
def test_only_what_is_in_the_folder_is_listed(
    path: str, recursive: bool, listed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    told = [
        "/a",
        "/tmp/b",
        "/tmp/c/d",
        "/tmpfile/e",
        "../../evil",
        "/tmp/../evil",
        "/tmp/c/..",
        "tmp/b",
        "",
    ]
    found = entries(json.dumps({"files": told}).encode(), path, recursive)
    assert isinstance(found, list)
    assert [entry.path for entry in found] == listed
    assert f"not in {path}" in caplog.text


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"files":"x"}', b'{"files":[1]}', b'{"notFound":1}', b"\xff"]
)
def test_anything_else_is_no_list(data: bytes) -> None:
    with pytest.raises(InvalidPayload):
        entries(data, "/x", True)


@pytest.mark.parametrize(
    ("kind", "word", "error"),
    [
        ("get-artifact", "file-not-found", ArtifactNotFound),
        ("list-folder", "file-not-found", FolderNotFound),
        ("get-artifact", "permission-denied", FileAccessDenied),
        ("get-artifact", "is-folder", IsFolder),
        ("exec-shell", "not-supported", NoSuchEndPoint),
        ("kill-process", "file-not-found", MetadataError),
        ("get-artifact", "something else", MetadataError),
    ],
)
def test_words_tell_errors_apart(kind: str, word: str, error: type[MetadataError]) -> None:
    assert type(reported(Action(id="1", type=kind, path="/x"), word)) is error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MethodNotAllowed("no"), 405),
        (NoSuchEndPoint("no"), 404),
        (ResourceConflict("no"), 409),
        (UnknownActionId("no"), 400),
        (InvalidPayload("no"), 400),
    ],
)
def test_refusals_have_their_codes(error: MetadataError, status: int) -> None:
    assert refusal(error, "x") == (
        status,
        json.dumps({"code": type(error).__name__, "message": "no"})
        .replace(": ", ":")
        .replace(", ", ",")
        .encode(),
    )


@pytest.mark.parametrize(
    "error", [OSError("a secret"), InternalError("a secret"), TaskLost("a secret", task="1")]
)
def test_other_errors_are_told_by_an_incident_that_the_log_explains(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        status, body = refusal(error, "GET /engine/v1/execute")
    told = json.loads(body)
    assert (status, told["code"]) == (500, "InternalError")
    incident = told["message"].rpartition(" ")[2]
    assert "secret" not in told["message"]
    assert f"incident {incident}: GET /engine/v1/execute failed" in caplog.text
    assert "a secret" in caplog.text


def test_outcome_is_told_in_words_or_not_at_all() -> None:
    assert outcome_of(True, b"").success
    told = outcome_of(False, b'{"code": 3, "reason": "out of memory"}')
    assert (told.success, told.code, told.signal, told.reason) == (False, 3, None, "out of memory")
    assert outcome_of(False, b'{"signal": "SIGKILL"}').signal == "SIGKILL"
    assert outcome_of(True, b'{"code": 0}').code == 0
    assert outcome_of(False, b'{"code": %d}' % (2**32 - 1)).code == 2**32 - 1


def test_only_the_beginning_of_long_words_is_kept() -> None:
    told = outcome_of(False, json.dumps({"signal": "S" * 10_000, "reason": "r" * 10_000}).encode())
    assert (told.signal, told.reason) == ("S" * 64, "r" * 4_000)


@pytest.mark.parametrize(
    ("success", "data"),
    [
        (False, b"{"),
        (False, b"[]"),
        (False, b'{"code": "3"}'),
        (True, b'{"code": 3}'),
        (True, b'{"signal": "SIGKILL"}'),
        (False, b'{"code": %d}' % 10**40),
        (False, b'{"code": %d}' % 2**32),
        (False, b'{"code": %d}' % (-(2**31) - 1)),
    ],
)
def test_outcome_that_cannot_be_is_refused(success: bool, data: bytes) -> None:
    with pytest.raises(InvalidPayload):
        outcome_of(success, data)
