"""Cuts the bytes of a connection into requests: one JSON object each, one after the other on lines.

Pure. Tells whether more may come: a newline behind a request says so, and one in front of the first
request, or a second request, says that the connection is meant for many. Invariant: what waits is never
more than one request of the allowed size and one piece of what was read.
"""

from __future__ import annotations

import codecs
import re
from typing import Any

from plugin_host.notation import BadNotation, from_json

from .scanner import Malformed, Scanner

__all__ = ["BadRequest", "Framing", "RequestCut"]

_BLANKS = re.compile(r"[ \t\r]*")


class BadRequest(ValueError):
    """A request that cannot be read; `position` is line, column and offset in bytes, where it is no JSON,
    `path` the place in it where it is JSON that cannot be meant.

    `is_lost` says that it is not known where the next request begins.
    """

    def __init__(
        self,
        message: str,
        *,
        position: tuple[int, int, int] | None = None,
        path: str | None = None,
        is_lost: bool = False,
    ) -> None:
        super().__init__(message if path is None else f"{path}: {message}")
        self.position = position
        self.path = path
        self.is_lost = is_lost


class RequestCut(BadRequest):
    """The client has ended its sending in the middle of a request."""


class Framing:
    """The requests of one connection; `limit` is the size of one in bytes."""

    def __init__(self, limit: int) -> None:
        self.count = 0
        """Requests that were complete."""
        self.is_for_many = False
        self.is_terminated = False
        """Whether a newline has followed the last request."""
        self._limit = limit
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._rest = ""  # decoded and not looked at
        self._taken: list[str] = []  # of the request that is being read
        self._size = 0
        self._scanner = Scanner()
        self._undecodable = -1  # the byte behind `_rest` that is no UTF-8

    @property
    def is_begun(self) -> bool:
        """Whether a part of a request has come."""
        return self._scanner.is_begun

    @property
    def has_more(self) -> bool:
        """Whether something that has come may be another request."""
        return bool(self._rest.strip(" \t\r\n")) or self._undecodable >= 0 or self._is_in_character

    @property
    def _is_in_character(self) -> bool:
        """Whether the last bytes are the beginning of a character."""
        return bool(self._decoder.getstate()[0])

    def feed(self, data: bytes) -> None:
        """Take what was read; `next` says what it holds."""
        if self._undecodable >= 0:
            return
        try:
            self._rest += self._decoder.decode(data)
        except UnicodeDecodeError as error:
            self._rest += error.object[: error.start].decode()
            self._undecodable = error.object[error.start]
        self._end_line()

    def next(self) -> tuple[Any] | None:
        """The value of the next request, in a tuple; None when more must be read. Raises BadRequest."""
        self._end_line()
        text, self._rest = self._rest, ""
        try:
            end = self._scanner.feed(text)
        except Malformed as error:
            self._taken.append(text)
            raise self._located(str(error), error.position) from None
        self._taken.append(text if end is None else text[:end])
        self._size += len(self._taken[-1].encode())
        if self._size > self._limit:
            raise BadRequest(f"larger than the {self._limit} bytes that a request may have", is_lost=True)
        if end is None:
            if not self.count and not self.is_begun and "\n" in text:
                self.is_for_many = True
            if self._undecodable >= 0:
                text = f"expected UTF-8 text, found byte 0x{self._undecodable:02x}"
                raise self._located(text, sum(map(len, self._taken)))
            return None
        return (self._completed(text, end),)

    def ended(self) -> RequestCut | None:
        """What is wrong when nothing more comes."""
        if not self.is_begun and not self._is_in_character:
            return None
        error = self._located("the request ends in the middle", sum(map(len, self._taken)))
        return RequestCut(str(error), position=error.position, is_lost=True)

    def _completed(self, text: str, end: int) -> Any:
        whole = "".join(self._taken)
        self._rest = text[end:]
        self.is_terminated = False
        blanks = _BLANKS.match(self._rest)
        assert blanks is not None
        following = self._rest[blanks.end() : blanks.end() + 1]
        if following and following != "\n":
            self._taken.append(self._rest)
            found = f"expected a newline before the next request, found {following!a}"
            raise self._located(found, len(whole) + blanks.end())
        self._taken.clear()
        self._size = 0
        self._scanner = Scanner()
        self.count += 1
        leading = whole[: len(whole) - len(whole.lstrip(" \t\r\n"))]
        self.is_for_many = self.is_for_many or self.count > 1 or "\n" in leading
        self._end_line()
        try:
            return from_json(whole, distinct=True)
        except BadNotation as error:
            raise BadRequest(str(error), path=error.path) from None

    def _end_line(self) -> None:
        """Take the end of the line on which the last request stood."""
        if self.count and not self.is_terminated and not self.is_begun:
            blanks = _BLANKS.match(self._rest)
            assert blanks is not None
            if self._rest[blanks.end() : blanks.end() + 1] == "\n":
                self._rest = self._rest[blanks.end() + 1 :]
                self.is_terminated = True

    def _located(self, message: str, position: int) -> BadRequest:
        before = "".join(self._taken)[:position]
        line, column = before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1
        offset = len(before.encode())
        where = f"line {line}, column {column} (byte {offset})"
        return BadRequest(f"{where}: {message}", position=(line, column, offset), is_lost=True)
