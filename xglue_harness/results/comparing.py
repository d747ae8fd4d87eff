"""Two sets of runs compared row by row: is one better, how surely, and where do they disagree?

Both predict the same test rows, so their difference is paired over rows. Where the score is a share of rows, the test
is McNemar's, exact; elsewhere documents are drawn anew. Words of a sentence are not independent, so the tags of POS are
drawn by the sentence, too, although their score is an accuracy. Nothing here says anything about seeds: that takes
several trainings of each (`xglue_harness.leaderboard.ranking`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.errors import DataError
from xglue_harness.kinds import kind_of
from xglue_harness.leaderboard.ranking.board import blocks
from xglue_harness.leaderboard.ranking.bootstrap import bootstrap
from xglue_harness.leaderboard.ranking.significance import holm
from xglue_harness.leaderboard.ranking.statistics import LEVEL, TaskRuns
from xglue_harness.leaderboard.validation.rescoring import gold_sha256
from xglue_harness.records.predictions import RowPredictions
from xglue_harness.results.paper_tables import scores_again
from xglue_harness.results.run import Run
from xglue_harness.results.series import english_first
from xglue_harness.sweeps.comparison import restricted

Floats = NDArray[np.float64]
Test = Literal["McNemar, exact", "paired bootstrap"]

REPLICATES = 10_000

_SLACK = 1e-12
"""A difference of nothing but rounding is none."""


@dataclass(frozen=True)
class Counts:
    """How two runs agree on what is right.

    Attributes:
        unit: what is counted, in the plural: rows, words, entities of the gold labels, or queries.
        both: right in both; of queries: as good in both.
        only_a: right in the first only; of queries: better in it.
        only_b: right in the second only; of queries: better in it.
        neither: right in neither; of queries always 0.
    """

    unit: str
    both: int
    only_a: int
    only_b: int
    neither: int


@dataclass(frozen=True)
class Difference:
    """Two runs of a task in a language, or their means over languages.

    Attributes:
        task: short name.
        language: ``None``: the mean over those that both have.
        languages: how many it is of.
        metric: of the scores.
        a: score of the first, from 0 to 1.
        b: score of the second.
        difference: the first minus the second.
        low: lower end of its 95% interval, by the paired bootstrap over documents.
        high: upper end.
        p: two-sided p-value of the hypothesis that the two are equally good.
        p_holm: the same, adjusted for all languages that were compared; ``None`` for a mean.
        test: that p is of.
        counts: how they agree; ``None`` for a mean.
    """

    task: str
    language: str | None
    languages: int
    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    p_holm: float | None
    test: Test
    counts: Counts | None


@dataclass(frozen=True)
class Compared:
    """All that two sets of runs have in common.

    Attributes:
        differences: by task in the order of the benchmark, its languages, then their mean where there are several.
        only_in_a: tasks and languages that only the first has, as ``pos de``.
        only_in_b: those that only the second has.
    """

    differences: tuple[Difference, ...]
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]


@dataclass(frozen=True)
class _Pair:
    """The two runs of a task and language."""

    runs: tuple[Run, Run]
    items: tuple[Floats, Floats]
    scores: tuple[float, float]
    counts: Counts


def compare(runs_a: Sequence[Run], runs_b: Sequence[Run], *, replicates: int = REPLICATES, seed: int = 0) -> Compared:
    """Compare runs of the same tasks and languages.

    Args:
        runs_a: one of each task and language.
        runs_b: the same of the others.
        replicates: of the bootstrap.
        seed: of its draws.

    Raises:
        DataError: where nothing is in common, a set has two runs of the same, or the two of a language are of other
            data, rows or protocols.
    """
    from tqdm import tqdm

    first, second = by_place(runs_a), by_place(runs_b)
    shared = [(spec, language) for spec in TASKS.values() for language in english_first(spec.languages)]
    shared = [(spec, language) for spec, language in shared if (spec.name, language) in first.keys() & second.keys()]
    only = [tuple(" ".join(key) for key in a if key not in b) for a, b in ((first, second), (second, first))]
    if not shared:
        raise DataError(f"nothing is in common: A has {', '.join(only[0])}; B has {', '.join(only[1])}")
    pairs: dict[str, dict[str, _Pair]] = {}
    for spec, language in tqdm(shared, unit="language", desc="reading predictions", disable=None):
        key = (spec.name, language)
        pairs.setdefault(spec.name, {})[language] = _pair(first[key], second[key])
    differences = []
    for name, of_task in tqdm(pairs.items(), unit="task", desc="comparing", disable=None):
        differences += _differences(TASKS[name], of_task, replicates, seed)
    return Compared(tuple(_adjusted(differences)), only[0], only[1])


def by_place(runs: Sequence[Run]) -> dict[tuple[str, str], Run]:
    """Runs by task and language, of each of which there is one.

    Raises:
        DataError: where there are two, or one has no predictions.
    """
    places: dict[tuple[str, str], Run] = {}
    for run in runs:
        if run.split != "test":
            raise DataError(f"{run}: an entry of the store, which has no predictions: give lm_eval's results")
        other = places.setdefault((run.task, run.language), run)
        if other is not run:
            raise DataError(
                f"{run}: {run.task} in {run.language} (seed {run.seed}) stands in {other} (seed {other.seed}), too; "
                "rows are paired of one run with one: give its file, or choose by --tasks"
            )
    return places


def _pair(a: Run, b: Run) -> _Pair:
    """Two runs that can be compared.

    Raises:
        DataError: where they can't.
    """
    check_comparable(a, b)
    predicted = a.read_predictions(), b.read_predictions()
    check_same_rows((a, b), predicted)
    scored = scores_again(a, predicted[0]), scores_again(b, predicted[1])
    items = np.asarray(scored[0].items, dtype=np.float64), np.asarray(scored[1].items, dtype=np.float64)
    return _Pair((a, b), items, (scored[0].score, scored[1].score), _counts(a.spec, *predicted, items))


def check_comparable(a: Run, b: Run) -> None:
    """See that two runs of a task and language were made in the same way, of the same data.

    Raises:
        DataError: for other protocols, or files that both have read and that differ.
    """
    assert a.record is not None
    assert b.record is not None
    if a.protocol != b.protocol:
        raise DataError(f"{a}: protocol {a.protocol}; {b} has {b.protocol}: their scores don't compare")
    if a.sample != b.sample:
        raise DataError(f"{a if a.sample else b} is of the SAMPLE, {b if a.sample else a} is not")
    files_a, files_b = a.record.data.files, b.record.data.files
    if differ := [path for path in files_a if files_b.get(path, files_a[path]) != files_a[path]]:
        path = differ[0]
        raise DataError(
            f"{a}: data.files: {path} is {files_a[path]}; {b} has {files_b[path]}: runs on other data don't compare"
        )


def check_same_rows(runs: tuple[Run, Run], predicted: tuple[RowPredictions, RowPredictions]) -> None:
    """See that two files of predictions are of the same rows with the same gold labels.

    Raises:
        DataError: where they are not.
    """
    a, b = predicted
    if [*a.rows] != [*b.rows]:
        raise DataError(
            f"{runs[0]}: {len(a.rows)} rows; {runs[1]} has {len(b.rows)}, and not the same: run one of them again "
            "with the other's --limit"
        )
    if gold_sha256(a.labels, a.documents) != gold_sha256(b.labels, b.documents):
        raise DataError(f"{runs[0]}: its gold labels or queries are not those of {runs[1]}: runs on other data")


def _counts(spec: TaskSpec, a: RowPredictions, b: RowPredictions, items: tuple[Floats, Floats]) -> Counts:
    """How two runs agree; ``items`` are the scores of each one's documents."""
    kind = kind_of(spec)
    if kind.several_rows:
        gaps = items[0] - items[1]
        better, worse = int((gaps > _SLACK).sum()), int((gaps < -_SLACK).sum())
        return Counts("queries", len(gaps) - better - worse, better, worse, 0)
    tally = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    for label, *answers in zip(a.labels, a.predictions, b.predictions, strict=True):
        said = [{*kind.instances(answer)} for answer in answers]
        for instance in kind.instances(label):
            tally[instance in said[0], instance in said[1]] += 1
    return Counts(kind.unit, tally[True, True], tally[True, False], tally[False, True], tally[False, False])


def mcnemar(only_a: int, only_b: int) -> float:
    """The exact two-sided p-value of McNemar's test: a fair coin for each row that exactly one of the two has right.

    Args:
        only_a: rows that the first alone has right.
        only_b: rows that the second alone has right.

    Source:
        McNemar 1947; in its exact, binomial form.
    """
    if only_a == only_b:
        return 1.0
    return min(1.0, 2 * float(special.bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def _differences(spec: TaskSpec, pairs: Mapping[str, _Pair], replicates: int, seed: int) -> list[Difference]:
    kind = kind_of(spec)
    made = []
    for language, pair in pairs.items():
        low, high, p = _drawn(spec, {language: pair}, replicates, seed)
        test: Test = "McNemar, exact" if kind.plain_mean else "paired bootstrap"
        if kind.plain_mean:
            p = mcnemar(pair.counts.only_a, pair.counts.only_b)
        a, b = pair.scores
        made.append(Difference(spec.name, language, 1, spec.metric, a, b, a - b, low, high, p, None, test, pair.counts))
    if len(pairs) > 1:
        a, b = (float(np.mean([pair.scores[side] for pair in pairs.values()])) for side in (0, 1))
        low, high, p = _drawn(spec, pairs, replicates, seed)
        made.append(
            Difference(
                spec.name, None, len(pairs), spec.metric, a, b, a - b, low, high, p, None, "paired bootstrap", None
            )
        )
    return made


def _drawn(spec: TaskSpec, pairs: Mapping[str, _Pair], replicates: int, seed: int) -> tuple[float, float, float]:
    """Interval and p-value of the difference of means over languages, by the paired bootstrap over documents.

    The p-value is twice the share of replicates on the other side of 0, themselves counted as one more.
    """
    here = restricted(spec, pairs)
    sides = [{language: pair.items[side] for language, pair in pairs.items()} for side in (0, 1)]
    scores = np.array([[pairs[language].scores[side] for language in here.languages] for side in (0, 1)])
    runs = TaskRuns(np.array([0, 1]), scores, blocks(here, sides))
    weights = np.outer([1.0, -1.0], np.full(len(here.languages), 1 / len(here.languages)))
    drawn = bootstrap([(runs, weights)], replicates=replicates, seed=seed)
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    sides_of_zero = (int((drawn <= _SLACK).sum()), int((drawn >= -_SLACK).sum()))
    return float(low), float(high), min(1.0, 2 * (1 + min(sides_of_zero)) / (replicates + 1))


def _adjusted(differences: Sequence[Difference]) -> list[Difference]:
    """With p-values adjusted for all languages."""
    languages = [item for item in differences if item.language is not None]
    adjusted: dict[Any, float] = dict(
        zip(((item.task, item.language) for item in languages), holm([item.p for item in languages]), strict=True)
    )
    return [replace(item, p_holm=adjusted.get((item.task, item.language))) for item in differences]
