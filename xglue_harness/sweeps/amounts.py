"""How much text a job reads, in rows and subwords: by the data where they are at hand, else by those of XGLUE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from xglue_harness.benchmark import SOURCE_LANGUAGE, TASKS, TaskSpec
from xglue_harness.data.folder import SAMPLE, layout_root
from xglue_harness.data.manifest import manifest_rows
from xglue_harness.kinds import kind_of

USUAL_SUBWORDS = {"nc": 240, "xnli": 38, "pawsx": 60, "qam": 100, "qadsm": 45, "wpr": 80, "ner": 25, "pos": 28}
"""Subwords of a row in XLM-R's vocabulary, cut at 256, where nobody has counted them: NC's bodies are whole articles.

XNLI and POS were counted on the public rows of theirs; the others are assumed from texts of the kind.
"""

_BYTES_A_SUBWORD = {"ar": 5.1, "bg": 5.9, "el": 6.0, "hi": 8.4, "ru": 6.8, "th": 7.5, "ur": 5.7, "vi": 3.3, "zh": 3.2}
_USUAL_BYTES = 3.8
"""UTF-8 bytes of text for each subword of XLM-R's vocabulary, counted on UD treebanks and XNLI."""

_SPECIAL = 3
"""Special subwords around a text or two."""


@dataclass(frozen=True)
class Amount:
    """What one job reads.

    Attributes:
        train_rows: rows of the training set.
        train: subwords of one epoch.
        dev: subwords of the dev sets that are scored after each epoch.
        test: subwords of the test sets.
        test_rows: rows of the test sets.
        source: how they are known: ``records`` (counted by a training), ``data`` (rows counted, subwords by bytes), or
            ``XGLUE`` (official rows, usual subwords).
    """

    train_rows: int
    train: float
    dev: float
    test: float
    test_rows: int
    source: str


def amount_of(task: str, languages: tuple[str, ...], metadata: Mapping[str, Any]) -> Amount:
    """What a job reads, by its options.

    Args:
        task: short name.
        languages: that are scored.
        metadata: options of the run that are not left at their defaults, with all paths absolute.
    """
    spec, length = TASKS[task], int(metadata.get("max_length", 256))
    data = metadata.get("data", "hub")
    root = _root(data[task] if isinstance(data, dict) and task in data else data)
    dev_languages = {"none": (), "en": (SOURCE_LANGUAGE,)}.get(str(metadata.get("dev", "all")), spec.languages)
    rows, train = _size(root, task, "train", SOURCE_LANGUAGE, length)
    limit = metadata.get("train_limit")
    if limit is not None and rows > limit:
        rows, train = limit, train * limit / rows
    dev = sum(_size(root, task, "dev", language, length)[1] for language in dev_languages)
    tests = [_size(root, task, "test", language, length) for language in languages]
    source = "XGLUE" if root is None else "data"
    return Amount(rows, train, dev, sum(subwords for _, subwords in tests), sum(count for count, _ in tests), source)


def _root(data: Any) -> Path | None:
    """The folder in the official layout that the data are in; ``None`` where they are in an archive or on the Hub."""
    if data == "sample":
        return SAMPLE
    if not isinstance(data, str) or not Path(data).is_absolute() or not Path(data).is_dir():
        return None
    return layout_root(Path(data))


@cache
def _size(root: Path | None, task: str, split: str, language: str, max_length: int) -> tuple[int, float]:
    """Rows and subwords of a split; none for a file that a folder lacks."""
    spec = TASKS[task]
    if root is None:
        rows = manifest_rows(spec, split, language) or manifest_rows(spec, split, SOURCE_LANGUAGE) or 0
        return rows, rows * float(min(USUAL_SUBWORDS[spec.name], max_length))
    path = root / spec.path(split, language)
    if not path.is_file():
        return 0, 0.0
    each = _BYTES_A_SUBWORD.get(language, _USUAL_BYTES)
    lengths = [min(size / each + _SPECIAL, max_length) for size in _row_bytes(path, spec, split)]
    return len(lengths), sum(lengths)


def _row_bytes(path: Path, spec: TaskSpec, split: str) -> Iterator[int]:
    """Bytes of the text of each row; the file is not checked."""
    with path.open("rb") as file:
        if not kind_of(spec).per_word:
            if split in spec.header:
                file.readline()
            yield from (len(line) for line in file)
            return
        size = 0
        for line in file:
            if line.strip():
                size += len(line.partition(b" ")[0]) + 1
            elif size:
                yield size
                size = 0
        if size:
            yield size
