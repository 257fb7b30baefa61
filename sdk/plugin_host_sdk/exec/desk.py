"""The `exec.*` requests, from maps to the manager's types and back."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, TypeVar

import msgspec

from plugin_host_sdk.errors import CallFailed
from plugin_host_sdk.types.session import (
    AttachOptions,
    HandlerInfo,
    SessionInfo,
    SessionOptions,
    StreamId,
)

from .manager import Manager

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from plugin_host_sdk.context import Context
    from plugin_host_sdk.endpoint import Runtime

    from .configuration import SessionLimits, SessionSettings
    from .handler import Handler

__all__ = ["Desk"]

_T = TypeVar("_T")

_PART_BYTES = 2 * 1024 * 1024


class _Named(msgspec.Struct):
    session: str


class _Create(SessionOptions, frozen=True, kw_only=True):
    stdin: StreamId | None = None


class _Attach(AttachOptions, frozen=True, kw_only=True):
    session: str


class _List(msgspec.Struct):
    after: tuple[float, str] | None = None


class _Detach(_Named):
    viewer: int


class _Resize(_Named):
    rows: int
    cols: int


class _Signal(_Named):
    signal: str


class _CloseStdin(_Named):
    total: int


class _Close(_Named):
    missing_ok: bool = False
    stdin: int | None = None


class Desk:
    """One method for each request: parameters as a map in, the answer out. Raises CallError."""

    def __init__(
        self,
        handlers: Iterable[Handler],
        runtime: Runtime,
        replay_bytes: int,
        *,
        settings: SessionSettings | None,
        limits: SessionLimits | None,
    ) -> None:
        _prepare()
        self.manager = Manager(
            handlers,
            sink=runtime.sink,
            runtime=runtime,
            replay_bytes=replay_bytes,
            settings=settings,
            limits=limits,
            logger=lambda level, message: runtime.log(level, "exec", message, {}),
        )

    def create(self, ctx: Context, params: dict[str, Any]) -> Any:
        asked = _convert("exec.create", params, _Create)
        return _builtins(self.manager.create(asked, asked.stdin, ctx))

    async def create_async(self, ctx: Context, params: dict[str, Any]) -> Any:
        asked = _convert("exec.create", params, _Create)
        return _builtins(await self.manager.create_async(asked, asked.stdin, ctx))

    def open(self, ctx: Context, options: SessionOptions, stdin: int | None, handler: Handler) -> Any:
        """A session of a handler that is not listed."""
        return _builtins(self.manager.create(options, stdin, ctx, handler))

    async def open_async(
        self, ctx: Context, options: SessionOptions, stdin: int | None, handler: Handler
    ) -> Any:
        return _builtins(await self.manager.create_async(options, stdin, ctx, handler))

    def handlers(self, params: dict[str, Any]) -> Any:
        return {"handlers": _builtins(self.manager.handlers())}

    def get(self, params: dict[str, Any]) -> Any:
        return _builtins(self.manager.get(_convert("exec.get", params, _Named).session))

    def list(self, params: dict[str, Any]) -> Any:
        """A part of them that fits into a message; the rest comes `after` the time and id of its last."""
        asked = _convert("exec.list", params, _List)
        infos = self.manager.list()
        if asked.after is not None:
            infos = [info for info in infos if (info.created_at, info.id) > asked.after]
        part: builtins.list[SessionInfo] = []
        size = 0
        for info in infos:
            size += len(msgspec.msgpack.encode(info))
            if part and size > _PART_BYTES:
                break
            part.append(info)
        answer = {"sessions": _builtins(part)}
        return answer | {"more": True} if len(part) < len(infos) else answer

    def attach(self, params: dict[str, Any]) -> Any:
        asked = _convert("exec.attach", params, _Attach)
        return _builtins(self.manager.attach(asked.session, asked))

    def detach(self, params: dict[str, Any]) -> Any:
        asked = _convert("exec.detach", params, _Detach)
        self.manager.detach(asked.session, asked.viewer)
        return {}

    def resize(self, params: dict[str, Any]) -> Any:
        asked = _convert("exec.resize", params, _Resize)
        return self.manager.resize(asked.session, asked.rows, asked.cols) or {}

    def signal(self, params: dict[str, Any]) -> Any:
        asked = _convert("exec.signal", params, _Signal)
        self.manager.signal(asked.session, asked.signal)
        return {}

    def close_stdin(self, params: dict[str, Any]) -> Any:
        asked = _convert("exec.close_stdin", params, _CloseStdin)
        self.manager.close_stdin(asked.session, asked.total)
        return {}

    def close(self, params: dict[str, Any]) -> Any:
        asked = _convert("exec.close", params, _Close)
        if asked.stdin is not None and not self.manager.has_input(asked.session, asked.stdin):
            return {}
        return self.manager.close(asked.session, asked.missing_ok) or {}


def _prepare() -> None:
    """Let msgspec look at every type once, on one thread: two that do it at the same time crash it."""
    for kind in (
        _Named, _Create, _Attach, _List, _Detach, _Resize, _Signal, _CloseStdin, _Close, HandlerInfo
    ):  # fmt: skip
        try:
            msgspec.convert({}, kind)
        except msgspec.ValidationError:
            pass  # nothing is missing from what is asked


def _convert(method: str, params: dict[str, Any], kind: type[_T]) -> _T:
    try:
        return msgspec.convert(params, kind)
    except msgspec.ValidationError as error:
        raise CallFailed(f"{method}: {error}", name="rpc.invalid_params") from None


def _builtins(value: Any) -> Any:
    return msgspec.to_builtins(value, builtin_types=(bytes, bytearray, memoryview))
