"""The modules for ``evaluate``: loaded offline from where the package says, against seqeval and scikit-learn."""

from __future__ import annotations

import doctest
import math
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import evaluate
import pytest
import seqeval.metrics
from sklearn.metrics import ndcg_score

import xglue_harness
from xglue_harness import evaluate_modules, metrics
from xglue_harness.benchmark import TASKS
from xglue_harness.official_metrics import tag_precision

pytestmark = pytest.mark.filterwarnings("ignore:.*seems not to be NE tag")


@pytest.fixture(scope="module", autouse=True)
def _own_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Once for all tests: the copies of the modules, once imported, are looked for in one place."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_MODULES_CACHE", "HF_METRICS_CACHE", "HF_EVALUATE_CACHE"):
            patch.setattr(evaluate.config, name, tmp_path_factory.mktemp(name))
        yield


def load(name: str) -> Any:
    return evaluate.load(evaluate_modules.path(name))


def corpus(labels: tuple[str, ...], seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """Gold and predicted labels, of which every fourth differs."""
    rng = random.Random(seed)
    gold = [rng.choices(labels, k=rng.randint(1, 15)) for _ in range(40)]
    return gold, [[rng.choice(labels) if rng.random() < 1 / 4 else label for label in row] for row in gold]


def test_there_are_three() -> None:
    assert evaluate_modules.NAMES == ("ner", "pos", "wpr")
    with pytest.raises(KeyError, match="no evaluate module 'nc'; one of ner, pos, wpr"):
        evaluate_modules.path("nc")


@pytest.mark.parametrize("name", evaluate_modules.NAMES)
def test_the_example_of_each_runs_and_it_says_where_it_comes_from(name: str) -> None:
    module = load(name)
    example = doctest.DocTestParser().get_doctest(module.inputs_description, {}, name, None, None)
    assert len(example.examples) == 4
    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0
    assert "arXiv:2004.01401" in module.citation
    assert module.citation.count("@") == 2
    assert "official" in module.description


def test_ner_is_seqevals_f1() -> None:
    gold, predicted = corpus(TASKS["ner"].labels, 1)
    found = load("ner").compute(predictions=predicted, references=gold)
    f1 = seqeval.metrics.f1_score(gold, predicted)
    counts = [metrics.entity_counts(g, p) for g, p in zip(gold, predicted, strict=True)]
    assert found == pytest.approx(
        {"f1": f1, "f1_stderr": metrics.ratio_stderr(counts), "official": f1, "official_seqeval1": f1}, abs=1e-12
    )


def test_pos_is_accuracy_and_seqevals_precision() -> None:
    gold, predicted = corpus(TASKS["pos"].labels, 2)
    found = load("pos").compute(predictions=predicted, references=gold)
    counts = [metrics.accuracy_counts(g, p) for g, p in zip(gold, predicted, strict=True)]
    expected = {
        "accuracy": seqeval.metrics.accuracy_score(gold, predicted),
        "accuracy_stderr": metrics.ratio_stderr(counts),
        "official": found["official"],
        "official_seqeval1": seqeval.metrics.precision_score(gold, predicted),
    }
    assert found == pytest.approx(expected, abs=1e-12)
    assert found["official"] == tag_precision(gold, predicted)
    assert len({found["official"], found["official_seqeval1"], found["accuracy"]}) == 3


def test_wpr_is_sklearns_ndcg_over_queries() -> None:
    rng = random.Random(3)
    gold = [[rng.randrange(5) for _ in range(size)] for size in (3, 1, 2, 6)]
    scores = [[rng.gauss(grade, 2) for grade in grades] for grades in gold]
    queries = [f"query {number}" for number, grades in enumerate(gold) for _ in grades]
    flat = {"references": [*chain(*gold)], "queries": queries}
    found = load("wpr").compute(predictions=[*chain(*scores)], **flat)
    values = [ndcg_score([g], [s]) for g, s in zip(gold, scores, strict=True) if len(g) > 1]
    assert found["ndcg"] == pytest.approx(metrics.mean(values), abs=1e-12)
    assert found["ndcg_stderr"] == pytest.approx(metrics.mean_stderr(values), abs=1e-12)
    assert found["official"] == found["ndcg"], "the evaluator reads any number"


def test_batches_may_be_added_one_by_one() -> None:
    module = load("ner")
    for labels in (["B-PER", "O"], ["I-LOC"]):
        module.add(prediction=labels, reference=labels)
    assert module.compute() == {"f1": 1.0, "f1_stderr": 0.0, "official": 1.0, "official_seqeval1": 1.0}


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("ner", {"predictions": [], "references": []}, "no examples to score"),
        ("ner", {"predictions": [["O"]], "references": [["O"], ["O"]]}, "Mismatch in the number"),
        ("ner", {"predictions": [["O"], ["O"]], "references": [["O"], ["O", "O"]]}, "sentence 2: .*length: 2 and 1"),
        ("ner", {"predictions": [["O", ""]], "references": [["O", "O"]]}, "sentence 1: label 1 .* is empty"),
        ("ner", {"predictions": [[]], "references": [[]]}, "sentence 1: gold and predicted are empty"),
        ("ner", {"predictions": ["O"], "references": ["O"]}, "expected a list"),
        ("pos", {"predictions": [["X"], []], "references": [["X"], ["X"]]}, "sentence 2: .*length: 1 and 0"),
        ("pos", {"predictions": [[""]], "references": [["X"]]}, "sentence 1: an empty label"),
        ("wpr", {"predictions": [1, 2], "references": [1, 2], "queries": ["a", "b"]}, "no query with two rows"),
        ("wpr", {"predictions": [1, math.nan], "references": [1, 2], "queries": ["a", "a"]}, "finite"),
        ("wpr", {"predictions": [1, 2], "references": [1, -1], "queries": ["a", "a"]}, "grades of 0 or more"),
        ("wpr", {"predictions": [1, 2], "references": [1, 1.5], "queries": ["a", "a"]}, "grades, 0 to 4: found 1.5"),
        ("wpr", {"predictions": [1, 2], "references": [1, 2]}, "missing: .'queries'"),
    ],
)
def test_bad_input_is_one_clear_error(name: str, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(name).compute(**inputs)


@pytest.mark.processes
def test_they_load_from_a_package_that_lies_elsewhere(tmp_path: Path) -> None:
    """As an installed one does, which is no checkout."""
    package = Path(xglue_harness.__file__).parent
    shutil.copytree(
        package, tmp_path / "site" / "xglue_harness", ignore=shutil.ignore_patterns("sample", "__pycache__")
    )
    code = (
        "import evaluate, xglue_harness\n"
        "from xglue_harness.evaluate_modules import NAMES, path\n"
        f"assert xglue_harness.__file__.startswith({str(tmp_path)!r}), xglue_harness.__file__\n"
        "print(*(evaluate.load(path(name)).name for name in NAMES))"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path / "site"),
        "HF_HOME": str(tmp_path),
        "HF_MODULES_CACHE": str(tmp_path / "modules"),
    }
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.stdout.split() == ["xglue_ner", "xglue_pos", "xglue_wpr"]
    assert (tmp_path / "modules").is_dir()
