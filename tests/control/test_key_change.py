"""A pre-shared key that changes while a host listens: what its file says at that moment is valid."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from plugin_host import Configuration, PluginHost, action
from plugin_host.configuration import PluginConfiguration
from plugin_host.control import ControlClient, ControlServer
from plugin_host.control.address import parse_address
from plugin_host.control.sealedport import SealedPort
from plugin_host.errors import ConfigurationError, HostUnreachable
from plugin_host.localsocket import LocalSocket
from plugin_host.seal import Role, SealedConnection
from plugin_host.seal import derivation as derivation_module
from plugin_host.seal.event import Confirmed, KeyNeeded
from plugin_host.seal.key import Keys, derive
from plugin_host_automation.key import KeyStore
from plugin_host_automation.state import State
from tests.control.test_sealed_port import key_file, reached, sealed
from tests.run import Run
from tests.seal.pair import quick

pytestmark = pytest.mark.edges

__all__ = ["quick"]  # fixture

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
OLD, NEW, OTHER = (f"the {word} key, long enough\n" for word in ("old", "new", "other"))
REFUSED = "another pre-shared key than this side"


async def enters(address: object, file: Path) -> bool:
    """Whether who has the key in `file` becomes a client, or else is refused for its key."""
    try:
        async with await reached(address, file) as client:
            return bool(await client.status())
    except HostUnreachable as error:
        if REFUSED in str(error):
            return False
        raise


def replace(file: Path, text: str) -> None:
    key_file(file.parent, text, "part").rename(file)


@pytest.mark.usefixtures("quick")
def test_a_new_key_beside_the_old_one_is_valid_until_it_takes_its_place_or_goes(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    old, new = key_file(tmp_path, OLD, "a"), key_file(tmp_path, NEW, "b")

    async def scene() -> None:
        async with sealed(tmp_path, own_socket) as (_, port, file):
            replace(file, OLD)
            assert [await enters(port.address, one) for one in (old, new)] == [True, False]
            offered = key_file(tmp_path, NEW, f"{file.name}.new")
            assert [await enters(port.address, one) for one in (old, new)] == [True, True]
            offered.unlink()
            assert [await enters(port.address, one) for one in (old, new)] == [True, False]
            key_file(tmp_path, NEW, f"{file.name}.new").rename(file)
            assert [await enters(port.address, one) for one in (old, new)] == [False, True]

    run(scene())


@pytest.mark.usefixtures("quick")
def test_a_key_is_found_where_it_was_at_the_start_wherever_the_host_goes(
    tmp_path: Path, own_socket: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = key_file(tmp_path, OLD, "mine")
    monkeypatch.chdir(tmp_path)

    async def scene() -> None:
        async with (
            ControlServer(PluginHost(only=[]), LocalSocket(path=own_socket)) as server,
            SealedPort(server, parse_address("127.0.0.1:0"), "mine") as port,
        ):
            monkeypatch.chdir("/")
            assert await enters(port.address, mine)

    run(scene())


@pytest.mark.usefixtures("quick")
def test_a_client_stays_through_a_change_of_its_key(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def scene() -> None:
        async with (
            sealed(tmp_path, own_socket) as (_, port, file),
            await reached(port.address, file) as client,
        ):
            replace(file, NEW)
            assert await client.call("desk", "work", {"steps": 1}) == 1
            assert await enters(port.address, file)

    run(scene())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (lambda file: replace(file, NEW), "was changed in this moment"),
        (lambda file: file.rename(file.with_name("away")), "cannot be read: No such file"),
    ],
    ids=["changed", "gone"],
)
def test_a_client_that_is_slow_to_prove_the_old_key_is_not_let_in_with_it(
    tmp_path: Path,
    own_socket: str,
    run: Run,
    caplog: pytest.LogCaptureFixture,
    happens: Callable[[Path], object],
    words: str,
) -> None:
    async def scene() -> None:
        async with sealed(tmp_path, own_socket) as (stage, port, file):
            secret = file.read_bytes().strip()
            reader, writer = await asyncio.open_connection(port.address.host, port.address.port)
            client = SealedConnection(Role.CLIENT, os.urandom(16))
            writer.write(client.data_to_send())
            (needed,) = client.receive_data(await reader.readexactly(24))
            assert isinstance(needed, KeyNeeded)
            client.keyed(derive(secret, needed.salt))
            # Once a later client is in, the port has derived the keys of this one.
            async with await reached(port.address, file):
                happens(file)
                writer.write(client.data_to_send())
                assert client.receive_data(await reader.readexactly(40)) == [Confirmed()]
                assert await reader.read() == b""
                assert len(stage.server.desks()) == 1
            writer.close()

    with caplog.at_level(logging.WARNING):
        run(scene())
    assert words in caplog.text


@pytest.mark.usefixtures("quick")
def test_a_second_derivation_is_made_only_for_who_may_have_the_new_key(
    tmp_path: Path, own_socket: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the two sides makes its own."""
    made: Counter[bytes] = Counter()

    def counted(secret: bytes, salt: bytes) -> Keys:
        made[secret] += 1
        return derive(secret, salt)

    monkeypatch.setattr(derivation_module, "derive", counted)
    a, b, c = (text.strip().encode() for text in (OLD, NEW, OTHER))
    files = [key_file(tmp_path, text, text.split()[1]) for text in (OLD, NEW, OTHER)]

    async def scene() -> None:
        async with sealed(tmp_path, own_socket) as (_, port, file):
            replace(file, OLD)
            for others, expected in (
                ((), [{a: 2}, {a: 1, b: 1}, {a: 1, c: 1}]),
                ((NEW,), [{a: 2}, {a: 1, b: 2}, {a: 1, b: 1, c: 1}]),
            ):
                for text in others:
                    key_file(tmp_path, text, f"{file.name}.new")
                for one, count in zip(files, expected, strict=True):
                    made.clear()
                    await enters(port.address, one)
                    assert made == count

    run(scene())


@pytest.mark.usefixtures("quick")
def test_a_key_file_that_cannot_be_used_lets_nobody_in_and_is_told(
    tmp_path: Path, own_socket: str, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with sealed(tmp_path, own_socket) as (_, port, file):
            mine = key_file(tmp_path, file.read_text(), "mine")
            file.chmod(0o644)
            with pytest.raises(HostUnreachable, match="cannot use its own key file at this moment"):
                await reached(port.address, mine)
            assert "chmod 600" in caplog.text
            file.unlink()
            with pytest.raises(HostUnreachable, match="cannot use its own key file"):
                await reached(port.address, mine)
            replace(file, mine.read_text())
            assert await enters(port.address, mine)

    run(scene())


@pytest.mark.usefixtures("quick")
def test_a_new_key_that_cannot_be_used_is_told_and_the_old_one_is_valid(
    tmp_path: Path, own_socket: str, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with sealed(tmp_path, own_socket) as (_, port, file):
            new = key_file(tmp_path, NEW, f"{file.name}.new")
            new.chmod(0o644)
            assert await enters(port.address, file)
            assert "this new key is not taken" in caplog.text
            assert "chmod 600" in caplog.text
            assert not await enters(port.address, key_file(tmp_path, NEW, "mine"))

    run(scene())


def test_a_port_does_not_open_without_a_key(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def scene() -> None:
        key_file(tmp_path).chmod(0o666)
        with pytest.raises(ConfigurationError, match="chmod 600"):
            async with sealed(tmp_path, own_socket):
                pass

    run(scene())


@asynccontextmanager
async def automated(tmp_path: Path, own_socket: str) -> AsyncIterator[SealedPort]:
    """The port of a host that listens with the key of its plugin `automation`."""
    settings = {"state_dir": str(tmp_path / "state")}
    config = Configuration(plugins={"automation": PluginConfiguration(settings=settings)})
    async with (
        PluginHost(plugin_dirs=[PLUGINS], entry_points=False, only=["automation"], config=config) as host,
        ControlServer(host, LocalSocket(path=own_socket)) as server,
        SealedPort(server, parse_address("127.0.0.1:0"), tmp_path / "state" / "key") as port,
    ):
        yield port


@pytest.mark.usefixtures("quick")
def test_a_change_of_keys_by_the_action_holds_for_the_port_and_through_restarts(
    own_socket: str, run: Run, tmp_path: Path
) -> None:
    state = State(str(tmp_path / "state"))  # made as the plugin makes it, with a first key
    KeyStore(state).begin(OLD.strip())
    state.close()
    old, new = (key_file(tmp_path, text, text.split()[1]) for text in (OLD, NEW))

    async def ask(client: ControlClient, **fields: str) -> action.KeyResult:
        request = action.UpdateKey(**fields)  # type: ignore[arg-type]
        result = await (await client.actions.trigger("automation", request)).result()
        assert isinstance(result, action.KeyResult)
        return result

    async def entered(port: SealedPort) -> list[bool]:
        return [await enters(port.address, one) for one in (old, new)]

    async def scene() -> None:
        async with automated(tmp_path, own_socket) as port, await reached(port.address, old) as running:
            assert await entered(port) == [True, False]
            nonce = (await ask(running, phase="offer", key=NEW.strip())).nonce
            assert await entered(port) == [True, True]
            async with await reached(port.address, new) as client:
                await ask(client, phase="prove", proof=action.key_proof(NEW.strip(), nonce))
                assert await entered(port) == [True, True]
                await ask(client, phase="drop")
            assert await entered(port) == [False, True]
            assert (await running.restart("automation"))["state"] == "ready", "who has come in stays"
            assert await entered(port) == [False, True]
        async with automated(tmp_path, own_socket) as port:
            assert await entered(port) == [False, True]

    run(scene())
