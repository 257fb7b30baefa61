"""The checker of the pages itself: it must fail for examples that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.page import anchors, blocks, links
from tests.docs.walk import Walk, commands, environment, matches

pytestmark = pytest.mark.edges


def walked(tmp_path: Path, text: str) -> list[str]:
    """The problems of a page with this text."""
    path = tmp_path / "page.md"
    path.write_text(text)
    walk = Walk(tmp_path, environment(tmp_path, tmp_path / "plugin-host.toml"))
    for block in blocks(path):
        walk.run(block)
    walk.finish(path.name)
    return walk.problems


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint(1)\n```\n```output\n1\n```\n",
        "```python file=a/b.py\nX = 1\n```\n```console\n$ cat a/b.py\nX = 1\n```\n",
        "```text file=n\n1\n```\n```text file=n append\n2\n```\n```console\n$ tr -d '\\n' <n\n12\n```\n",
        "```console\n$ echo one; (exit 3)\none\n$ echo $?\n3\n```\n",
        "```console\n$ pip install whatever\n```\n",
        "```python host\nprint(host)\n```\n```output\n<PluginHost plugins=… ready=0>\n```\n",
        "no block at all\n",
    ],
)
def test_a_page_that_is_right_has_no_problems(tmp_path: Path, text: str) -> None:
    assert walked(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("```python\nprint(1)\n```\n```output\n2\n```\n", "page.md:5: the page shows:\n2\n"),
        ("```python\nprint(1)\n```\n", "prints what is not shown"),
        ("```python\nprint(1)\n```\n```json\n{}\n```\n", "page.md:5: the example before prints"),
        ("```python\n1/0\n```\n", "page.md:2: ended with status 1"),
        ("```python file=a.py\n1 +\n```\n", "page.md:2: invalid syntax"),
        ("```console\n$ echo 1\n2\n```\n", "page.md:2: $ echo 1"),
        ("```console\n$ echo 1\n```\n", "this was printed:\n1"),
        ("```console\n$ false; echo $?\n0\n```\n", "1"),
        ("```output\n1\n```\n", "output of what?"),
        ("```json\n{,}\n```\n", "Expecting property name"),
        ("```toml\na = \n```\n", "Invalid value"),
        ("```sh\nif then\n```\n", "non-zero exit status"),
        ("```fortran\n```\n", "a block of an unknown kind: 'fortran'"),
        ("```\n```\n", "a block of an unknown kind: ''"),
    ],
)
def test_a_page_that_is_wrong_is_told_where_and_how(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = walked(tmp_path, text)
    assert problem in found


def test_a_command_that_runs_on_is_interrupted_once_it_printed_what_is_shown(tmp_path: Path) -> None:
    program = "import time\nprint('up', flush=True)\ntry:\n    time.sleep(60)\n"
    (tmp_path / "waits.py").write_text(program + "except KeyboardInterrupt:\n    print('down')\n")
    text = "```console\n$ python waits.py\nup\n^C\ndown\n$ echo $?\n0\n```\n"
    assert walked(tmp_path, text) == []
    (problem,) = walked(tmp_path, text.replace("\ndown", "\naway"))
    assert "$ python waits.py" in problem


def test_a_block_that_does_not_end_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("text\n```python\nprint()\n")
    with pytest.raises(ValueError, match=r"page\.md:3: the block does not end"):
        blocks(path)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\n", "a  \n", True),
        ("a\n", "a", True),
        ("pid …, up\n", "pid 17, up\n", True),
        ("pid …, up\n", "pid 17\n, up\n", False),
        ("a\n…\nd\n", "a\nb\nc\nd\n", True),
        ("a\n…\nd\n", "a\nd\n", True),
        ("a\n", "a\nb\n", False),
        ("", "b\n", False),
        ("a.c\n", "abc\n", False),
        ("PID  NAME\n", "PID     NAME\n", True),
        ("PID  NAME\n", "PID NAME\n", False),
        ("a b\n", "a  b\n", False),
    ],
)
def test_what_is_shown_is_compared_with_what_is_printed(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) is same


def test_commands_have_their_output_and_their_further_lines() -> None:
    text = "$ a \\\n    --b\nout\n$ c\n"
    assert commands(text) == [("a --b", "out\n"), ("c", "")]


def test_links_and_headings_are_found_outside_of_code(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(
        "# A `b`: c\n[x](y.md#z) `[n](o)` [w](https://w)\n```python\n# no heading [a](b)\n```\n"
    )
    assert list(links(path)) == [(2, "y.md#z")]
    assert anchors(path) == {"a-b-c"}
