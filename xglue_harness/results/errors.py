"""Where runs are wrong: classes taken for others, precision and recall of each, and rows on which two runs differ."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xglue_harness.benchmark import TASKS
from xglue_harness.errors import DataError
from xglue_harness.kinds import kind_of
from xglue_harness.records.predictions import RowPredictions
from xglue_harness.results.comparing import by_place, check_comparable, check_same_rows
from xglue_harness.results.run import Run
from xglue_harness.results.series import english_first, series_of

if TYPE_CHECKING:
    from datasets import Dataset

    from xglue_harness.data import Source


@dataclass(frozen=True)
class ClassScore:
    """How well a class is found.

    Attributes:
        name: of the class: a label, a part of speech, a type of entity.
        precision: share of what was predicted that is right; 0 where nothing was.
        recall: share of what there is that was found; 0 where there is nothing.
        f1: their harmonic mean; 0 where nothing is right.
        support: how many there are by the gold labels.
        predicted: how many were predicted.
        right: how many of these are right.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int
    right: int


@dataclass(frozen=True)
class Breakdown:
    """The errors of one run.

    Attributes:
        run: the run.
        title: of its backbone, recipe and seed.
        unit: what the classes are of: rows, words or entities.
        classes: in the order of the task's labels; those that occur.
        labels: of the rows and columns of ``confusion``; those that occur.
        confusion: rows (of tagging tasks: words) by gold label, then by predicted label.
    """

    run: Run
    title: str
    unit: str
    classes: tuple[ClassScore, ...]
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Disagreement:
    """A row for which two runs predict different classes.

    Attributes:
        task: short name.
        language: of the test set.
        row: its place in the test set, from 0.
        gold: gold label, or those of its words.
        a: prediction of the first run, as ``gold``.
        b: of the second.
        text: of the row, or its words; ``None``: no data were given.
    """

    task: str
    language: str
    row: int
    gold: tuple[str, ...]
    a: tuple[str, ...]
    b: tuple[str, ...]
    text: str | tuple[str, ...] | None

    @property
    def tagged(self) -> bool:
        """Whether every word has a class of its own."""
        return kind_of(TASKS[self.task]).per_word

    @property
    def words(self) -> list[tuple[str, str, str, str, bool]]:
        """Of a tagging task: each word with gold tag, both predictions, and whether these differ."""
        texts = self.text if isinstance(self.text, tuple) else ("",) * len(self.gold)
        return [(*word, word[2] != word[3]) for word in zip(texts, self.gold, self.a, self.b, strict=True)]


def breakdowns(sets: Mapping[str, Sequence[Run]]) -> list[Breakdown]:
    """The errors of each run, by task in the order of the benchmark, English first.

    Args:
        sets: runs by what their titles begin with, such as ``A``; nothing for ``""``.

    Raises:
        DataError: where predictions are missing or not those of the record, or there are none of a test set.
    """
    from tqdm import tqdm

    set_of = {id(run): name for name, runs in sets.items() for run in runs}
    titled = []
    for series in series_of([run for runs in sets.values() for run in runs if run.split == "test"]):
        order = english_first(series.languages)
        for run in sorted(series.runs, key=lambda run: order.index(run.language)):
            title = series.title if run.seed is None else f"{series.title}, seed {run.seed}"
            titled.append((run, f"{set_of[id(run)]}: {title}" if set_of[id(run)] else title))
    if not titled:
        raise DataError("entries of the store have no predictions of test sets: give lm_eval's results")
    bar = tqdm(titled, unit="run", desc="counting errors", disable=None)
    return [_breakdown(run, title, run.read_predictions()) for run, title in bar]


def _breakdown(run: Run, title: str, predictions: RowPredictions) -> Breakdown:
    kind = kind_of(run.spec)
    there: Counter[str] = Counter()
    said: Counter[str] = Counter()
    right: Counter[str] = Counter()
    pairs: Counter[tuple[int, int]] = Counter()
    for gold, predicted in zip(predictions.labels, predictions.predictions, strict=True):
        expected, actual = kind.instances(gold), kind.instances(predicted)
        there.update(name for _, name in expected)
        said.update(name for _, name in actual)
        right.update(name for _, name in {*expected} & {*actual})
        pairs.update(zip(_each(gold), _each(predicted), strict=True))
    order = {name: place for place, name in enumerate(run.spec.labels)}
    names = sorted({*there, *said}, key=lambda name: (order.get(name, 0), name))
    numbers = sorted({number for pair in pairs for number in pair})
    return Breakdown(
        run,
        title,
        kind.unit,
        tuple(_class_score(name, right[name], said[name], there[name]) for name in names),
        tuple(run.spec.labels[number] for number in numbers),
        tuple(tuple(pairs[gold, predicted] for predicted in numbers) for gold in numbers),
    )


def _each(label: Any) -> list[int]:
    """The classes of a row: one, or those of its words."""
    return label if isinstance(label, list) else [label]


def _class_score(name: str, right: int, predicted: int, support: int) -> ClassScore:
    precision = right / predicted if predicted else 0.0
    recall = right / support if support else 0.0
    f1 = 2 * right / (predicted + support) if right else 0.0
    return ClassScore(name, precision, recall, f1, support, predicted, right)


def disagreements(
    runs_a: Sequence[Run], runs_b: Sequence[Run], count: int, seed: int = 0, source: Source | None = None
) -> list[Disagreement]:
    """Rows that two runs predict differently, drawn at random from each language.

    Args:
        runs_a: one of each task and language.
        runs_b: the same of the others.
        count: most rows of a language.
        seed: of the draw.
        source: where the texts come from; without it there are none.

    Raises:
        DataError: where two runs can't be compared, or the data are not those that they were scored on.
    """
    first, second = by_place(runs_a), by_place(runs_b)
    found = []
    for spec in TASKS.values():
        for language in english_first(spec.languages):
            key = (spec.name, language)
            if key in first and key in second:
                found += _of_language(first[key], second[key], count, seed, source)
    return found


def _of_language(a: Run, b: Run, count: int, seed: int, source: Source | None) -> list[Disagreement]:
    check_comparable(a, b)
    predicted = a.read_predictions(), b.read_predictions()
    check_same_rows((a, b), predicted)
    one, other = predicted
    differ = [place for place in range(len(one.rows)) if one.predictions[place] != other.predictions[place]]
    places = sorted(random.Random(seed).sample(differ, min(count, len(differ))))  # noqa: S311 (no secret)
    if not places:
        return []
    dataset = None if source is None else _dataset(a, one, source)

    def told(label: Any) -> tuple[str, ...]:
        return tuple(a.spec.labels[number] for number in _each(label))

    return [
        Disagreement(
            a.task,
            a.language,
            one.rows[place],
            told(one.labels[place]),
            told(one.predictions[place]),
            told(other.predictions[place]),
            None if dataset is None else _text(a, dataset[one.rows[place]]),
        )
        for place in places
    ]


def _dataset(run: Run, predictions: RowPredictions, source: Source) -> Dataset:
    """The test set of a run.

    Raises:
        DataError: where its gold labels are others.
    """
    dataset = source.load(run.spec, "test", run.language).dataset
    labels = dataset[run.spec.label_column][:]
    if len(labels) != predictions.header.rows or [labels[row] for row in predictions.rows] != [*predictions.labels]:
        raise DataError(
            f"--data {source.description}: {run.spec.path('test', run.language)} has other gold labels than {run}; "
            "give the data that it was scored on"
        )
    return dataset


def _text(run: Run, row: dict[str, Any]) -> str | tuple[str, ...]:
    kind = kind_of(run.spec)
    return tuple(row[run.spec.text_a[0]]) if kind.per_word else kind.row_text(row)
