"""Hosts that ask a plugin for sessions as no `PluginHost` does: typed refusals, and the plugin lives."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from plugin_host_sdk.events import DataReceived
from plugin_host_sdk.handshake import Limits
from tests.alone import alone
from tests.session import is_alive
from tests.wait import WaitUntil

# Parameters.


def test_parameters_that_are_missing_or_of_another_kind_are_refused(tmp_path: Path) -> None:
    odd: list[Any] = [None, 7, 1.5, "x" * 200, [], {}, True, b"\xff", 2**63, ["x"], {"x": 1}]
    required: dict[str, dict[str, Any]] = {
        "create": {"id": "one"},
        "get": {"session": "one"},
        "attach": {"session": "one", "viewer": 1, "stdout": 100},
        "detach": {"session": "one", "viewer": 1},
        "resize": {"session": "one", "rows": 1, "cols": 1},
        "signal": {"session": "one", "signal": "SIGINT"},
        "close_stdin": {"session": "one", "total": 0},
        "close": {"session": "one"},
    }
    with alone(tmp_path) as plugin:
        for method, params in required.items():
            assert plugin.refused(method) == "rpc.invalid_params"
            for name in params:
                rest = {key: value for key, value in params.items() if key != name}
                assert plugin.refused(method, **rest) == "rpc.invalid_params"
                for value in odd:
                    if type(value) is type(params[name]) and method != "create":
                        continue
                    refusal = plugin.refused(method, **{**params, name: value})
                    assert refusal in ("rpc.invalid_params", "exec.session_not_found"), (
                        method,
                        name,
                        value,
                    )
        assert plugin.refused("nothing") == "rpc.method_not_found"
        assert plugin.done("list") == {"sessions": []}
        assert plugin.is_well()


def test_options_of_create_are_held_against_their_types(tmp_path: Path) -> None:
    odd: dict[str, list[Any]] = {
        "id": ["", " ", "x" * 129, "ü", "a\nb"],
        "command": ["ls", 7, [1], [None], [b"ls"], {"ls": 1}],
        "tty": [None, 1, "yes"],
        "rows": [0, -1, 65_536, 2**63, "24", None, 1.5],
        "cols": [0, -1, 65_536, 2**63, "24", None, 1.5],
        "cwd": [7, b"/tmp", ["/"]],
        "env": [7, {"A": 1}, {1: "A"}, ["A=1"], {"A": None}],
        "labels": [7, {"A": 1}],
        "params": [7, [1]],
        "resource_data": ["x", 5],
        "replay_bytes": [-1, 2**31, "x", 1.5],
        "detached": [1, "x", None],
        "stdin": ["x", 1.5, 0, -2, 1, 3, True],
    }
    with alone(tmp_path) as plugin:
        for name, values in odd.items():
            for value in values:
                params = {"id": "one", "command": ["cat"], "tty": False, name: value}
                assert plugin.refused("create", **params) == "rpc.invalid_params", (name, value)
        for handler in (7, b"local", "nothing", ["local"]):
            assert plugin.refused("create", id="one", handler=handler) == "exec.handler_not_found"
        assert plugin.done("list") == {"sessions": []}
        assert plugin.done("create", id="one", command=["cat"], tty=False, more=[1, 2])["session"]
        plugin.done("close", session="one")
        assert plugin.is_well()


def test_sessions_that_are_not_there_are_not_found(tmp_path: Path) -> None:
    with alone(tmp_path) as plugin:
        named = {"session": "nobody"}
        for method, params in (
            ("get", {}),
            ("attach", {"viewer": 1, "stdout": 100, "stderr": 102}),
            ("detach", {"viewer": 1}),
            ("resize", {"rows": 1, "cols": 1}),
            ("signal", {"signal": "SIGINT"}),
            ("close_stdin", {"total": 0}),
            ("close", {}),
        ):
            error = plugin.error(plugin.ask(f"exec.{method}", {**named, **params}))
            assert (error["name"], error["code"]) == ("exec.session_not_found", 1)
            assert error["data"]["session"] == "nobody"
        assert plugin.done("close", session="nobody", missing_ok=True) == {}
        assert plugin.is_well()


# Ids of streams and viewers.


def test_streams_that_are_taken_or_nobodys_to_give_are_refused(tmp_path: Path) -> None:
    with alone(tmp_path) as plugin:
        stdin = plugin.create("one", "cat; echo err >&2")
        params = {"command": ["cat"], "tty": False}
        assert plugin.refused("create", id="two", stdin=stdin, **params) == "rpc.invalid_params"
        out, err = plugin.attach("one", 1)
        fresh = iter(range(1000, 2000, 2))
        for streams in (
            {"stdout": out, "stderr": next(fresh)},
            {"stdout": next(fresh), "stderr": err},
            {"stdout": stdin, "stderr": next(fresh)},
            {"stdout": 1200, "stderr": 1200},
            {"stdout": 1, "stderr": next(fresh)},
            {"stdout": next(fresh), "stderr": 7},
            {"stdout": 0, "stderr": next(fresh)},
            {"stdout": -2, "stderr": next(fresh)},
            {"stdout": next(fresh)},
            {"stdout": next(fresh), "stderr": None},
        ):
            # An end of one that was opened before the other was refused is dropped here.
            for stream in streams.values():
                if stream is not None and stream >= 1000:
                    plugin.streams._ended[0].add(stream)
            assert plugin.refused("attach", session="one", viewer=2, **streams) == "rpc.invalid_params"
        assert plugin.done("get", session="one")["viewers"] == 1
        assert [one["id"] for one in plugin.done("list")["sessions"]] == ["one"]
        # The first viewer has noticed nothing.
        plugin.send(b"".join(plugin.streams.send_data(stdin, b"hello")))
        plugin.done("close_stdin", session="one", total=5)
        assert (plugin.output(out), plugin.output(err)) == (b"hello", b"err\n")
        assert plugin.is_well()


def test_viewers_and_windows_are_held_against_their_bounds(tmp_path: Path) -> None:
    odd: dict[str, list[Any]] = {
        "viewer": [1, 0, -1, "x", None, True],
        "window": [0, -1, 2**30 + 1, 2**62, "x", None],
        "offset": [-2, 1, 2**62, "x", 1.5, {"stdin": 0}, {"stdout": "x"}, {"stdout": 1}, [0]],
        "lossless": [1, None],
        "read_only": ["x"],
    }
    with alone(tmp_path) as plugin:
        plugin.create("one", "exec sleep 60")
        plugin.attach("one", 1)
        fresh = iter(range(1000, 2000, 2))
        for name, values in odd.items():
            for value in values:
                params = {"viewer": 2, "stdout": next(fresh), "stderr": next(fresh), name: value}
                assert plugin.refused("attach", session="one", **params) == "rpc.invalid_params", (
                    name,
                    value,
                )
        assert plugin.done("get", session="one")["viewers"] == 1
        plugin.done("detach", session="one", viewer=77)
        plugin.done("detach", session="one", viewer=1)
        plugin.done("detach", session="one", viewer=1)
        assert plugin.done("get", session="one")["viewers"] == 0
        plugin.done("close", session="one")
        assert plugin.is_well()


def test_largest_window_costs_nothing_until_it_is_used(tmp_path: Path) -> None:
    with alone(tmp_path) as plugin:
        plugin.create("one", "yes | head -c 3000000")
        out, err = plugin.streams.reserve(), plugin.streams.reserve()
        for stream in (out, err):
            plugin.streams.open_receive(stream, 2**20)
        plugin.done("attach", session="one", viewer=1, stdout=out, stderr=err, window=2**20)
        assert plugin.output(out) == b"y\n" * 1_500_000
        assert plugin.is_well()


# What is sent, exactly.


def test_exit_is_told_once_behind_the_output_with_the_totals(tmp_path: Path, wait_until: WaitUntil) -> None:
    with alone(tmp_path) as plugin:
        for number in range(20):
            plugin.create(f"s{number}", "echo out; echo error >&2; exit 3")
            out, err = plugin.attach(f"s{number}", 1)
            assert (plugin.output(out), plugin.output(err)) == (b"out\n", b"error\n")
        wait_until(lambda: len(plugin.exits()) >= 20)
        for number in range(20):
            plugin.done("close", session=f"s{number}")
        exits = plugin.exits()
        assert sorted(one["session"] for one in exits) == sorted(f"s{number}" for number in range(20))
        for one in exits:
            assert one["totals"] == {"stdout": 4, "stderr": 6}
            assert (one["exit"]["code"], one["exit"]["signal"]) == (3, None)
            assert one["exit"]["duration"] > 0


def test_frames_and_windows_are_no_larger_than_the_host_takes(tmp_path: Path) -> None:
    """The connection at this end breaks off when they are."""
    with alone(tmp_path, Limits(frame_bytes=1024, window_bytes=4096)) as plugin:
        plugin.create("one", "head -c 100000 /dev/zero; head -c 50000 /dev/zero >&2")
        out, err = plugin.attach("one", 1, window=3000)
        assert (plugin.output(out), plugin.output(err)) == (bytes(100_000), bytes(50_000))


def test_nothing_is_sent_without_credit(tmp_path: Path, wait_until: WaitUntil) -> None:
    with alone(tmp_path) as plugin:
        plugin.create("one", "yes")
        out, _ = plugin.attach("one", 1, window=10)

        def arrived() -> int:
            plugin.result(plugin.ask("ping", {"nonce": 1}))
            return sum(len(one.data) for one in plugin.events if isinstance(one, DataReceived))

        wait_until(lambda: arrived() == 10)
        for granted in (1, 5, 20_000):
            before = arrived()
            plugin.streams.receiving[out].window.credit += granted
            plugin.frame("credit", out, granted)
            wait_until(lambda: arrived() == before + granted)  # noqa: B023
        plugin.done("close", session="one")


# Sessions and the wire's end.


def test_input_is_closed_where_the_host_says(tmp_path: Path) -> None:
    with alone(tmp_path) as plugin:
        stdin = plugin.create("one", "wc -c")
        out, _ = plugin.attach("one", 1)
        plugin.send(b"".join(plugin.streams.send_data(stdin, b"12345")))
        for total in (-1, 4, "x", None, 1.5):
            assert plugin.refused("close_stdin", session="one", total=total) == "rpc.invalid_params"
        # More than was sent is still to come.
        assert plugin.done("close_stdin", session="one", total=8) == {}
        plugin.send(b"".join(plugin.streams.send_data(stdin, b"678")))
        assert plugin.output(out).split() == [b"8"]
        plugin.create("two", "cat")
        plugin.done("close_stdin", session="two", total=2**62)
        plugin.done("close", session="two")
        assert plugin.is_well()


def test_frames_that_no_longer_matter_are_dropped(tmp_path: Path) -> None:
    with alone(tmp_path) as plugin:
        stdin = plugin.create("one", "exec sleep 60")
        out, _ = plugin.attach("one", 1)
        plugin.frame("stop", out)
        plugin.frame("stop", out)
        plugin.frame("stop", 5000)
        plugin.done("close", session="one")
        plugin.frame("data", stdin, 0, b"too late")
        plugin.frame("credit", out, 5)
        plugin.frame("end", stdin, 8)
        plugin.frame("end", stdin, 8)
        assert plugin.is_well()


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("more than the window", ("data", "stdin", 0, bytes(60_000))),
        ("for nobody", ("data", 5000, 0, b"x")),
        ("with a hole", ("data", "stdin", 5, b"x")),
        ("a total that lies", ("end", "stdin", 5)),
        ("no credit", ("credit", "out", 0)),
        ("credit for nobody", ("credit", 5000, 1)),
    ],
)
def test_frame_that_breaks_the_protocol_ends_the_plugin_and_its_sessions(
    tmp_path: Path, wait_until: WaitUntil, name: str, frame: tuple[Any, ...]
) -> None:
    with alone(tmp_path) as plugin:
        stdin = plugin.create("one", "exec sleep 60")
        pid = plugin.done("get", session="one")["pid"]
        out, _ = plugin.attach("one", 1)
        numbers = {"stdin": stdin, "out": out}
        method, stream, *rest = frame
        try:
            for number in range(30 if name == "more than the window" else 1):
                offset = [rest[0] + number * 60_000, *rest[1:]] if method == "data" else rest
                plugin.frame(method, numbers.get(stream, stream), *offset)
        except BrokenPipeError:
            pass  # it has had enough
        plugin.child.wait(10)
        assert not is_alive(pid)


@pytest.mark.parametrize("ending", ["end of file", "shutdown"])
def test_sessions_end_with_the_plugin(tmp_path: Path, wait_until: WaitUntil, ending: str) -> None:
    """The process alone, without the ladder of a host that might help."""
    with alone(tmp_path) as plugin:
        pids = []
        for number, script in enumerate(
            ("exec sleep 60", "trap '' TERM; echo; while :; do sleep 0.1; done")
        ):
            plugin.create(str(number), script)
            pids.append(plugin.done("get", session=str(number))["pid"])
        if ending == "shutdown":
            plugin.result(plugin.ask("shutdown", {"grace_ms": 500}))
        else:
            plugin.sock.shutdown(socket.SHUT_RDWR)
        plugin.child.wait(10)
        wait_until(lambda: not any(map(is_alive, pids)))
