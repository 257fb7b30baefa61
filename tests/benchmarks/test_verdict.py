"""What the rounds come to: ratios within rounds, budgets met, missed or unknown."""

from __future__ import annotations

from benchmarks import table
from benchmarks.contestant import Contestant
from benchmarks.figure import Budget, Figure, Trial
from benchmarks.schedule import Results
from benchmarks.verdict import Line, lines, unmeasured

TRIAL = Trial("trial", "rtt")


def figure(title: str, *budgets: Budget) -> Figure:
    return Figure("rtt", title, "µs", TRIAL, "us", "bare", budgets=budgets)


def results(**series: list[float]) -> Results:
    rounds = {
        name: [{"us": number, "median_us": 2.0} for number in numbers] for name, numbers in series.items()
    }
    return Results(rounds={"trial": rounds})


def line(budget: Budget, **series: list[float]) -> Line:
    (found,) = lines([figure("it", budget)], results(**series))
    return found


def test_ratio_is_the_median_of_the_ratios_of_rounds() -> None:
    # A busy machine in the second round slows both alike; medians of each alone would give 1.5.
    found = line(Budget(2.0, "floor"), ours=[2, 20, 3], bare=[1, 10, 2])
    assert found.ratios["bare"] == 2.0
    assert found.values == {"ours": 3, "bare": 2}
    assert found.verdict == "met"


def test_budget_over_its_limit_is_missed_in_its_own_direction() -> None:
    assert line(Budget(1.9, "floor"), ours=[2], bare=[1]).verdict == "MISSED"
    assert line(Budget(1.9, "floor", at_most=False), ours=[2], bare=[1]).verdict == "met"
    assert line(Budget(5.0), ours=[6]).verdict == "MISSED"
    assert line(Budget(3.0, "median", key="median_us"), ours=[5]).checks[0].measured == 2.5


def test_budget_against_an_absent_peer_is_unknown() -> None:
    found = line(Budget(0.5, "go-plugin"), ours=[2], bare=[1])
    assert found.checks[0].is_met is None
    assert found.verdict == "?"


def test_missed_lines_come_first_and_those_without_budget_last() -> None:
    found = lines(
        [figure("none"), figure("met", Budget(2.0)), figure("missed", Budget(0.5))],
        results(ours=[1], bare=[1]),
    )
    assert [one.figure.title for one in found] == ["missed", "met", "none"]
    peer = Contestant("go-plugin", "peer", list, frozenset())
    rows = table.verdicts(found, [peer]).splitlines()
    assert rows[0].split() == ["figure", "unit", "ours", "spread", "floor", "x", "floor", "budget"]
    assert [row.split()[0] for row in rows[1:]] == ["MISSED", "met", "-"]


def test_budget_against_the_idle_figure_compares_ours_with_ours() -> None:
    rounds = {"ours": [{"us": 50.0, "p99_us": 20.0}, {"us": 60.0, "p99_us": 30.0}]}
    (found,) = lines(
        [figure("it", Budget(2.4, "idle p99", key="p99_us"))], Results(rounds={"trial": rounds})
    )
    assert found.checks[0].measured == 2.25
    assert found.verdict == "met"


def test_figure_of_a_trial_that_failed_is_named_with_the_reason() -> None:
    failed, there = figure("it"), Figure("rtt", "that", "µs", Trial("other", "rtt"), "us")
    found = Results(rounds={"other": {"ours": [{"us": 1.0}]}}, failures={"trial": "ours: no luck"})
    assert [one.figure.title for one in lines([failed, there], found)] == ["that"]
    assert unmeasured([failed, there], found) == [(failed, "ours: no luck")]


def test_figure_whose_subject_is_absent_says_why() -> None:
    wanted = Figure("rtt", "it", "µs", TRIAL, "us", subject="ours, uvloop")
    found = results(ours=[1.0])
    found.absent["ours, uvloop"] = "not installed"
    assert lines([wanted], found) == []
    assert unmeasured([wanted], found) == [(wanted, "not installed")]


def test_floor_that_measured_nothing_gives_no_ratio() -> None:
    found = line(Budget(2.0, "floor"), ours=[2, 3], bare=[0, 1])
    assert found.ratios == {}
    assert found.verdict == "?"
