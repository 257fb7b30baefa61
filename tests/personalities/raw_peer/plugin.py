"""Plain msgpack-RPC: positional parameters, errors and results of any shape, notifications of its own."""

from __future__ import annotations

import os
import sys

from plugin_host_sdk.connection import PLUGIN, Connection
from plugin_host_sdk.errors import LocalProtocolError
from plugin_host_sdk.events import NotificationReceived, RequestReceived
from plugin_host_sdk.wire import ExtType

connection = Connection(PLUGIN, raw=True)
heard: list[list[object]] = []


def write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def answer(event: RequestReceived) -> bytes:
    match event.method:
        case "fail":
            return connection.send_error(event.msgid, [0, *event.params])
        case "extension":
            return connection.send_response(event.msgid, ExtType(5, b"\x2a"))
        case "undecodable":
            return connection.send_response(event.msgid, "\udcff\udcfe")
        case "notify":
            write(connection.send_notification("raw_event", event.params))
        case "heard":
            return connection.send_response(event.msgid, heard)
        case "leave":
            os._exit(0)
        case "ignore":
            return b""
    return connection.send_response(event.msgid, event.params)


while data := os.read(0, 65536):
    for event in connection.receive_data(data):
        if isinstance(event, NotificationReceived):
            heard.append([event.method, event.params])
        elif isinstance(event, RequestReceived):
            heard.append([event.method, event.params])
            try:
                write(answer(event))
            except LocalProtocolError as error:
                print(error, file=sys.stderr)
