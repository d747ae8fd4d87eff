"""What a check of data has found, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from xglue_harness.benchmark import task

_SHOWN_LABELS = 3

HEADS = ("task", "language", "split", "rows", "official", "labels", "remark")
"""Of the columns of `Report.tables`."""


@dataclass(frozen=True)
class Problem:
    """A bad line of a file; line 0 stands for the file as a whole."""

    line: int
    message: str


@dataclass(frozen=True)
class FileReport:
    """What was found in one file.

    Attributes:
        task: short name of the task.
        split: ``train``, ``dev`` or ``test``.
        language: language code.
        path: relative to the folder.
        present: whether the file is there.
        rows: rows that could be read.
        expected: rows according to the manifest; ``None`` where it has no such split.
        labels: how often each class occurs (in tagging: over the words).
        problems: the first bad lines.
        more_problems: how many there are beyond those.
        note: why a difference in the number of rows is no fault; may be empty.
    """

    task: str
    split: str
    language: str
    path: str
    present: bool
    rows: int = 0
    expected: int | None = None
    labels: Mapping[str, int] | None = None
    problems: tuple[Problem, ...] = ()
    more_problems: int = 0
    note: str = ""

    @property
    def rows_agree(self) -> bool:
        """Whether the rows are as many as the manifest says, or a note explains why not."""
        return self.expected is None or self.rows == self.expected or bool(self.note)

    def cells(self) -> tuple[str, ...]:
        """The cells of its row, without the task's."""
        rows = f"{self.rows}" if self.present else "-"
        expected = "-" if self.expected is None else f"{self.expected}"
        return self.language, self.split, rows, expected, self._most_frequent(), self._remark()

    def _most_frequent(self) -> str:
        counts = sorted(((count, name) for name, count in (self.labels or {}).items() if count), reverse=True)
        shown = ", ".join(f"{name} {count}" for count, name in counts[:_SHOWN_LABELS])
        rest = len(counts) - _SHOWN_LABELS
        return f"{shown} and {rest} more" if rest > 0 else shown

    def _remark(self) -> str:
        if not self.present:
            return "absent"
        if self.problems:
            return f"{len(self.problems) + self.more_problems} bad"
        if self.note:
            return self.note
        if not self.rows_agree:
            return "other rows than the official"
        return "" if self.expected is not None else "not in the manifest"


@dataclass(frozen=True)
class Report:
    """What was found in a folder or an archive.

    Attributes:
        path: of the folder or archive.
        files: a report for each file that the tasks have, there or not.
        extra: files that belong to no task (at most twenty and a count).
        notes: remarks on the whole.
        damage: files of an unpacked archive that are not as they were in it.
    """

    path: str
    files: tuple[FileReport, ...]
    extra: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()

    def ok(self, allow_partial: bool = False) -> bool:
        """Whether the data can be used; see ``problems``."""
        return not self.problems(allow_partial)

    def problems(self, allow_partial: bool = False) -> list[str]:
        """All that is wrong, a line each.

        Args:
            allow_partial: accept that languages of a task, or whole tasks, are absent (but not that a task has a test
                set and no training set), and other numbers of rows than the manifest's.
        """
        problems = list(self.damage)
        there = {file.task for file in self.files if file.present}
        if not there:
            problems.append(f"{self.path}: no file of any task; expected a layout such as {self.files[0].path}")
        for file in self.files:
            problems += [
                f"{file.path}:{p.line}: {p.message}" if p.line else f"{file.path}: {p.message}" for p in file.problems
            ]
            if file.more_problems:
                problems.append(f"{file.path}: and {file.more_problems} more bad lines")
            if not file.present and (not allow_partial or (file.split == "train" and file.task in there)):
                problems.append(f"{file.path}: no such file")
            elif file.present and not allow_partial and not file.rows_agree and not file.problems:
                problems.append(f"{file.path}: {file.rows} rows; the official file has {file.expected}")
        return problems

    def remarks(self, allow_partial: bool = False) -> list[str]:
        """All problems, then the notes and the strange files, a line each.

        Args:
            allow_partial: as in `problems`.
        """
        lines = self.problems(allow_partial)
        lines += [f"note: {note}" for note in self.notes]
        if self.extra:
            lines.append(f"note: files that belong to no task: {', '.join(self.extra)}")
        return lines

    def tables(self) -> Iterator[list[tuple[str, ...]]]:
        """For each task, the cells of a row for each language and split, under `HEADS`."""
        for name in dict.fromkeys(file.task for file in self.files):
            # Files come in the order of the splits; a reader looks for a language.
            files = sorted((file for file in self.files if file.task == name), key=lambda file: file.language)
            titles = [task(name).title, *[""] * len(files)]
            yield [(title, *file.cells()) for title, file in zip(titles, files, strict=False)]
