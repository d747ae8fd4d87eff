"""Two runs compared: counts against libraries' own, tests against scipy's, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from seqeval.metrics.sequence_labeling import get_entities
from sklearn.metrics import accuracy_score, ndcg_score
from typer.testing import CliRunner

from tests.helpers.sweeps import EXAMPLE, write_results
from xglue_harness.benchmark import TASKS
from xglue_harness.cli.results import app
from xglue_harness.errors import DataError
from xglue_harness.kinds import kind_of
from xglue_harness.results.comparing import compare, mcnemar
from xglue_harness.results.reading import read_runs


def _runs(backbone, task, seed):
    return [*read_runs([EXAMPLE / "results" / backbone / "toy" / str(seed) / f"{task}.json"])]


def _pairs(task):
    """For each language: predictions of two backbones, and what was found of them."""
    a, b = _runs("tiny-lm", task, 1), _runs("tiny-mt", task, 1)
    found = {item.language: item for item in compare(a, b, replicates=200).differences}
    for first, second in zip(a, b, strict=True):
        yield first.read_predictions(), second.read_predictions(), found[first.language]


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (5, 1), (3, 17), (40, 40), (30, 60), (0, 200)])
def test_mcnemar_is_scipys_binomial_test(only_a, only_b):
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert mcnemar(only_a, only_b) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("task", ["xnli", "pawsx", "qadsm"])
def test_rows_are_counted_and_tested_by_mcnemar(task):
    for a, b, found in _pairs(task):
        gold, first, second = (np.array(values) for values in (a.labels, a.predictions, b.predictions))
        right_a, right_b = first == gold, second == gold
        only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
        counts = found.counts
        assert (counts.unit, counts.only_a, counts.only_b) == ("rows", only_a, only_b)
        assert (counts.both, counts.neither) == ((right_a & right_b).sum(), (~right_a & ~right_b).sum())
        assert (found.a, found.b) == pytest.approx((accuracy_score(gold, first), accuracy_score(gold, second)))
        assert found.difference == pytest.approx((only_a - only_b) / len(gold))
        assert found.test == "McNemar, exact"
        assert found.p == pytest.approx(stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1)


def test_words_are_counted_and_sentences_drawn():
    for a, b, found in _pairs("pos"):
        gold, first, second = (
            np.array([tag for tags in v for tag in tags]) for v in (a.labels, a.predictions, b.predictions)
        )
        right_a, right_b = first == gold, second == gold
        counts = (found.counts.both, found.counts.only_a, found.counts.only_b, found.counts.neither)
        expected = [right_a & right_b, right_a & ~right_b, right_b & ~right_a, ~right_a & ~right_b]
        assert counts == tuple(mask.sum() for mask in expected)
        assert found.counts.unit == "words"
        assert (found.a, found.b) == pytest.approx((right_a.mean(), right_b.mean()))
        assert found.test == "paired bootstrap"


def test_gold_entities_are_counted_as_seqeval_finds_them():
    labels = TASKS["ner"].labels
    for a, b, found in _pairs("ner"):
        tally = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
        for sentences in zip(a.labels, a.predictions, b.predictions, strict=True):
            gold, first, second = ({*get_entities([labels[tag] for tag in tags])} for tags in sentences)
            for entity in gold:
                tally[entity in first, entity in second] += 1
        counts = found.counts
        assert [*tally.values()] == [counts.both, counts.only_a, counts.only_b, counts.neither]
        assert counts.unit == "entities"


def test_queries_are_counted_by_their_ndcg():
    for a, b, found in _pairs("wpr"):
        scores = []
        for query in dict.fromkeys(a.documents):
            rows = [place for place, document in enumerate(a.documents) if document == query]
            if len(rows) > 1:
                gold = [a.labels[row] for row in rows]
                scores.append([ndcg_score([gold], [[p.predictions[row] for row in rows]]) for p in (a, b)])
        first, second = np.array(scores).T
        better = (first - second) > 1e-9
        worse = (second - first) > 1e-9
        assert (found.counts.only_a, found.counts.only_b) == (better.sum(), worse.sum())
        assert (found.counts.both, found.counts.neither) == ((~better & ~worse).sum(), 0)
        assert (found.a, found.b) == pytest.approx((first.mean(), second.mean()))


def _documents_right(predictions):
    return np.array(
        [
            [sum(g == p for g, p in zip(gold, said, strict=True)), len(gold)]
            for gold, said in zip(predictions.labels, predictions.predictions, strict=True)
        ]
    )


def test_the_interval_is_that_of_a_plain_paired_bootstrap():
    a, b = _runs("tiny-lm", "pos", 1), _runs("tiny-mt", "pos", 1)
    found = {item.language: item for item in compare(a, b, replicates=4000).differences}
    generator = np.random.default_rng(9)
    means = np.zeros(4000)
    for first, second in zip(a, b, strict=True):
        counts = [_documents_right(run.read_predictions()) for run in (first, second)]
        drawn = generator.integers(len(counts[0]), size=(4000, len(counts[0])))
        sums = [side[drawn].sum(axis=1) for side in counts]
        differences = sums[0][:, 0] / sums[0][:, 1] - sums[1][:, 0] / sums[1][:, 1]
        means += differences / len(a)
        low, high = np.quantile(differences, (0.025, 0.975))
        item = found[first.language]
        assert (item.low, item.high) == pytest.approx((low, high), abs=0.12 * (high - low))
    low, high = np.quantile(means, (0.025, 0.975))
    assert (found[None].low, found[None].high) == pytest.approx((low, high), abs=0.12 * (high - low))
    assert found[None].languages == len(a)


def test_a_bootstrap_of_an_accuracy_is_near_mcnemar():
    item = _synthetic(30, 55)
    assert item.p == pytest.approx(0.0087, abs=0.0002)  # McNemar's
    assert item.low < item.difference < item.high < 0


def _synthetic(only_a, only_b, rows=1000):
    """Two runs of QAM in English that disagree on so many rows."""
    a, b = _runs("tiny-lm", "qam", 1)[0], _runs("tiny-mt", "qam", 1)[0]
    gold = [0] * rows
    first = [int(only_a <= row < only_a + only_b) for row in range(rows)]
    second = [int(row < only_a) for row in range(rows)]
    runs = []
    for run, said in ((a, first), (b, second)):
        predictions = run.read_predictions()
        places = [*range(rows)]
        header = predictions.header.model_copy(update={"rows": rows})
        made = replace(predictions, header=header, rows=places, documents=places, labels=gold, predictions=said)
        runs.append(_Fixed(run, made))
    (item,) = compare([runs[0]], [runs[1]]).differences
    return item


class _Fixed:
    """A run with other predictions."""

    def __init__(self, run, predictions):
        self._run, self._predictions, self.score = run, predictions, None

    def __getattr__(self, name):
        return getattr(self._run, name)

    def read_predictions(self):
        return self._predictions


def test_equal_runs_do_not_differ():
    runs = _runs("tiny-lm", "ner", 1)
    for item in compare(runs, runs, replicates=200).differences:
        assert (item.difference, item.low, item.high, item.p) == (0, 0, 0, 1)


def test_p_values_are_adjusted_over_all_languages():
    a = [*_runs("tiny-lm", "xnli", 1), *_runs("tiny-lm", "pos", 1)]
    b = [*_runs("tiny-mt", "xnli", 1), *_runs("tiny-mt", "pos", 1)]
    differences = compare(a, b, replicates=200).differences
    languages = [item for item in differences if item.language]
    assert len(languages) == 15 + 18
    p = np.array([item.p for item in languages])
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1, p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(stepped)
    assert [item.p_holm for item in languages] == pytest.approx(adjusted)
    assert [item.p_holm for item in differences if not item.language] == [None, None]


# What is refused


@pytest.fixture
def folders(tmp_path):
    for name in ("a", "b"):
        write_results(tmp_path / name, "tiny-lm", "pawsx", 1)
    return tmp_path / "a", tmp_path / "b"


def _edit(folder, change):
    for path in folder.rglob("results_*.json"):
        content = json.loads(path.read_text())
        for config in content["configs"].values():
            change(config["metadata"]["xglue"])
        path.write_text(json.dumps(content))


def test_other_data_are_refused(folders):
    a, b = folders
    _edit(b, lambda record: record["data"]["files"].update(dict.fromkeys(record["data"]["files"], "0" * 64)))
    with pytest.raises(DataError, match=r"data\.files: PAWSX/.* is [0-9a-f]{64}; .* has 0{64}: runs on other data"):
        compare(read_runs([a]), read_runs([b]))


def test_the_sample_and_real_data_are_refused(folders):
    a, b = folders
    _edit(b, lambda record: record.update(SAMPLE=False))
    with pytest.raises(DataError, match=r"xglue_pawsx_zs_en is of the SAMPLE, .* is not"):
        compare(read_runs([a]), read_runs([b]))


def test_other_protocols_are_refused():
    (first, *_) = _runs("tiny-lm", "pawsx", 1)
    with pytest.raises(DataError, match=r"protocol finetune; .* has prompt: their scores don't compare"):
        compare([first], [replace(first, protocol="prompt")])


def test_two_runs_of_the_same_are_refused_and_what_one_side_lacks_is_named():
    a, b = _runs("tiny-lm", "pawsx", 1), _runs("tiny-lm", "pawsx", 2)
    with pytest.raises(DataError, match=r"pawsx in de \(seed 2\) stands in .*\(seed 1\), too; rows are paired"):
        compare([*a, *b], b)
    compared = compare(a[1:], b[:2], replicates=100)
    assert [item.language for item in compared.differences] == [b[1].language]
    assert compared.only_in_a == tuple(f"pawsx {run.language}" for run in a[2:])
    assert compared.only_in_b == (f"pawsx {b[0].language}",)
    with pytest.raises(DataError, match="nothing is in common: A has pawsx de; B has pawsx en"):
        compare([run for run in a if run.language == "de"], [run for run in b if run.language == "en"])


def test_other_rows_are_refused():
    (run, *_) = _runs("tiny-lm", "pawsx", 1)
    predictions = run.read_predictions()
    fewer = replace(
        predictions,
        **{name: getattr(predictions, name)[:-1] for name in ("documents", "rows", "labels", "predictions")},
    )
    with pytest.raises(DataError, match=r"\d+ rows; .* has \d+, and not the same"):
        compare([run], [_Fixed(run, fewer)])
    other = replace(predictions, labels=[1 - predictions.labels[0], *predictions.labels[1:]])
    with pytest.raises(DataError, match="gold labels or queries are not those of"):
        compare([run], [_Fixed(run, other)])


def test_kinds_say_what_is_right_or_wrong_by_itself():
    assert kind_of(TASKS["qam"]).instances(1) == [(0, TASKS["qam"].labels[1])]
    assert kind_of(TASKS["pos"]).instances([3, 0]) == [(0, TASKS["pos"].labels[3]), (1, TASKS["pos"].labels[0])]
    tags = [TASKS["ner"].labels.index(name) for name in ("O", "B-PER", "I-PER", "B-PER", "O", "B-LOC")]
    assert kind_of(TASKS["ner"]).instances(tags) == [((1, 2), "PER"), ((3, 3), "PER"), ((5, 5), "LOC")]


def test_the_command_prints_a_table_or_json(folders):
    a, b = map(str, folders)
    again = CliRunner().invoke(app, ["compare", a, b, "--replicates", "100"], catch_exceptions=False)
    assert again.exit_code == 0
    assert "+0.00 (+0.00 to +0.00)" in again.stdout
    printed = CliRunner().invoke(app, ["compare", a, b, "--replicates", "100", "--json"], catch_exceptions=False)
    content = json.loads(printed.stdout)
    assert (content["a"], content["b"]) == (a, b)
    assert [item["language"] for item in content["differences"]] == ["en", "de", "es", "fr", None]
    assert content["differences"][0]["counts"]["unit"] == "rows"
