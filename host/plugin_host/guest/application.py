"""The routes of a guest: who may ask, what there is, and how each request is answered.

One table says which method each route takes. Invariants: every request is answered, but that of a guest
that has gone; nothing is told, and nothing changes, before it is known which guest is asking.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from plugin_host.errors import InvalidPayload, MethodNotAllowed, NoSuchEndPoint
from plugin_host.wording import shown

from .action import IDLE, Action
from .actiontable import Reply
from .body import Body, BodyCut
from .credential import CHALLENGE, check
from .mediatype import JSON, media_type
from .refusal import refusal
from .report import OUTCOME_BYTES
from .reported import HEADER
from .source import SourceUnknown

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from .guest import Guest
    from .wire import Connection

    Endpoint = Callable[[Guest, Request, Body], Awaitable[Response | None]]

__all__ = ["Application"]

_BASE = "/engine/v1/"
_REPLY = "reply"
_LAST = {"connection": "close"}


class Application:
    """An ASGI application. `find(address)` is the guest there, `object_to(request)` why none is heard."""

    def __init__(
        self, find: Callable[[str], Guest | None], object_to: Callable[[HTTPConnection], str]
    ) -> None:
        self._find = find
        self._object_to = object_to
        self._routes: dict[str, dict[str, Endpoint]] = {
            "execute": {"GET": self._execute},
            "log": {"POST": self._log},
            "success": {"PUT": self._success},
            "failed": {"PUT": self._failed},
            "poll": {"GET": self._poll},
            "ping": {"GET": self._ping},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._serve_websocket(WebSocket(scope, receive, send))
            return
        request = Request(scope, receive)
        response = await self._respond(request)
        if response is not None:
            await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response | None:
        guest = self._admit(request)
        if isinstance(guest, Response):
            await Body(request, None).drain()
            return guest
        body = Body(request, guest.times.stall)
        try:
            check(request.headers, guest.token)
            request.state.connection.hear()
            return await self._endpoint(request)(guest, request, body)
        except BodyCut as cut:
            return None if cut.has_left else _stalled()
        except Exception as error:
            return await _refused(error, request, body)

    def _admit(self, connection: HTTPConnection) -> Guest | Response:
        """The guest that asks, or what it is told instead."""
        client = connection.client
        try:
            guest = self._find(client.host if client is not None else "")
        except SourceUnknown:
            return Response("no guest is known there", 403, _LAST)
        if guest is None:
            return Response("nobody serves that guest", 404, _LAST)
        if objection := self._object_to(connection):
            return Response(objection, 403, _LAST)
        return guest

    def _endpoint(self, request: Request) -> Endpoint:
        """Raises NoSuchEndPoint, MethodNotAllowed."""
        path, method = request.url.path, request.method
        name = path.removeprefix(_BASE)
        if name == _REPLY and path.startswith(_BASE):
            return self._reply
        if name not in self._routes or not path.startswith(_BASE):
            raise NoSuchEndPoint(f"there is no {shown(path)}")
        if method not in self._routes[name]:
            raise MethodNotAllowed(f"{path} takes {' and '.join(self._routes[name])}, not {method}")
        return self._routes[name][method]

    # The guest works.

    async def _ping(self, guest: Guest, request: Request, body: Body) -> Response:
        return Response()

    async def _execute(self, guest: Guest, request: Request, body: Body) -> Response:
        return Response(guest.order())

    async def _log(self, guest: Guest, request: Request, body: Body) -> Response:
        body.stall = None  # a program may be silent for as long as it likes
        await guest.report.log(body)
        return Response()

    async def _success(self, guest: Guest, request: Request, body: Body) -> Response:
        return await self._conclude(guest, request, body, True)

    async def _failed(self, guest: Guest, request: Request, body: Body) -> Response:
        return await self._conclude(guest, request, body, False)

    async def _conclude(self, guest: Guest, request: Request, body: Body, success: bool) -> Response:
        data = await body.read(OUTCOME_BYTES)
        is_told = media_type(request.headers.get("content-type")) == JSON
        await guest.conclude(success, data if is_told else b"")
        return Response()

    # The host asks.

    async def _poll(self, guest: Guest, request: Request, body: Body) -> Response | None:
        connection: Connection = request.state.connection
        action = await _while_there(guest, request)
        if action is None:
            return Response(msgspec.json.encode(Action(id=guest.desk.new_id(), type=IDLE)))
        if connection.has_left:
            guest.desk.give_back(action.id)
            return None
        connection.call_if_lost(lambda: guest.desk.give_back(action.id))
        return Response(msgspec.json.encode(action))

    async def _reply(self, guest: Guest, request: Request, body: Body) -> Response:
        reply = _reply_of(request, request.method, is_upgrade=False)
        await guest.desk.answer(_action_id(request), reply, body)
        return Response()

    async def _serve_websocket(self, websocket: WebSocket) -> None:
        guest = self._admit(websocket)
        if isinstance(guest, Response):
            await websocket.send_denial_response(guest)
            return
        try:
            check(websocket.headers, guest.token)
            if websocket.url.path != _BASE + _REPLY:
                raise _not_upgraded(websocket.url.path, self._routes)
            reply = _reply_of(websocket, "GET", is_upgrade=True)
            carrier = await guest.desk.answer(_action_id(websocket), reply, websocket)
        except Exception as error:
            status, body = refusal(error, f"websocket {websocket.url.path}")
            await websocket.send_denial_response(Response(body, status, _challenge(status)))
            return
        await carrier.link.run(websocket)


async def _while_there(guest: Guest, request: Request) -> Action | None:
    """What a poll gets, as long as the guest is there to get it; what it does not, goes to the next."""
    loop = asyncio.get_running_loop()
    polling = loop.create_task(guest.desk.poll(), name="a guest's poll")
    leaving = loop.create_task(_wait_for_leave(request), name="a guest's poll: its end")
    try:
        await asyncio.wait((polling, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (polling, leaving):
            task.cancel()
        await asyncio.wait((polling, leaving))
    return None if polling.cancelled() else polling.result()


async def _wait_for_leave(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _action_id(connection: HTTPConnection) -> str:
    return connection.query_params.get("id", "")


def _reply_of(connection: HTTPConnection, method: str, *, is_upgrade: bool) -> Reply:
    headers = connection.headers
    return Reply(method, headers.get("content-type"), is_upgrade, headers.get(HEADER))


def _not_upgraded(path: str, routes: dict[str, dict[str, Endpoint]]) -> Exception:
    if path.startswith(_BASE) and path.removeprefix(_BASE) in routes:
        return InvalidPayload(f"{path} is not upgraded to a websocket")
    return NoSuchEndPoint(f"there is no {shown(path)}")


async def _refused(error: Exception, request: Request, body: Body) -> Response:
    """The answer to a request that failed. Who is still sending hears it, if that is not too long."""
    await body.drain()
    status, text = refusal(error, f"{request.method} {request.url.path}")
    # Who is not the guest keeps no connection, of which there are only so many.
    is_last = status == 401 or not body.is_read
    return Response(text, status, _challenge(status) | (_LAST if is_last else {}))


def _challenge(status: int) -> dict[str, str]:
    return dict(CHALLENGE) if status == 401 else {}


def _stalled() -> Response:
    status, text = refusal(InvalidPayload("the body has stopped coming"), "")
    return Response(text, status, _LAST)
