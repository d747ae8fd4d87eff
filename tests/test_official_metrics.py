"""The evaluator's scores against seqeval and scikit-learn, used as it uses them; and each of its quirks by hand."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import seqeval.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, ndcg_score

from tests.helpers import seqeval0
from tests.helpers.seqeval0 import ANYTHING, NER, ODD, UPOS
from xglue_harness import metrics
from xglue_harness.benchmark import TASKS
from xglue_harness.kinds import kind_of
from xglue_harness.official_metrics import (
    SEQEVAL_1,
    accuracy,
    chunk_f1,
    chunk_precision,
    entity_f1,
    filled,
    ranking_ndcg,
    tag_precision,
)

# seqeval warns of labels of no scheme and of sentences without entities: both are cases under test.
pytestmark = pytest.mark.filterwarnings("ignore:.*seems not to be NE tag", "ignore:.*ill-defined")

IOB1 = tuple(label for label in NER if not label.startswith("B-"))

checked = settings(deadline=None, max_examples=300)

Corpus = list[tuple[list[str], list[str]]]


def corpora(labels: Sequence[str]) -> st.SearchStrategy[Corpus]:
    """Sentences, some without words: ``(gold, predicted)``, of one length."""
    label = st.sampled_from(labels)
    words = st.lists(st.tuples(label, label), max_size=6)
    sentence = words.map(lambda pairs: ([g for g, _ in pairs], [p for _, p in pairs]))
    return st.lists(sentence, min_size=1, max_size=6)


def padded(gold: Sequence[list[str]], predicted: Sequence[list[str]]) -> list[list[str]]:
    """What the evaluator does with missing predictions of POS."""
    return [p + ["O"] * (len(g) - len(p)) for g, p in zip(gold, predicted, strict=True)]


@checked
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_accuracy_is_sklearns(rows: list[tuple[int, int]]) -> None:
    gold, predicted = zip(*rows, strict=True)
    assert accuracy(gold, predicted) == pytest.approx(accuracy_score(gold, predicted), abs=1e-12)


@pytest.mark.parametrize("labels", [NER, IOB1, ("O",), ("O", "I-PER"), ODD, ANYTHING])
def test_entity_f1_is_seqevals_of_today(labels: tuple[str, ...]) -> None:
    @checked
    @given(corpora(labels))
    def check(corpus: Corpus) -> None:
        gold, predicted = ([*side] for side in zip(*corpus, strict=True))
        expected = seqeval.metrics.f1_score(gold, predicted)
        assert entity_f1(gold, predicted, SEQEVAL_1) == pytest.approx(expected, abs=1e-12)

    check()


@pytest.mark.parametrize("labels", [NER, IOB1])
def test_of_named_entities_the_official_f1_is_ours(labels: tuple[str, ...]) -> None:
    @checked
    @given(corpora(labels))
    def check(corpus: Corpus) -> None:
        corpus = [sentence for sentence in corpus if sentence[0]] or [(["O"], ["I-PER"])]
        gold, predicted = ([*side] for side in zip(*corpus, strict=True))
        pairs = [metrics.entity_counts(g, p) for g, p in corpus]
        assert entity_f1(gold, predicted) == pytest.approx(metrics.ratio(pairs), abs=1e-12)
        assert entity_f1(gold, predicted) == entity_f1(gold, predicted, SEQEVAL_1)

    check()


@pytest.mark.parametrize("labels", [UPOS, ODD, ("X",), ("X", "NOUN"), ("X", "O"), ANYTHING])
def test_tag_precision_is_seqevals_of_today_with_missing_predictions_filled_up(labels: tuple[str, ...]) -> None:
    @checked
    @given(corpora(labels), st.lists(st.integers(0, 6), min_size=6, max_size=6))
    def check(corpus: Corpus, lengths: list[int]) -> None:
        gold = [g for g, _ in corpus]
        predicted = [p[:length] for (_, p), length in zip(corpus, lengths, strict=False)]
        expected = seqeval.metrics.precision_score(gold, padded(gold, predicted))
        assert tag_precision(gold, predicted, SEQEVAL_1) == pytest.approx(expected, abs=1e-12)

    check()


def assert_is_seqeval0s(gold: list[list[str]], predicted: list[list[str]], f1: float, precision: float) -> None:
    assert entity_f1(gold, predicted) == pytest.approx(f1, abs=1e-12)
    assert tag_precision(gold, predicted) == pytest.approx(precision, abs=1e-12)


def test_the_official_scores_are_those_that_seqeval_0_gave() -> None:
    """Figures that the program itself gave once (`tests.helpers.seqeval0`): these need no network."""
    golden = json.loads(seqeval0.GOLDEN.read_text(encoding="utf-8"))
    assert len(golden) == 210
    for corpus in golden:
        assert_is_seqeval0s(**corpus)
    of_today = [tag_precision(corpus["gold"], corpus["predicted"], SEQEVAL_1) for corpus in golden]
    assert sum(abs(a - c["precision"]) > 1e-3 for a, c in zip(of_today, golden, strict=True)) > 30


@pytest.fixture
def seqeval_0(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Folder of the real seqeval 0.0.12: never installed, for the project needs another one."""
    cache = getattr(request.config, "cache", None)  # -p no:cacheprovider: none
    folder = tmp_path if cache is None else Path(cache.mkdir("seqeval-0.0.12"))
    archive = folder / "seqeval-0.0.12.tar.gz"
    if not archive.exists():
        command = ["download", "--no-deps", "--no-binary", ":all:", "--dest", str(folder), "seqeval==0.0.12"]
        environment = {**os.environ, "PIP_RETRIES": "0", "PIP_TIMEOUT": "5"}
        done = subprocess.run(
            [sys.executable, "-m", "pip", *command], capture_output=True, text=True, env=environment, check=False
        )
        if done.returncode or not archive.exists():
            pytest.skip(f"seqeval 0.0.12 can't be fetched from PyPI: {done.stderr.strip()[-200:]}")
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == seqeval0.SDIST_SHA256
    with tarfile.open(archive) as members:
        for name in ("__init__.py", "metrics/__init__.py", "metrics/sequence_labeling.py"):
            member = members.extractfile(f"seqeval-0.0.12/seqeval/{name}")
            assert member is not None
            place = folder / "seqeval" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(member.read())
    return folder


@pytest.mark.processes
def test_the_official_scores_are_those_of_the_real_seqeval_0(seqeval_0: Path) -> None:
    given = seqeval0.corpora(3000, seed=0)
    for (gold, predicted), (f1, precision) in zip(given, seqeval0.scores(seqeval_0, given), strict=True):
        assert_is_seqeval0s(gold, predicted, f1, precision)
    # Sentences of another length move what is after them: the evaluator does not look.
    shifted = [(gold, predicted[::-1]) for gold, predicted in given]
    for (gold, predicted), (f1, precision) in zip(shifted, seqeval0.scores(seqeval_0, shifted), strict=True):
        assert chunk_f1(gold, predicted) == pytest.approx(f1, abs=1e-12)
        assert chunk_precision(gold, predicted) == pytest.approx(precision, abs=1e-12)


def test_both_rules_stand_side_by_side() -> None:
    pos, ner = TASKS["pos"], TASKS["ner"]
    cconj, sconj, x = (pos.labels.index(tag) for tag in ("CCONJ", "SCONJ", "X"))
    found = kind_of(pos).official([[cconj, x]], [[sconj, x]])
    assert (found.official, found.official_seqeval1, found.official_rule) == (0.5, 1.0, "seqeval 0.0.12")
    assert kind_of(ner).official([[1, 2]], [[1, 0]]).official_seqeval1 == 0.0
    assert kind_of(TASKS["nc"]).official([1], [1]).official_seqeval1 is None
    assert kind_of(TASKS["wpr"]).official([[1, 0]], [[1, 0]]).official_rule == "ndcg"


def test_sentences_are_filled_up_and_none_is_cut() -> None:
    assert filled([["DET", "NOUN"], ["X"]], [["DET"], ["X", "X"], ["X"]]) == [["DET", "O"], ["X", "X"], ["X"]]


ROWS = st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.integers(0, 4))
CONSTANT = st.tuples(st.sampled_from("ab"), st.just(0) | st.just(3), st.just(2))


@checked
@given(st.lists(ROWS, min_size=2, max_size=25) | st.lists(CONSTANT, min_size=2, max_size=8))
def test_ranking_ndcg_is_sklearns_over_runs_of_one_query(rows: list[tuple[str, int, int]]) -> None:
    groups = [[*group] for _, group in groupby(rows, key=lambda row: row[0])]
    found = [ndcg_score([[g for _, g, _ in group]], [[p for _, _, p in group]]) for group in groups if len(group) > 1]
    if not found:
        with pytest.raises(ValueError, match="no query with two rows"):
            ranking_ndcg(*zip(*rows, strict=True))
        return
    assert ranking_ndcg(*zip(*rows, strict=True)) == pytest.approx(np.mean(found), abs=1e-12)


def test_each_task_has_its_score() -> None:
    ner, pos, wpr = TASKS["ner"], TASKS["pos"], TASKS["wpr"]
    for name in ("nc", "xnli", "pawsx", "qadsm", "qam"):
        assert kind_of(TASKS[name]).official([0, 1, 1, 0], [0, 1, 0, 0]).official == 0.75
    person = ner.label_id("B-PER")
    assert kind_of(ner).official([[0, person]], [[person, person]]).official == entity_f1(
        [["O", "B-PER"]], [["B-PER", "B-PER"]]
    )
    noun, adjective = pos.label_id("NOUN"), pos.label_id("ADJ")
    assert kind_of(pos).official([[noun, noun]], [[noun, adjective]]).official == 0.0
    expected = ranking_ndcg("aabcc", [4, 0, 1, 0, 2], [1, 3, 4, 2, 2])
    assert kind_of(wpr).official([[4, 0], [1], [0, 2]], [[1, 3], [4], [2, 2]]).official == expected


# The quirks by hand


def precision(gold: str, predicted: str, *rule: str) -> float:
    """Of sentences that are separated by a bar."""
    sides = ([sentence.split() for sentence in text.split("|")] for text in (gold, predicted))
    return tag_precision(*sides, *rule)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gold", "predicted", "expected", "of_today"),
    [
        ("DET NOUN VERB", "DET NOUN VERB", 1.0, 1.0),
        # Runs of one tag are one chunk: one wrong word of four, and none of the other three counts.
        ("NOUN NOUN NOUN NOUN", "NOUN NOUN ADJ NOUN", 0.0, 0.0),
        ("NOUN NOUN NOUN VERB", "NOUN ADJ NOUN VERB", 1 / 4, 1 / 4),
        # 1.x loses the first letter: CCONJ and SCONJ are one type.
        ("CCONJ DET", "SCONJ DET", 1 / 2, 1.0),
        # An S stands for a single word: two are two chunks.
        ("SYM SYM", "SYM SYM", 1.0, 1.0),
        ("SYM SYM", "SYM NOUN", 1 / 2, 1 / 2),
        ("SCONJ SCONJ", "SCONJ ADP", 1 / 2, 1 / 2),
        # ... in 1.x, CCONJ before it is lost, and after it CCONJ starts no chunk but ends one, from the SCONJ on.
        ("CCONJ SCONJ", "NOUN SCONJ", 1 / 2, 1 / 2),
        ("CCONJ SCONJ", "CCONJ NOUN", 1 / 2, 0.0),
        ("SCONJ CCONJ", "SCONJ NOUN", 1 / 2, 1 / 2),
        # INTJ is the inside of an entity, which makes chunks as other tags do.
        ("INTJ INTJ SYM INTJ", "INTJ INTJ SYM INTJ", 1.0, 1.0),
        # X is a tag as any other; in 1.x it is no chunk at the end of a sentence: neither right nor wrong.
        ("NOUN X", "NOUN X", 1.0, 1.0),
        ("NOUN VERB", "NOUN X", 1 / 2, 1.0),
        ("X", "X", 1.0, 0.0),
        # ... and there, at the start of a sentence, begins where the last chunk of the sentence before did.
        ("NOUN | X VERB", "NOUN | X VERB", 1.0, 1.0),
        ("NOUN NOUN | X VERB", "ADJ NOUN | X VERB", 1 / 2, 1 / 4),
        # Missing predictions are filled up with O and cost nothing.
        ("DET NOUN VERB", "DET NOUN", 1.0, 1.0),
        ("DET NOUN | VERB", "DET NOUN | ", 1.0, 1.0),
        ("DET", "", 0.0, 0.0),
    ],
)
def test_tag_precision_by_hand(gold: str, predicted: str, expected: float, of_today: float) -> None:
    assert precision(gold, predicted) == pytest.approx(expected, abs=1e-15)
    assert precision(gold, predicted, SEQEVAL_1) == pytest.approx(of_today, abs=1e-15)


@pytest.mark.parametrize(
    ("gold", "predicted", "expected", "of_today"),
    [
        ("B-PER I-PER", "B-PER I-PER", 1.0, 1.0),
        # Without a hyphen the type is the whole label, or in 1.x all but the first letter.
        ("B-PER", "SPER", 0.0, 1.0),
        ("B-ER", "BER", 0.0, 1.0),
        ("B-PER", "X-PER", 1.0, 1.0),
        # The type is what stands after the last hyphen, or in 1.x after the first.
        ("B-PER", "B-A-PER", 1.0, 0.0),
        ("B-A-PER", "B-B-PER", 1.0, 0.0),
    ],
)
def test_labels_that_xglue_does_not_have(gold: str, predicted: str, expected: float, of_today: float) -> None:
    sides = [[gold.split()], [predicted.split()]]
    assert entity_f1(*sides) == expected
    assert entity_f1(*sides, SEQEVAL_1) == of_today


def test_without_any_entity_f1_is_zero_though_nothing_is_wrong() -> None:
    assert entity_f1([["O", "O"], ["O"]], [["O", "O"], ["O"]]) == 0.0


def test_a_query_is_a_run_of_rows_and_one_row_is_none() -> None:
    assert ranking_ndcg("aab", [0, 1, 4], [0, 1, 0]) == 1.0
    apart = ranking_ndcg("aabaa", [0, 1, 4, 1, 0], [0, 1, 0, 0, 1])
    assert apart == pytest.approx((1 + ndcg_score([[1, 0]], [[0, 1]])) / 2, abs=1e-12)


def test_tied_grades_and_all_zero_grades() -> None:
    assert ranking_ndcg("aa", [1, 0], [2, 2]) == pytest.approx((1 + 1 / np.log2(3)) / 2, abs=1e-15)
    assert ranking_ndcg("aa", [0, 0], [0, 1]) == 0.0


# The edges


@pytest.mark.parametrize("score", [accuracy, entity_f1, tag_precision])
def test_no_examples_and_other_lengths_are_errors(score: Callable[..., float]) -> None:
    with pytest.raises(ValueError, match="no examples"):
        score([], [])
    with pytest.raises(ValueError, match="differ in length: 1 and 2"):
        score([["O"]], [["O"], ["O"]])


def test_errors_name_the_sentence() -> None:
    with pytest.raises(ValueError, match="sentence 2: 1 gold labels and 0 predicted ones"):
        entity_f1([["O"], ["O"]], [["O"], []])
    with pytest.raises(ValueError, match="sentence 2: 2 predicted tags for 1 words"):
        tag_precision([["DET"], ["DET"]], [["DET"], ["DET", "DET"]])
    with pytest.raises(ValueError, match="sentence 2: an empty label"):
        entity_f1([["O"], ["O", "O"]], [["O"], ["O", ""]])


def test_errors_of_rankings() -> None:
    with pytest.raises(ValueError, match="gold and queries differ in length: 2 and 1 rows"):
        ranking_ndcg("a", [1, 2], [1, 2])
    with pytest.raises(ValueError, match="no examples"):
        ranking_ndcg("", [], [])
    with pytest.raises(ValueError, match="no query with two rows"):
        kind_of(TASKS["wpr"]).official([[1], [2]], [[1], [2]])
    with pytest.raises(ValueError, match="2 and 1 queries"):
        kind_of(TASKS["wpr"]).official([[1], [2]], [[1]])
