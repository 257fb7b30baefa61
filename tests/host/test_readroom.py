"""Room to read into: one for all links of a thread, one for each link that several threads read."""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc

from plugin_host.channel import open_socketpair
from plugin_host.link import Link
from plugin_host.linkowner import LinkOwner
from plugin_host.readroom import READ_BYTES, SMALL_READ_BYTES, is_flood, own_room, shared_room
from plugin_host_sdk.connection import HOST, Connection
from plugin_host_sdk.events import NotificationReceived, ResponseReceived
from plugin_host_sdk.protocol import FRAME_BYTES
from tests.linked import linked
from tests.run import Run


def test_links_of_one_thread_read_into_one_room(run: Run) -> None:
    async def body() -> None:
        async with linked() as (one, _, _), linked() as (other, _, _):
            assert one._view is other._view is shared_room()

    run(body())


def test_answers_of_links_that_share_a_room_are_their_own(run: Run) -> None:
    """Both arrive before either is looked at, and are kept when the next is read over them."""

    async def body() -> None:
        async with linked() as (one, here, _), linked() as (other, there, _):
            asked = [(link.request("echo", {}), end) for link, end in ((one, here), (other, there))]
            for n, ((msgid, _), end) in enumerate(asked):
                end.connection.receive_data(end.socket.recv(READ_BYTES))
                end.socket.send(end.connection.send_response(msgid, [f"{n}" * 30000]))
            for n, ((_, future), _) in enumerate(asked):
                assert await future == [f"{n}" * 30000]

    run(body())


def test_each_thread_has_a_shared_room_of_its_own() -> None:
    rooms = [shared_room()]
    thread = threading.Thread(target=lambda: rooms.append(shared_room()))
    thread.start()
    thread.join()
    rooms[1][:] = bytes([1]) * READ_BYTES
    rooms[0][:] = bytes(READ_BYTES)
    assert rooms[1][0] == 1


def test_room_of_ones_own_holds_a_read_and_is_nobody_elses() -> None:
    one, other = own_room(), own_room()
    one[0] = 1
    assert (len(one), one[0], other[0]) == (READ_BYTES, 1, 0)
    assert READ_BYTES == FRAME_BYTES


def test_flood_is_many_messages_or_another_full_small_read_and_no_answers() -> None:
    notice, answer = NotificationReceived("log", {}), ResponseReceived(1, None)
    assert is_flood([notice] * 129, READ_BYTES)
    assert not is_flood([notice] * 128, READ_BYTES)
    assert is_flood([notice], SMALL_READ_BYTES)
    assert not is_flood([], SMALL_READ_BYTES)
    assert not is_flood([notice] * 129 + [answer], READ_BYTES)


def test_one_more_link_has_room_for_a_message_to_decode_and_for_no_other() -> None:
    """A host may have hundreds: most of what one takes is the unpacker's, room and state."""

    async def body() -> int:
        ends = [open_socketpair() for _ in range(20)]
        shared_room()
        gc.collect()
        tracemalloc.start()
        links = [Link(channel, Connection(HOST), LinkOwner()) for channel, _ in ends]
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        for link, (channel, child) in zip(links, ends, strict=True):
            link.close()
            channel.close()
            child.close()
        return size // len(links)

    assert asyncio.run(body()) < 2 * READ_BYTES
