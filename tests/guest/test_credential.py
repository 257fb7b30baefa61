"""The token of a guest: who does not show it changes nothing and learns nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from plugin_host.guest import GuestServer, credential
from plugin_host.guest.credential import Unauthorized, check, check_token
from tests.guest.place import Place, offered, serving
from tests.run import Run

TOKEN = "aZ09-._~+/=="
WRONG = ["", "Bearer", "Bearer ", "Bearer x", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}"]


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
def test_who_shows_the_token_is_heard(given: str) -> None:
    check({"authorization": given}, TOKEN)


@pytest.mark.parametrize("given", [*WRONG, TOKEN, "Bearer \xe4", f"Bearer {TOKEN} {TOKEN}"])
def test_who_shows_another_is_refused(given: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        check({"authorization": given}, TOKEN)
    assert TOKEN not in str(refused.value)


def test_where_no_token_is_wanted_none_is_looked_at() -> None:
    check({}, None)
    check({"authorization": "Bearer anything"}, None)


def test_tokens_are_compared_without_telling_how_much_of_them_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = []

    def compare(given: bytes, wanted: bytes) -> bool:
        compared.append((given, wanted))
        return True

    monkeypatch.setattr(credential, "compare_digest", compare)
    for word in ("x", TOKEN):
        check({"authorization": f"Bearer {word}"}, TOKEN)
    assert compared == [(b"x", TOKEN.encode()), (TOKEN.encode(), TOKEN.encode())]


@pytest.mark.parametrize("token", ["", " ", "a b", "ä", "=", "a\n", "a=b"])
def test_token_that_cannot_be_sent_is_refused_where_it_is_given(token: str) -> None:
    assert check_token(TOKEN) == TOKEN
    for give in (lambda: GuestServer(offered("make"), token=token), lambda: check_token(token)):
        with pytest.raises(ValueError, match="token"):
            give()
    with pytest.raises(ValueError, match="token"):
        GuestServer().assign("127.0.0.1", offered("make"), token=token)


def test_no_route_is_served_without_the_token(run: Run) -> None:
    async def body() -> None:
        async with serving("make", token=TOKEN) as place:
            await _is_closed(place)
            shown = {"Authorization": f"Bearer {TOKEN}"}
            assert (await place.ask("GET", "execute", None, **shown)).json["command"] == ["make"]
            assert (await place.ask("POST", "log", b"done", **shown)).status == 200
            assert (await place.ask("PUT", "success", None, **shown)).status == 200
            assert (await place.task.result()).success

    run(body())


async def _is_closed(place: Place) -> None:
    routes = [("GET", "execute"), ("POST", "log"), ("PUT", "success"), ("PUT", "failed"), ("GET", "poll")]
    routes += [("GET", "ping"), ("POST", "reply?id=1"), ("GET", "nothing")]
    for number, (method, route) in enumerate(routes):
        given = WRONG[number % len(WRONG)]
        body = b"forged" if method == "POST" else None
        answer = await place.ask(method, route, body, **({"Authorization": given} if given else {}))
        assert (answer.status, answer.code) == (401, "Unauthorized"), (route, given)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "token" in answer.json["message"]
    assert (place.task.state, place.task.info.log_bytes) == ("offered", 0)


def test_shell_is_not_opened_without_the_token(run: Run) -> None:
    async def body() -> None:
        async with serving(token=TOKEN) as place:
            with pytest.raises(InvalidStatus) as refused:
                async with place.websocket("reply?id=1"):
                    pass
            assert refused.value.response.status_code == 401
            with pytest.raises(InvalidStatus) as refused:
                async with place.websocket("reply?id=1", Authorization=f"Bearer {TOKEN}"):
                    pass
            assert refused.value.response.status_code == 400  # there is no such action

    run(body())


def test_guests_of_one_server_have_tokens_of_their_own_or_the_servers(run: Run) -> None:
    async def body() -> None:
        async with GuestServer(token="ours") as server:
            place = Place(server, offered("make"))
            for own, token in ((None, "ours"), ("own", "own")):
                server.assign("127.0.0.1", offered("make"), token=own)
                for given in ("ours", "own"):
                    answer = await place.ask("GET", "ping", Authorization=f"Bearer {given}")
                    assert answer.status == (200 if given == token else 401)
                await server.withdraw("127.0.0.1")
            assert (await place.ask("GET", "ping", Authorization="Bearer ours")).status == 403

    run(body())


def test_unix_socket_needs_no_token_and_can_have_one(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        for token, status in ((None, 200), (TOKEN, 401)):
            async with serving(path=str(tmp_path / "s"), token=token) as place:
                assert (await place.ask("GET", "ping")).status == status

    run(body())
