"""Check a whole folder or archive: the rows, labels and bad lines of every file, against what was published."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.data.archive import ArchiveSource, use_unpacked
from xglue_harness.data.folder import SAMPLE, layout_root
from xglue_harness.data.hub_archive import official_folder
from xglue_harness.data.manifest import manifest_rows
from xglue_harness.data.official import Rows, parse
from xglue_harness.data.report import FileReport, Problem, Report
from xglue_harness.data.resolve import VARIABLE
from xglue_harness.data.unpacked import MANIFEST, check_unpacked, verify_unpacked
from xglue_harness.errors import DataError
from xglue_harness.files import is_folder, is_regular, read_regular, user_path

MOST_PROBLEMS = 20
"""Bad lines of a file that are kept; the others are only counted."""

NOT_OURS = ("MLQA", "QG", "NTG")
"""Folders of the archive that belong to tasks of XGLUE which are not among the eight."""

_LABEL_LISTS = ("NER/labels.txt", "POS/labels.txt")


def what_is_there() -> Path:
    """The data that a run would read, without a download: ``$XGLUE_DATA``, else what lies in the cache.

    Raises:
        DataError: if there is nothing.
    """
    named = os.environ.get(VARIABLE) or "hub"
    if named == "sample":
        return SAMPLE
    if named != "hub":
        return user_path(named)
    if (folder := official_folder()) is None:
        raise DataError(
            "no data on this machine yet: `xglue-harness data get` fetches them, or name a folder or an archive: "
            "`xglue-harness data check PATH`"
        )
    return folder


def check(path: Path, tasks: Iterable[TaskSpec] | None = None) -> Report:
    """Read every file of a folder or of an archive (which is unpacked to the cache).

    Args:
        path: folder in the official layout, or the archive.
        tasks: the tasks to look at; all eight where not given.

    Raises:
        DataError: if there is no such folder or archive, or the archive is broken.
    """
    specs = list(TASKS.values() if tasks is None else tasks)
    notes: list[str] = []
    try:
        is_archive = is_regular(path)
        if not is_archive and not is_folder(path):
            raise DataError(
                f"{path}: no such file or folder; expected a folder in the official layout or the official archive"
            )
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    damage: list[str] = []
    if is_archive:
        archive = ArchiveSource(path)
        is_it = "is" if archive.is_official else "is not"
        notes.append(f"sha256 {archive.sha256}: it {is_it} the official archive")
        root = archive.folder()
        use_unpacked(root, lambda: path, check_unpacked)
    else:
        root = layout_root(path)
        damage = verify_unpacked(root) if (root / MANIFEST).exists() else []
    files = [_check_file(root, spec, split, language) for spec in specs for split, language, _ in spec.files()]
    return Report(str(path), tuple(files), tuple(_extra(root)), tuple(notes), tuple(damage))


def _check_file(root: Path, task: TaskSpec, split: str, language: str) -> FileReport:
    relative = task.path(split, language)
    expected = manifest_rows(task, split, language)
    try:
        data = read_regular(root / relative)
    except FileNotFoundError:
        return FileReport(task.name, split, language, relative, present=False, expected=expected)
    except OSError as error:
        raise DataError(f"{root / relative}: cannot be read: {error.strerror}") from error
    problems: list[Problem] = []
    more = 0

    def collect(line: int, message: str) -> None:
        nonlocal more
        if len(problems) < MOST_PROBLEMS:
            problems.append(Problem(line, message))
        else:
            more += 1

    rows = parse(data, task, split, collect)
    return FileReport(
        task.name,
        split,
        language,
        relative,
        present=True,
        rows=len(rows),
        expected=expected,
        labels=_label_counts(rows, task),
        problems=tuple(problems),
        more_problems=more,
        note=_note(rows, expected),
    )


def _note(rows: Rows, expected: int | None) -> str:
    if expected is not None and rows.unterminated and len(rows) == expected + 1:
        return "one more than the manifest, whose loader dropped a last sentence without a blank line after it: right"
    return ""


def _label_counts(rows: Rows, task: TaskSpec) -> dict[str, int]:
    counts: Counter[int] = Counter()
    for label in rows.labels:
        if isinstance(label, list):
            counts.update(label)
        else:
            counts[label] += 1
    return {name: counts[index] for index, name in enumerate(task.labels)}


def _extra(root: Path) -> list[str]:
    known = {path for spec in TASKS.values() for _, _, path in spec.files()} | set(_LABEL_LISTS) | {MANIFEST}
    names = (file.relative_to(root) for file in sorted(root.rglob("*")) if file.is_file())
    strange = [name.as_posix() for name in names if name.as_posix() not in known and name.parts[0] not in NOT_OURS]
    rest = len(strange) - MOST_PROBLEMS
    return strange[:MOST_PROBLEMS] + ([f"and {rest} more"] if rest > 0 else [])
