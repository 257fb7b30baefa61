"""Clients over TCP: who has the key is a client like any other, and nobody else is one."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from plugin_host.control import ControlClient, connect
from plugin_host.control.address import parse_address
from plugin_host.control.sealedport import SealedPort
from plugin_host.errors import CallFailed, ConfigurationError, HostLost, HostUnreachable
from plugin_host.seal import Role, SealedStream, open_stream, read_key
from plugin_host.seal import derivation as derivation_module
from plugin_host.seal.key import Keys
from plugin_host.seal.record import Kind, header
from plugin_host.seal.refusal import Refusal
from tests.control.arena import Arena, arena
from tests.control.proxy import proxy
from tests.run import Run
from tests.seal.pair import quick
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

__all__ = ["key_file", "quick", "reached", "sealed"]


def key_file(folder: Path, text: str = "a key of at least sixteen bytes\n", name: str = "psk") -> Path:
    file = folder / name
    file.touch(0o600)
    file.write_text(text)
    return file


@asynccontextmanager
async def sealed(
    tmp_path: Path, own_socket: str, handshake_s: float = 10.0
) -> AsyncIterator[tuple[Arena, SealedPort, Path]]:
    """A host with a port, and the file of its key."""
    file = key_file(tmp_path)
    async with (
        arena(tmp_path, own_socket) as scene,
        SealedPort(scene.server, parse_address("127.0.0.1:0"), file, handshake_s=handshake_s) as port,
    ):
        yield scene, port, file


async def reached(address: object, file: Path, **options: object) -> ControlClient:
    return await connect(f"tcp://{address}", psk_file=file, timeout=10, **options)  # type: ignore[arg-type]


def test_calls_and_sessions_over_tcp_are_those_of_the_socket(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def scene() -> None:
        async with sealed(tmp_path, own_socket) as (stage, port, file):
            local = await stage.client("near")
            async with await reached(port.address, file, name="far") as client:
                assert await client.call("desk", "work", {"steps": 2}) == 2
                with pytest.raises(CallFailed, match="not today"):
                    await client.call("desk", "refuse")
                status = await local.status()
                assert status["listen"] == str(port.address)
                near, far = status["clients"]
                assert (near["address"], far["pid"], far["uid"]) == (None, None, None)
                assert far["address"].startswith("127.0.0.1:")
                assert client.pid == local.pid
                count = 3_000_000
                session = await client.exec("desk", ["head", "-c", str(count), "/dev/zero"], tty=False)
                viewer = await session.attach()
                assert (
                    sum([len(output.data) async for output in viewer if hasattr(output, "data")]) == count
                )
                with pytest.raises(CallFailed, match="not for clients over TCP"):
                    await client.open_io(session, ["stdout"])

    run(scene())


def test_much_goes_up_as_it_comes_down(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def scene() -> None:
        async with (
            sealed(tmp_path, own_socket) as (_, port, file),
            await reached(port.address, file) as client,
        ):
            session = await client.exec("desk", ["sh", "-c", "wc -c"], tty=False)
            viewer = await session.attach()
            for _ in range(20):
                await session.write(b"x" * 100_000)
            await session.close_stdin()
            said = b"".join([output.data async for output in viewer if hasattr(output, "data")])
            assert said.strip() == b"2000000"

    run(scene())


def test_a_wrong_key_is_explained_on_both_sides(
    tmp_path: Path, own_socket: str, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with sealed(tmp_path, own_socket) as (_, port, _file):
            other = key_file(tmp_path, "another key, as long as the one\n", "other")
            with pytest.raises(HostUnreachable, match="another pre-shared key than this side: compare"):
                await reached(port.address, other)
            assert "the client has another pre-shared key" in caplog.text
            assert "from 127.0.0.1:" in caplog.text

    run(scene())


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("flip", "does not open"),
        ("drop", "does not open"),
        ("replay", "does not open"),
        ("cut", "bytes are missing"),
    ],
)
def test_who_meddles_between_ends_the_connection_and_runs_nothing(
    tmp_path: Path, own_socket: str, run: Run, caplog: pytest.LogCaptureFixture, how: str, words: str
) -> None:
    seen: list[bytes] = []

    def meddle(number: int, record: bytes) -> list[bytes]:
        seen.append(record)
        if number < 4:  # hello, proof, initialize and a first call
            return [record]
        if how == "cut":
            raise ConnectionResetError
        flipped = record[:-1] + bytes((record[-1] ^ 1,))
        return {"flip": [flipped], "drop": [], "replay": [seen[3]]}[how] if (number == 4) else [record]

    async def scene() -> None:
        async with (
            sealed(tmp_path, own_socket) as (stage, port, file),
            proxy(str(port.address), meddle) as between,
        ):
            client = await reached(between, file)
            assert await client.call("desk", "work", {"steps": 1}) == 1
            second = asyncio.ensure_future(client.call("desk", "work", {"steps": 1}))
            await asyncio.sleep(0)
            third = asyncio.ensure_future(client.call("desk", "wait"))
            with pytest.raises(HostLost):
                await second
            with pytest.raises(HostLost):
                await third
            with pytest.raises(HostLost, match="bytes are missing"):  # who asks later is told as much
                await client.status()
            assert stage.server.desks() == []
            await client.close()

    with caplog.at_level(logging.WARNING):
        run(scene())
    assert "was dropped" in caplog.text
    assert words in caplog.text


def test_nonsense_and_silence_keep_nobody_from_being_served(
    tmp_path: Path, own_socket: str, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with sealed(tmp_path, own_socket) as (_, port, file):
            place = (port.address.host, port.address.port)
            with socket.create_connection(place), socket.create_connection(place) as noisy:
                noisy.setblocking(False)
                await asyncio.get_running_loop().sock_sendall(noisy, b"GET / HTTP/1.1\r\n\r\n")
                async with await reached(port.address, file) as client:
                    assert await client.call("desk", "work", {"steps": 1}) == 1
                assert await last_words(noisy) == Refusal.RECORD
        assert "begins with b'GET / HT'" in caplog.text

    run(scene())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(b"\xc1" * 40, id="no msgpack"),
        pytest.param(random.Random(7).randbytes(4000), id="random"),
        pytest.param(b"\x01\x02\x03", id="no messages"),
    ],
)
def test_noise_that_is_validly_sealed_costs_its_sender_the_connection_and_nobody_else_anything(
    tmp_path: Path, own_socket: str, run: Run, caplog: pytest.LogCaptureFixture, noise: bytes
) -> None:
    async def scene() -> None:
        async with (
            sealed(tmp_path, own_socket) as (stage, port, file),
            await reached(port.address, file) as client,
        ):
            ends = await asyncio.open_connection(port.address.host, port.address.port)
            noisy = await open_stream(*ends, read_key(file), Role.CLIENT)
            await noisy.write(noise)
            said = [message async for message in messages(noisy)]
            assert b"rpc.protocol" in b"".join(said)
            ends[1].close()
            assert await client.call("desk", "work", {"steps": 1}) == 1
            assert len(stage.server.desks()) == 1

    with caplog.at_level(logging.WARNING):
        run(scene())
    (reason,) = [one for one in caplog.messages if "was dropped" in one]
    assert re.match(r"client 2 \(unnamed, from 127\.0\.0\.1:\d+\) was dropped: .", reason)


async def messages(stream: SealedStream) -> AsyncIterator[bytes]:
    """All that comes until the peer says that it was all."""
    while (message := await stream.read()) is not None:
        yield message


@pytest.mark.usefixtures("quick")
def test_no_two_connections_have_the_same_nonce_of_the_port_or_of_the_client(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def scene() -> None:
        async with sealed(tmp_path, own_socket) as (_, port, file):
            hellos: list[bytes] = []

            def pass_on(number: int, record: bytes) -> list[bytes]:
                if number == 0:
                    hellos.append(record)
                return [record]

            def heard(data: bytes) -> None:
                if len(hellos) % 2:
                    hellos.append(data)

            async with proxy(str(port.address), pass_on, heard) as between:
                for _ in range(2):
                    async with await reached(between, file):
                        pass
            assert [record[:8] for record in hellos] == [
                header(Kind.CLIENT_HELLO, 16),
                header(Kind.SERVER_HELLO, 16),
            ] * 2
            assert [len(record) for record in hellos] == [24] * 4
            assert len({record[8:] for record in hellos}) == 4

    run(scene())


def test_who_does_not_prove_the_key_in_time_is_told_and_dropped(
    tmp_path: Path, own_socket: str, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with sealed(tmp_path, own_socket, handshake_s=0.2) as (_, port, _file):
            with socket.create_connection((port.address.host, port.address.port)) as silent:
                silent.setblocking(False)
                assert await last_words(silent) == Refusal.SLOW
        assert "did not prove its key within 0.2 s" in caplog.text

    run(scene())


def without_memory(secret: bytes, salt: bytes) -> Keys:
    raise MemoryError


def test_a_handshake_that_fails_for_want_of_memory_costs_that_connection_alone(
    tmp_path: Path,
    own_socket: str,
    run: Run,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene() -> None:
        async with sealed(tmp_path, own_socket) as (_, port, file):
            with (
                monkeypatch.context() as patch,
                socket.create_connection((port.address.host, port.address.port)) as sock,
            ):
                patch.setattr(derivation_module, "derive", without_memory)
                sock.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(sock, header(Kind.CLIENT_HELLO, 16) + bytes(16))
                said = b""
                while data := await loop.sock_recv(sock, 100):
                    said += data
                assert len(said) == 24
            async with await reached(port.address, file) as client:
                assert await client.status()

    run(scene())
    assert "its handshake failed" in caplog.text


def test_both_ends_notice_within_two_minutes_that_the_other_is_gone(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with sealed(tmp_path, own_socket) as (_, port, file):
            client = await reached(port.address, file)
            assert patience() == [120, 120]
            await client.close()

    run(body())


def patience() -> list[int]:
    """How many seconds each TCP connection of this process takes for the other end's silence."""
    found = []
    for file in psutil.Process().net_connections("tcp4"):
        with socket.socket(fileno=os.dup(file.fd)) as sock:
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):
                options = socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT
                idle, between, times = (sock.getsockopt(socket.IPPROTO_TCP, one) for one in options)
                found.append(idle + between * times)
    return found


async def last_words(sock: socket.socket) -> int:
    """The reason of a refusal, behind which the connection has ended."""
    loop = asyncio.get_running_loop()
    said = await loop.sock_recv(sock, 100)
    assert said[:-1] == header(Kind.REFUSAL, 1)
    assert await loop.sock_recv(sock, 100) == b""
    return said[-1]


def test_one_address_holds_few_unproved_connections(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def scene() -> None:
        async with sealed(tmp_path, own_socket) as (_, port, file):
            held = [socket.create_connection((port.address.host, port.address.port)) for _ in range(16)]
            await wait_until.aio(lambda: port._unproved.total() == 16)
            with pytest.raises(HostUnreachable):
                await reached(port.address, file)
            for one in held:
                one.close()
            await wait_until.aio(lambda: not port._unproved.total())
            async with await reached(port.address, file) as client:
                assert (await client.status())["listen"]

    run(scene())


@pytest.mark.parametrize("said", [b"", header(Kind.CLIENT_HELLO, 16) + bytes(16)], ids=["nothing", "hello"])
@pytest.mark.parametrize("addresses", [1, 4])
def test_who_lets_the_port_wait_gives_way_to_who_comes_with_the_key(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil, said: bytes, addresses: int
) -> None:
    async def scene() -> None:
        async with sealed(tmp_path, own_socket) as (_, port, file):
            place = (port.address.host, port.address.port)
            held = [
                socket.create_connection(place, source_address=(f"127.0.0.{1 + number // 16}", 0))
                for number in range(16 * addresses)
            ]
            for one in held:
                one.sendall(said)
            await wait_until.aio(lambda: port._unproved.total() == len(held))
            began = asyncio.get_running_loop().time()
            client = None
            while client is None:
                assert asyncio.get_running_loop().time() < began + 5
                try:
                    client = await reached(port.address, file)
                except HostUnreachable:
                    await asyncio.sleep(0.2)
            assert (await client.status())["listen"]
            assert len(held) - 2 <= port._unproved.total() < len(held)
            await client.close()
            for one in held:
                one.close()

    run(scene())


def test_what_cannot_be_reached_is_explained(tmp_path: Path, run: Run) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(HostUnreachable, match="no host listens there") as caught:
            run(reached(f"127.0.0.1:{port}", key_file(tmp_path)))
    assert caught.value.is_absent
    with pytest.raises(ConfigurationError, match="--psk-file"):
        run(connect("tcp://127.0.0.1:1"))


@pytest.mark.parametrize(
    "text", ["host", ":1", "host:", "host:65536", "host:x", "::1:5", "a b:5", "tcp://"]
)
def test_addresses_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_address(text)


@pytest.mark.parametrize("text", ["localhost:1", "127.0.0.1:65535", "[::1]:7411"])
def test_addresses_read_as_they_are_written(text: str) -> None:
    assert str(parse_address(text)) == str(parse_address(f"tcp://{text}")) == text


def test_large_answers_that_come_at_once_all_arrive(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def scene() -> None:
        async with (
            sealed(tmp_path, own_socket) as (_, port, file),
            await reached(port.address, file) as client,
        ):
            value = b"x" * 5_000_000
            calls = [client.call("desk", "echo", {"value": value}) for _ in range(6)]
            assert await asyncio.gather(*calls) == [value] * 6

    run(scene())
