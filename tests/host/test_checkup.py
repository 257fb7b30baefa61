"""What the checks of `doctor` make of what they see: no process, no clock."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from plugin_host.bubblewrap import Problem
from plugin_host.candidate import Candidate
from plugin_host.checkup import interpreter, limitation, probe, sandboxing, system
from plugin_host.checkup.compatibility import fits, python_is_new_enough
from plugin_host.checkup.finding import Finding
from plugin_host.checkup.leftover import cgroup_findings, group_folders, process_findings
from plugin_host.checkup.probe import Answer, Module
from plugin_host.checkup.remnant import Marked, Remnant, judge, keeper_run
from plugin_host.machine import Machine, Place
from plugin_host.manifest import Launch, Limits, Manifest
from plugin_host.processtable import ProcessRow

pytestmark = pytest.mark.edges

MODULE = Module("greeter", ("/plugins/greeter",))


def row(pid: int, parent: int, *, session: int | None = None, name: str = "sleep") -> ProcessRow:
    return ProcessRow(pid, parent, pid, pid if session is None else session, 100.0, name, False)


INIT, HOST = row(1, 0, name="init"), row(10, 1, name="embedder")


def judged(*rows: ProcessRow, kept: Sequence[str] = (), pythons: Sequence[int] = ()) -> list[Remnant]:
    """Of a machine with init, a host and these processes of run `aa`."""
    table = {one.pid: one for one in (INIT, HOST, *rows)}
    return judge(table, [Marked(one, "aa/greeter/1") for one in rows], kept, pythons)


def test_processes_of_a_run_without_a_keeper_are_left_behind() -> None:
    (found,) = judged(row(20, 1), row(21, 20))
    assert (found.run, found.plugins, found.host) == ("aa", ("greeter",), None)
    assert [one.pid for one in found.rows] == [20, 21]


def test_processes_of_a_run_with_a_keeper_are_not() -> None:
    assert judged(row(20, 1), kept=["aa"]) == []


def test_parent_of_a_session_leader_may_be_a_host_without_a_keeper() -> None:
    (found,) = judged(row(20, 10), row(21, 20, session=20))
    assert found.host == HOST


def test_parent_of_another_process_is_no_host() -> None:
    (found,) = judged(row(20, 10, session=15))
    assert found.host is None


def test_python_as_process_1_may_be_a_host() -> None:
    (found,) = judged(row(20, 1), pythons=[1])
    assert found.host == INIT


def test_dead_processes_are_nobodys() -> None:
    assert judged(row(20, 1)._replace(dead=True)) == []


def test_every_run_of_a_nested_mark_counts() -> None:
    marked = [Marked(row(20, 1), "outer/a/1 inner/b/2")]
    assert [one.run for one in judge({1: INIT}, marked, {"outer"})] == ["inner"]


@pytest.mark.parametrize(
    ("arguments", "run"),
    [
        (["python", "-I", "-S", "/x/plugin_host/keeper/program.py", "12", "aa"], "aa"),
        (["vi", "/x/plugin_host/keeper/program.py"], None),
        ([], None),
    ],
)
def test_keeper_is_known_by_its_command_line(arguments: list[str], run: str | None) -> None:
    assert keeper_run(arguments) == run


def test_leftover_processes_are_a_fault_with_the_command_that_ends_them() -> None:
    (found,) = process_findings([Remnant("aa", ("greeter",), (row(20, 1), row(21, 20)))])
    assert found == Finding(
        "leftovers",
        "fault",
        "run aa",
        "processes of greeter: 20 (sleep), 21 (sleep); their host is gone",
        "kill -KILL 20 21",
    )


def test_leftover_processes_that_may_have_a_host_are_a_note() -> None:
    (found,) = process_findings([Remnant("aa", ("greeter",), (row(20, 10),), HOST)])
    assert found.level == "note"
    assert found.advice == "if 10 (embedder) is no host: kill -KILL 20"


def test_many_leftover_processes_are_named_in_part_and_killed_in_full() -> None:
    rows = tuple(row(pid, 1) for pid in range(20, 40))
    (found,) = process_findings([Remnant("aa", ("greeter",), rows)])
    assert "27 (sleep) and 12 more;" in found.text
    assert found.advice.split()[2:] == [str(pid) for pid in range(20, 40)]


def test_cgroups_of_dead_runs_are_told(tmp_path: Path) -> None:
    for name in ("plugin-host-aa.greeter.1", "plugin-host-bb.greeter.1", "plugin-host-cc.x.2", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").write_text("12\n13\n" if ".x." in name else "")
    place = Place(1, str(tmp_path))
    folders = group_folders(Machine(places={"memory": place, "pids": place}))
    found = list(cgroup_findings([*folders, str(tmp_path / "plugin-host-dd.gone.1")], {"bb"}))
    assert [(one.level, one.subject) for one in found] == [
        ("note", "plugin-host-aa.greeter.1"),
        ("fault", "plugin-host-cc.x.2"),
    ]
    assert found[0].advice.startswith(f"find {tmp_path}/plugin-host-aa.greeter.1 -depth ")
    assert found[1].advice == "kill -KILL 12 13"


def test_group_is_one_finding_in_however_many_hierarchies_it_is(tmp_path: Path) -> None:
    folders = [tmp_path / place / f"plugin-host-{name}" for name in ("aa.x.1", "bb.y.1") for place in "mpu"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "cgroup.procs").write_text("13\n12\n" if folder.name.endswith("y.1") else "")
    empty, held = cgroup_findings(map(str, folders), ())
    m, p, u = folders[:3]
    assert empty.text == f"{m} and {p} and {u} are empty cgroups of a run without a host"
    assert empty.advice == f"find {m} {p} {u} -depth -type d -exec rmdir {{}} +"
    assert (held.level, held.subject, held.advice) == ("fault", "plugin-host-bb.y.1", "kill -KILL 12 13")


# Interpreters.


def said(answer: Answer) -> Finding:
    (found,) = interpreter.judge("greeter", "/v/bin/python", answer, MODULE, "1.2.3")
    return found


def test_interpreter_that_has_everything_is_fine() -> None:
    found = said(Answer((3, 11, 4), "1.2.9", (), {MODULE: True}))
    assert (found.level, found.text) == ("ok", "/v/bin/python, Python 3.11.4, plugin-host-sdk 1.2.9")


@pytest.mark.parametrize(
    ("answer", "text", "advice"),
    [
        (Answer(trouble="it fell"), "/v/bin/python: it fell", "see what it says when you start it by hand"),
        (Answer((3, 8, 1)), "/v/bin/python is Python 3.8.1", "use Python 3.11 or later"),
        (
            Answer((3, 12, 1), None, ("plugin_host_sdk", "msgpack")),
            "/v/bin/python (Python 3.12.1) does not find plugin_host_sdk, msgpack",
            "/v/bin/python -m pip install plugin-host-sdk==1.2.3",
        ),
        (
            Answer((3, 12, 1), "1.1.3"),
            "/v/bin/python (Python 3.12.1) has plugin-host-sdk 1.1.3, and this host is 1.2.3",
            "/v/bin/python -m pip install plugin-host-sdk==1.2.3",
        ),
        (
            Answer((3, 12, 1), "1.2.3", (), {MODULE: False}),
            "/v/bin/python (Python 3.12.1) does not find the module greeter and in /plugins/greeter",
            "correct launch.entry_point, or install the package that holds the module",
        ),
    ],
    ids=["silent", "old", "without", "another", "module"],
)
def test_interpreter_that_will_not_do_is_a_fault(answer: Answer, text: str, advice: str) -> None:
    found = said(answer)
    assert (found.level, found.text, found.advice) == ("fault", text, advice)


@pytest.mark.parametrize("output", [b"", b"hello\n", b"[]", b'{"version": 3}', b"\xff", b"null"])
def test_answer_that_is_none_is_told_from_one(output: bytes) -> None:
    assert probe.parse(output, [MODULE]) is None


def test_what_an_interpreter_prints_at_its_start_is_no_part_of_its_answer() -> None:
    packages = ", ".join(f'"{name}": true' for name in probe.NEEDED)
    line = f'{{"version": [3, 12, 0], "packages": {{{packages}}}, "modules": [false], "sdk": "1.0.0"}}'
    assert probe.parse(f"loud\n{line}\n".encode(), [MODULE]) == Answer(
        (3, 12, 0), "1.0.0", (), {MODULE: False}
    )


# The rest.


@pytest.mark.parametrize(
    ("sdk", "host", "expected"),
    [("1.2.3", "1.2.9", True), ("1.3.0", "1.2.9", False), ("2.2.0", "1.2.0", False), ("", "1.2.0", False)],
)
def test_versions_fit_by_their_first_two_numbers(sdk: str, host: str, expected: bool) -> None:
    assert fits(sdk, host) is expected


def test_python_counts_from_3_11() -> None:
    assert [python_is_new_enough(one) for one in ((3, 10, 9), (3, 11), (4, 0))] == [False, True, True]


def test_sdk_beside_another_host_is_told() -> None:
    levels = [
        system.version_findings((3, 12, 0), "1.2.0", sdk)[2].level for sdk in ("1.2.0", "1.2.1", "1.3.0")
    ]
    assert levels == ["ok", "note", "fault"]
    assert system.version_findings((3, 10, 0), "1.2.0", "1.2.0")[0].level == "fault"


def test_versions_of_the_protocol_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "PROTOCOL_VERSIONS", (4, 5))
    found = system.version_findings((3, 12, 0), "1.2.0", "1.2.0")
    protocols = [one for one in found if one.subject == "protocol"]
    assert protocols == [Finding("versions", "ok", "protocol", "4, 5, and msgpack-rpc")]


def test_what_the_system_lacks_is_a_note_that_says_what_it_means() -> None:
    found = system.ability_findings(dict.fromkeys(system.abilities(Machine()), False))
    assert {one.level for one in found} == {"note"}
    assert all(one.advice for one in found)
    present = system.ability_findings({"pidfd": True})
    assert present == [Finding("system", "ok", "pidfd", "available")]


def test_limits_are_judged_by_how_they_are_held() -> None:
    limits = Limits(memory_bytes=2**20, cpu_s=1, open_files=99, address_space_bytes=2**30)
    manifest = Manifest(id="one", version="1", launch=Launch(argv=("x",)), limits=limits)
    machine = Machine(lacking={"memory": "it is closed"}, ceilings={"cpu_s": None, "open_files": 9})
    found = list(limitation.find([Candidate(id="one", source="", manifest=manifest)], machine))
    assert [(one.subject, one.level) for one in found] == [
        ("cgroup memory", "note"),
        ("cgroup pids", "note"),
        ("one", "note"),
        ("one", "ok"),
        ("one", "note"),
        ("one", "fault"),
    ]
    assert all(one.advice for one in found if one.level != "ok")
    assert "it is closed" in found[2].text


def test_plugin_that_can_have_no_sandbox_is_a_fault() -> None:
    found = list(sandboxing.judge("one", Problem("no bwrap", "install it"), ["/gone"]))
    assert [(one.level, one.advice) for one in found] == [
        ("fault", "install it"),
        ("fault", "make it, or correct the configuration"),
    ]
    (fine,) = sandboxing.judge("one", None, [])
    assert fine.level == "ok"


def test_interpreter_is_really_asked() -> None:
    question = probe.Question(sys.executable)
    modules = [Module("json"), Module("no_such_module")]
    answer = probe.ask({question: modules})[question]
    assert answer.version == sys.version_info[:3]
    assert answer.lacking == ()
    assert answer.found == {modules[0]: True, modules[1]: False}


def test_program_that_is_no_python_gives_no_answer(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    questions = [probe.Question(str(program)), probe.Question(str(tmp_path / "none"))]
    answers = probe.ask(dict.fromkeys(questions, ()))
    assert answers[questions[0]].trouble == "it does not answer as Python does (status 7)"
    assert answers[questions[1]].trouble.startswith("it cannot be started: ")


def test_interpreter_that_never_answers_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_PATIENCE_S", 0.3)
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nsleep 100 &\nsleep 100\n")
    program.chmod(0o755)
    question = probe.Question(str(program), environment=(("PATH", "/usr/bin:/bin"),))
    assert "did not answer within 0.3 s" in probe.ask({question: ()})[question].trouble
