"""What a person would see: a terminal's output as the lines of a screen.

Knows what programs of today send to an xterm, as far as it moves or changes text; colours, modes and
questions are read over. Not for measuring terminals by, only for finding words on them.
"""

from __future__ import annotations

import codecs
import re

__all__ = ["Screen"]

_TOKENS = re.compile(
    r"\x1b\[(?P<private>[?>=!]?)(?P<numbers>[\d;:]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b[\]PX^_](?P<string>.*?)(?:\x07|\x1b\\)"
    r"|\x1b[ -/]+[0-~]"
    r"|\x1b(?P<escape>[0-Z\\`-~])"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])"
    r"|(?P<text>[^\x00-\x1f\x7f]+)",
    re.DOTALL,
)


class Screen:
    """`rows` lines of `cols` characters. `row` and `col` is where the cursor stands, from 0."""

    def __init__(self, rows: int, cols: int) -> None:
        self.row = self.col = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._saved = (0, 0)
        self._cells: list[list[str]] = []
        self.resize(rows, cols)

    def resize(self, rows: int, cols: int) -> None:
        """Have another size; what is outside of it is gone."""
        self.rows, self.cols = rows, cols
        self._top, self._bottom = 0, rows - 1
        kept = [(line + [" "] * cols)[:cols] for line in self._cells[:rows]]
        self._cells = kept + [[" "] * cols for _ in range(rows - len(kept))]
        self._move(self.row, self.col)

    @property
    def lines(self) -> list[str]:
        """What stands in each line, without the blanks at its end."""
        return ["".join(line).rstrip() for line in self._cells]

    @property
    def text(self) -> str:
        """All lines, without the empty ones at the end."""
        return "\n".join(self.lines).rstrip("\n")

    def clear(self) -> None:
        """Be empty."""
        self._erase(0, 0, self.rows, 0)

    def feed(self, data: bytes) -> None:
        """Show more output."""
        text = self._rest + self._decoder.decode(data)
        at = 0
        while found := _TOKENS.match(text, at):
            at = found.end()
            self._act(found)
        self._rest = text[at:]  # the beginning of a sequence

    def _act(self, found: re.Match[str]) -> None:
        if found["text"] is not None:
            for character in found["text"]:
                self._put(character)
        elif found["control"] is not None:
            self._control(found["control"])
        elif found["escape"] is not None:
            self._escape(found["escape"])
        elif found["final"] is not None:
            self._sequence(found["private"], found["numbers"], found["final"])

    def _put(self, character: str) -> None:
        if self.col >= self.cols:
            self.col = 0
            self._line_feed()
        self._cells[self.row][self.col] = character
        self.col += 1

    def _control(self, character: str) -> None:
        if character == "\r":
            self.col = 0
        elif character in "\n\x0b\x0c":
            self._line_feed()
        elif character == "\b":
            self.col = max(0, min(self.col, self.cols - 1) - 1)
        elif character == "\t":
            self.col = min(self.cols - 1, self.col // 8 * 8 + 8)

    def _escape(self, character: str) -> None:
        if character == "7":
            self._saved = (self.row, self.col)
        elif character == "8":
            self._move(*self._saved)
        elif character == "M":
            if self.row == self._top:
                self._scroll(self._top, -1)
            else:
                self._move(self.row - 1, self.col)
        elif character in "DE":
            self._line_feed()
        elif character == "c":
            self._cells = []
            self.resize(self.rows, self.cols)

    def _sequence(self, private: str, text: str, final: str) -> None:
        if private:
            if private == "?" and text in ("47", "1047", "1049") and final in "hl":
                self.clear()
            return
        numbers = [int(part or 0) for part in text.replace(":", ";").split(";")] + [0]
        count = numbers[0] or 1
        if final in "Hf":
            self._move(count - 1, (numbers[1] or 1) - 1)
        elif final in "ABCDEFGd":
            self._step(final, count)
        elif final in "JK":
            self._erase_part(final, numbers[0])
        elif final in "LM":
            self._scroll(self.row, -count if final == "L" else count)
        elif final in "ST":
            self._scroll(self._top, count if final == "S" else -count)
        elif final in "P@X":
            self._shift(final, count)
        elif final == "r":
            self._top, self._bottom = count - 1, (numbers[1] or self.rows) - 1
            self._move(0, 0)

    def _step(self, final: str, count: int) -> None:
        row, col = self.row, min(self.col, self.cols - 1)
        rows = {"A": row - count, "B": row + count, "E": row + count, "F": row - count, "d": count - 1}
        cols = {"C": col + count, "D": col - count, "E": 0, "F": 0, "G": count - 1}
        self._move(rows.get(final, row), cols.get(final, col))

    def _erase_part(self, final: str, part: int) -> None:
        last = self.rows if final == "J" else self.row + 1
        first = 0 if final == "J" else self.row
        if part == 0:
            self._erase(self.row, self.col, last, 0)
        elif part == 1:
            self._erase(first, 0, self.row, self.col + 1)
        else:
            self._erase(first, 0, last, 0)

    def _erase(self, row: int, col: int, last_row: int, last_col: int) -> None:
        """From one place up to another, which is not erased itself."""
        for place in range(row * self.cols + col, min(last_row, self.rows) * self.cols + last_col):
            if place < self.rows * self.cols:
                self._cells[place // self.cols][place % self.cols] = " "

    def _shift(self, final: str, count: int) -> None:
        line, col = self._cells[self.row], self.col
        blank = [" "] * count
        if final == "P":
            line = line[:col] + line[col + count :] + blank
        elif final == "@":
            line = line[:col] + blank + line[col:]
        else:
            line = line[:col] + blank + line[col + count :]
        self._cells[self.row] = line[: self.cols]

    def _line_feed(self) -> None:
        if self.row == self._bottom:
            self._scroll(self._top, 1)
        elif self.row < self.rows - 1:
            self.row += 1

    def _scroll(self, top: int, count: int) -> None:
        """Move the lines from `top` to the region's end up by `count`, or down."""
        part = self._cells[top : self._bottom + 1]
        count = max(-len(part), min(len(part), count))
        blank = [[" "] * self.cols for _ in range(abs(count))]
        part = part[count:] + blank if count >= 0 else blank + part[:count]
        self._cells[top : self._bottom + 1] = part

    def _move(self, row: int, col: int) -> None:
        self.row = max(0, min(self.rows - 1, row))
        self.col = max(0, min(self.cols - 1, col))
