"""Other layouts that could be read as text: columns of CoNLL, comments, quoted fields, a column of numbers.

Their rows have a label in the right place, so each line looks right by itself. What can never be right is reported
line by line (`check_word`). What only shows over the whole file is reported once, at its first line (`TaggedLines`,
`check_fields`): a fifth of the Vietnamese words in POS hold a blank, but never all words of a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xglue_harness.benchmark import TaskSpec

MOST_WORDS = 2000
"""A longer sentence is a file whose blank lines were lost; the official files have at most some hundred words."""

_FEWEST_ROWS = 3
_FEWEST_SINGLE = 20
_FEWEST_TABBED = 30

Report = Callable[[int, str], None]


def is_document_mark(line: str) -> bool:
    """Whether a line of two columns is CoNLL's document mark rather than a word; XGLUE's evaluator skips it as well."""
    return line.startswith("-DOCSTART-") and len(line.split()) == 2


def check_word(line: str, word: str, task: TaskSpec) -> str | None:
    """What shows that a line of a tagging file has another layout; ``None`` where nothing does.

    Args:
        line: without its line end.
        word: what stands before the label.
        task: the task.
    """
    if "\t" in line or " " not in word:
        return None
    if word.startswith("#"):
        return "a comment of CoNLL-U; remove it: the files have no comments"
    if "\r" in word:
        return "several words, parted by carriage returns; expected lines that end with \\n or \\r\\n"
    # NER's text comes from CoNLL, whose files separate their columns by blanks.
    if task.name == "ner":
        return (
            f"{word.count(' ') + 2} columns; expected a word and its label alone (with a tab between them where the "
            "word itself holds blanks)"
        )
    return None


class TaggedLines:
    """What only shows over all lines of a tagging file."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._with_blank: list[int] = []
        self._words = self._sentences = self._single = self._tabs = 0
        self._sentence: list[tuple[int, bool]] = []
        self.problems: list[tuple[int, str]] = []
        """Line and message of each."""

    def word(self, number: int, line: str, word: str) -> None:
        """Note a word, and its line and that line's number."""
        self._sentence.append((number, " " in word))
        self._tabs += "\t" in line

    def end_sentence(self) -> None:
        """Note that a sentence ends."""
        if not self._sentence:
            return
        first, with_blank = self._sentence[0][0], [number for number, has in self._sentence if has]
        if len(self._sentence) > MOST_WORDS:
            self.problems.append(
                (first, f"a sentence of {len(self._sentence)} words; expected a blank line after each")
            )
        if not self._tabs and len(self._sentence) > 1 and len(with_blank) == len(self._sentence):
            self._columns(first, "in this sentence")
        self._with_blank += with_blank
        self._words += len(self._sentence)
        self._sentences += 1
        self._single += len(self._sentence) == 1
        self._sentence = []

    def end(self) -> None:
        """Note that the file ends."""
        self.end_sentence()
        enough = self._words >= _FEWEST_TABBED or not self._tabs  # a tab says where the word ends
        if not self.problems and enough and 2 * len(self._with_blank) > self._words:
            self._columns(self._with_blank[0], f"in {len(self._with_blank)} of {self._words} lines of the file")
        if not self.problems and self._sentences == self._single >= _FEWEST_SINGLE:
            self.problems.append((2, "a blank line after every word; expected one after each sentence"))

    def _columns(self, line: int, where: str) -> None:
        if not self.problems:  # reported once
            self.problems.append(
                (
                    line,
                    f"more than two columns {where}: what stands before the label holds a blank; expected a word and "
                    "its label alone",
                )
            )


def check_fields(columns: Sequence[tuple[str, Sequence[str]]], first: int, report: Report) -> None:
    """Tell of text columns that show a csv writer's quotes, or hold no text but the numbers of the rows.

    Args:
        columns: name and values of each text column, of the rows that could be read.
        first: number of the line that the first row stands on.
        report: told of the first line.
    """
    for name, values in columns:
        if len(values) > 1 and all(len(value) > 1 and value[0] == value[-1] == '"' for value in values):
            report(first, f"every {name} stands in quotes; expected plain fields: the format has no quoting")
            return
        if len(values) >= _FEWEST_ROWS and _counts(values):
            report(first, f"every {name} is the number of its row; expected text: remove the column of numbers")
            return


def _counts(values: Sequence[str]) -> bool:
    if not all(value.isascii() and value.isdecimal() and len(value) < 12 for value in values[:_FEWEST_ROWS]):
        return False
    start = int(values[0])
    return all(value == str(start + place) for place, value in enumerate(values))
