"""The keys that the automation plugin keeps: a change leaves the old one valid until it is complete."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from plugin_host.seal import read_keys
from plugin_host_automation.key import KeyStore
from plugin_host_automation.state import State, close_state
from plugin_host_sdk import action
from plugin_host_sdk.action import KeyResult, UpdateKey, key_fingerprint, key_proof
from plugin_host_sdk.testing import ActionBench
from tests.plugins.automation import Serve, serve

__all__ = ["serve"]  # fixture

OLD, NEW = "the old key " * 3, "the new key " * 3


def step(bench: ActionBench, phase: str, **fields: str) -> KeyResult:
    result = bench.trigger(UpdateKey(phase=phase, **fields)).result()  # type: ignore[arg-type]
    assert isinstance(result, KeyResult)
    return result


def change(bench: ActionBench, key: str) -> None:
    offered = step(bench, "offer", key=key)
    step(bench, "prove", proof=key_proof(key, offered.nonce))
    step(bench, "drop")


def accepted(folder: Path) -> list[bool]:
    """Whether a host that listens with the key of this folder takes the old key and the new one."""
    valid = read_keys(folder / "key")
    return [key.encode() in valid for key in (OLD, NEW)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def bench(serve: Serve) -> ActionBench:
    """A plugin whose key is the old one."""
    bench = serve()
    change(bench, OLD)
    return bench


def test_a_complete_change_puts_the_new_key_in_the_place_of_the_old(
    bench: ActionBench, folder: Path
) -> None:
    offered = step(bench, "offer", key=NEW)
    assert (offered.state, len(offered.nonce), len(offered.fingerprint)) == ("offered", 32, 16)
    proved = step(bench, "prove", proof=key_proof(NEW, offered.nonce))
    assert proved == KeyResult(state="proved", fingerprint=offered.fingerprint)
    assert step(bench, "drop") == KeyResult(state="dropped", fingerprint=offered.fingerprint)
    assert accepted(folder) == [False, True]


def test_a_new_key_is_accepted_beside_the_old_one_from_the_offer_on(
    bench: ActionBench, folder: Path
) -> None:
    step(bench, "offer", key=NEW)
    assert accepted(folder) == [True, True]


def test_a_proof_alone_leaves_both_valid(bench: ActionBench, folder: Path) -> None:
    step(bench, "prove", proof=key_proof(NEW, step(bench, "offer", key=NEW).nonce))
    assert accepted(folder) == [True, True]


def test_a_wrong_proof_leaves_the_old_key(bench: ActionBench, folder: Path) -> None:
    nonce = step(bench, "offer", key=NEW).nonce
    for wrong in ("", key_proof(OLD, nonce), key_proof(NEW, "another"), "0" * 64):
        with pytest.raises(action.KeyRejected, match="the old key is still valid"):
            step(bench, "prove", proof=wrong)
    with pytest.raises(action.KeyRejected, match="has not been proved"):
        step(bench, "drop")
    assert (folder / "key").read_text() == OLD + "\n"


def test_steps_without_an_offer_are_refused(bench: ActionBench, folder: Path) -> None:
    with pytest.raises(action.KeyRejected, match="no new key to prove: offer one first"):
        step(bench, "prove", proof="0")
    with pytest.raises(action.KeyRejected, match="offer one first"):
        step(bench, "drop")
    assert accepted(folder) == [True, False]


def test_a_withdrawn_key_is_forgotten(bench: ActionBench, folder: Path) -> None:
    nonce = step(bench, "offer", key=NEW).nonce
    assert step(bench, "withdraw") == step(bench, "withdraw") == KeyResult(state="withdrawn")
    with pytest.raises(action.KeyRejected):
        step(bench, "prove", proof=key_proof(NEW, nonce))
    assert accepted(folder) == [True, False]


def test_a_second_offer_takes_the_place_of_the_first(bench: ActionBench) -> None:
    first = step(bench, "offer", key="another new key " * 2)
    second = step(bench, "offer", key=NEW)
    with pytest.raises(action.KeyRejected):
        step(bench, "prove", proof=key_proof("another new key " * 2, first.nonce))
    step(bench, "prove", proof=key_proof(NEW, second.nonce))


def test_keys_are_in_files_of_mode_0600_that_the_host_reads(bench: ActionBench, folder: Path) -> None:
    step(bench, "offer", key=NEW)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "key": 0o600,
        "key.new": 0o600,
        "key.change": 0o600,
    }
    assert read_keys(folder / "key") == [OLD.encode(), NEW.encode()]
    assert NEW not in (folder / "key.change").read_text()


@pytest.mark.parametrize(
    ("phase", "call"),
    [("offer", "rename"), ("prove", "rename"), ("drop", "fsync"), ("drop", "rename"), ("drop", "unlink")],
)
def test_a_plugin_that_is_killed_in_a_step_leaves_a_valid_key(
    bench: ActionBench, folder: Path, phase: str, call: str
) -> None:
    nonce = step(bench, "offer", key=NEW).nonce if phase != "offer" else ""
    if phase == "drop":
        step(bench, "prove", proof=key_proof(NEW, nonce))
    before = accepted(folder)
    bench.close()
    close_state()
    code = f"""if True:
        import os, signal
        from plugin_host_automation.key import KeyStore
        from plugin_host_automation.state import State, close_state
        from plugin_host_sdk.action import key_proof
        keys = KeyStore(State({str(folder)!r}))
        setattr(os, {call!r}, lambda *arguments, **more: os.kill(os.getpid(), signal.SIGKILL))
        {{"offer": lambda: keys.propose({NEW!r}),
          "prove": lambda: keys.prove(key_proof({NEW!r}, {nonce!r})),
          "drop": keys.drop}}[{phase!r}]()
    """
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run([sys.executable, "-c", code], env=env, check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    if call == "unlink":
        assert accepted(folder) == [False, True]
    else:
        assert accepted(folder) == [True, before[1]]
    state = State(str(folder))
    try:
        KeyStore(state).withdraw()
        KeyStore(state).propose(NEW)  # whatever is left of the other change
    finally:
        state.close()
    assert accepted(folder)[1]


# the folder


def test_two_processes_do_not_use_one_state(bench: ActionBench, folder: Path) -> None:
    code = f"from plugin_host_automation.state import State; State({str(folder)!r})"
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, check=False, capture_output=True, text=True
    )
    assert "is used by another process: give each plugin a state_dir of its own" in done.stderr


def test_a_folder_that_others_may_look_into_is_refused(serve: Serve, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    bench = serve(state_dir=str(tmp_path))
    with pytest.raises(action.ActionFailed, match=r"holds secrets.*mode 0755"):
        bench.trigger(UpdateKey(phase="offer", key=NEW))


def test_a_folder_that_cannot_be_is_refused(serve: Serve) -> None:
    bench = serve(state_dir="/etc/passwd/state")
    with pytest.raises(action.ActionFailed, match="Not a directory"):
        bench.trigger(UpdateKey(phase="offer", key=NEW))


@pytest.mark.parametrize("file", ["key.new", "key.change"])
def test_a_damaged_offer_is_told_and_can_be_withdrawn(bench: ActionBench, folder: Path, file: str) -> None:
    step(bench, "offer", key=NEW)
    (folder / file).write_text("nonsense of the length of a key")
    with pytest.raises(action.ActionFailed, match="not what was written"):
        step(bench, "drop")
    step(bench, "withdraw")
    change(bench, NEW)
    assert accepted(folder) == [False, True]


@pytest.mark.parametrize(
    "key", ["fifteen letters", "long enough, with a line end\n", "and with the other\r"]
)
def test_a_key_that_a_host_would_not_read_is_refused_before_it_could_lock_out_anybody(
    bench: ActionBench, folder: Path, key: str
) -> None:
    with pytest.raises(action.KeyRejected, match="at least 16 bytes and no line end behind it"):
        step(bench, "offer", key=key)
    assert accepted(folder) == [True, False]
    step(bench, "offer", key="\u00e4" * 8)


@pytest.mark.parametrize("left", [(), ("key.change",), ("key.new",)])
def test_half_an_offer_is_none(bench: ActionBench, folder: Path, left: tuple[str, ...]) -> None:
    step(bench, "offer", key=NEW)
    for name in {"key.new", "key.change"}.difference(left):
        (folder / name).unlink()
    with pytest.raises(action.KeyRejected, match="offer one first"):
        step(bench, "drop")
    change(bench, NEW)
    assert accepted(folder) == [False, True]


def test_a_withdrawal_of_one_key_leaves_the_offer_of_another(bench: ActionBench, folder: Path) -> None:
    step(bench, "offer", key=NEW)
    assert step(bench, "withdraw", fingerprint=key_fingerprint(OLD)).state == "withdrawn"
    assert accepted(folder) == [True, True]
    assert step(bench, "withdraw", fingerprint=key_fingerprint(NEW)).state == "withdrawn"
    assert accepted(folder) == [True, False]
