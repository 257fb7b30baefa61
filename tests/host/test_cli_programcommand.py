"""The order of words on a command line that ends with another program's."""

from __future__ import annotations

from typing import Any

import click
import pytest

from plugin_host.cli.failure import OWN_FAILURE
from plugin_host.cli.programcommand import ProgramCommand


@click.command(cls=ProgramCommand)
@click.argument("first")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.option("-i", "--in", "inner", is_flag=True)
@click.option("-v", "--verbose", count=True)
@click.option("-e", "--env", multiple=True)
@click.option("-w", "--workdir")
def echo(**params: Any) -> dict[str, Any]:
    return params


def parsed(line: str) -> dict[str, Any]:
    """What the command gets of these words; what is at its default is left out."""
    params = echo.main(line.split(), prog_name="echo", standalone_mode=False)
    assert isinstance(params, dict)
    return {name: value for name, value in params.items() if value}


def given(first: str, *words: str, **others: Any) -> dict[str, Any]:
    return {"first": first, **({"words": words} if words else {}), **others}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a", given("a")),
        ("a b -v", given("a", "b", "-v")),
        ("-v a b -v", given("a", "b", "-v", verbose=1)),
        ("a -v b -v", given("a", "b", "-v", verbose=1)),
        ("-v a -vv b", given("a", "b", verbose=3)),
        ("-e 1 a -e 2 b -e 3", given("a", "b", "-e", "3", env=("1", "2"))),
        ("-w x a -w y b", given("a", "b", workdir="y")),
        ("a -i -- -i", given("a", "-i", inner=True)),
        ("a -- -- b", given("a", "--", "b")),
        ("a - -i", given("a", "-", "-i")),
        ("-- a -i b", given("a", "b", inner=True)),
        ("a --env=1 --workdir x --in b --in", given("a", "b", "--in", env=("1",), workdir="x", inner=True)),
        ("a -ivw x b", given("a", "b", inner=True, verbose=1, workdir="x")),
        ("a -iwx b", given("a", "b", inner=True, workdir="x")),
        ("a -w -- -i b", given("a", "b", workdir="--", inner=True)),
        ("a -e -w b", given("a", "b", env=("-w",))),
        ("a b --help", given("a", "b", "--help")),
    ],
)
def test_words_belong_to_the_command_or_to_the_program(line: str, expected: dict[str, Any]) -> None:
    assert parsed(line) == expected


def test_empty_words_are_the_programs() -> None:
    params = echo.main(["a", "", "-i"], prog_name="echo", standalone_mode=False)
    assert params["words"] == ("", "-i")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "Missing argument 'FIRST'"),
        ("--", "Missing argument 'FIRST'"),
        ("-w", "Option '-w' requires an argument"),
        ("a -iw", "Option '-iw' requires an argument"),
        ("a --workdir", "Option '--workdir' requires an argument"),
        ("a -x", "No such option '-x'. If it is for COMMAND: what is its own stands behind --"),
        ("a --nope=1 b", "No such option '--nope'"),
        ("a -ix b", "No such option '-x'"),
        ("a --in=1 b", "does not take a value"),
    ],
)
def test_wrong_words_have_the_status_of_own_failures(line: str, said: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        parsed(line)
    assert caught.value.exit_code == OWN_FAILURE
    assert said in caught.value.format_message()
    assert caught.value.ctx is not None
