"""Scores of folders of predictions: against seqeval and scikit-learn, and what is refused."""

from __future__ import annotations

import json
import random
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seqeval.metrics
from sklearn.metrics import accuracy_score, ndcg_score
from typer.testing import CliRunner

from tests.helpers.layout import sentence_file, write_file, write_task
from xglue_harness import metrics
from xglue_harness.benchmark import TASKS, Kind, TaskSpec
from xglue_harness.cli import app as cli
from xglue_harness.data import open_source
from xglue_harness.errors import DataError
from xglue_harness.official_metrics import entity_f1, tag_precision
from xglue_harness.submission.files import relative_path, render
from xglue_harness.submission.score import score_folder

NER, POS, WPR, XNLI = (TASKS[name] for name in ("ner", "pos", "wpr", "xnli"))

pytestmark = pytest.mark.filterwarnings("ignore:.*seems not to be NE tag")


def gold_of(spec: TaskSpec, language: str, split: str = "test", data: str = "sample") -> list[Any]:
    return list(open_source(data).load(spec, split, language).dataset[spec.label_column][:])


def write(folder: Path, spec: TaskSpec, language: str, predictions: list[Any]) -> None:
    path = folder / relative_path(spec, language)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(render(spec, predictions))


def write_gold(folder: Path, spec: TaskSpec, split: str = "test", data: str = "sample") -> None:
    for language in open_source(data).available(spec, split):
        write(folder, spec, language, gold_of(spec, language, split, data))


def shuffled(spec: TaskSpec, gold: list[Any], seed: int) -> list[Any]:
    """A third of the labels is drawn anew, from those that there are."""
    rng = random.Random(seed)
    flat = [label for row in gold for label in row] if spec.kind is Kind.TAGGING else gold

    def noisy(label: Any) -> Any:
        return (
            [noisy(x) for x in label]
            if isinstance(label, list)
            else rng.choice(flat)
            if rng.random() < 1 / 3
            else label
        )

    return [noisy(label) for label in gold]


def run(*arguments: object) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, ["score", *map(str, arguments)])


@pytest.mark.parametrize("split", ["test", "dev"])
def test_gold_labels_are_right_in_all_eight_tasks(tmp_path: Path, split: Any) -> None:
    for spec in TASKS.values():
        write_gold(tmp_path, spec, split)
    scores = score_folder(tmp_path, "sample", split)
    assert [found.task for found in scores.tasks] == list(TASKS)
    for found in scores.tasks:
        assert tuple(item.language for item in found.languages) == TASKS[found.task].languages
        assert all(item.score == item.official == 1.0 and item.stderr == 0.0 for item in found.languages)
        assert (found.mean.score, found.mean.official) == (1.0, 1.0)
    assert scores.sample
    assert not scores.partial
    assert scores.mean is not None
    assert scores.mean.official == 1.0


@pytest.mark.parametrize("spec", TASKS.values(), ids=lambda spec: spec.name)
def test_shuffled_predictions_score_as_the_reference_libraries_say(tmp_path: Path, spec: TaskSpec) -> None:
    predictions = {lang: shuffled(spec, gold_of(spec, lang), seed) for seed, lang in enumerate(spec.languages)}
    for language, predicted in predictions.items():
        write(tmp_path, spec, language, predicted)
    (found,) = score_folder(tmp_path, "sample").tasks
    for item in found.languages:
        gold, predicted = gold_of(spec, item.language), predictions[item.language]
        ours, official = reference(spec, item.language, gold, predicted)
        assert item.score == pytest.approx(ours, abs=1e-12)
        tagging = spec.kind is Kind.TAGGING
        assert (item.official_seqeval1 if tagging else item.official) == pytest.approx(official, abs=1e-12)
        assert item.official_rule == ("seqeval 0.0.12" if tagging else "ndcg" if spec is WPR else "accuracy")
        if tagging:
            named = ([[spec.labels[i] for i in row] for row in rows] for rows in (gold, predicted))
            assert item.official == (entity_f1 if spec is NER else tag_precision)(*named)
        else:
            assert item.official_seqeval1 is None
        assert item.rows == len(gold)
        assert item.stderr is not None
        assert item.stderr > 0
    assert found.mean.score == pytest.approx(np.mean([item.score for item in found.languages]), abs=1e-12)
    assert found.mean.official == pytest.approx(np.mean([item.official for item in found.languages]), abs=1e-12)
    errors = np.array([item.stderr for item in found.languages])
    assert found.mean.stderr == pytest.approx(np.sqrt((errors**2).sum()) / len(errors), abs=1e-12)


def reference(spec: TaskSpec, language: str, gold: list[Any], predicted: list[Any]) -> tuple[float, float | None]:
    """Our score and the official one of today by other means; that of 0.0.12 differs in POS."""
    if spec.kind is Kind.RANKING:
        texts = open_source("sample").load(spec, "test", language).dataset["query"][:]
        groups = [[*group] for _, group in groupby(zip(texts, gold, predicted, strict=True), key=lambda row: row[0])]
        values = [ndcg_score([[g for _, g, _ in rows]], [[p for _, _, p in rows]]) for rows in groups if len(rows) > 1]
        return float(np.mean(values)), float(np.mean(values))
    if spec.kind is not Kind.TAGGING:
        return accuracy_score(gold, predicted), accuracy_score(gold, predicted)
    named = [[[spec.labels[i] for i in row] for row in rows] for rows in (gold, predicted)]
    if spec is NER:
        return seqeval.metrics.f1_score(*named), seqeval.metrics.f1_score(*named)
    return seqeval.metrics.accuracy_score(*named), seqeval.metrics.precision_score(*named)


def test_queries_of_one_row_need_a_prediction_and_count_for_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_file(data, WPR, "test", "de", sentence_file(WPR, "test", "de", rows=5))
    assert gold_of(WPR, "de", data=str(data)) == [0, 1, 2, 3, 4]
    write(tmp_path / "p", WPR, "de", [0, 1, 3, 2, 0])
    (item,) = score_folder(tmp_path / "p", str(data)).tasks[0].languages
    values = [1.0, ndcg_score([[2, 3]], [[3, 2]])]
    assert (item.rows, item.single_row_queries) == (5, 1)
    assert item.score == item.official == pytest.approx(np.mean(values), abs=1e-12)
    assert item.stderr == pytest.approx(metrics.mean_stderr(values), abs=1e-12)
    assert (
        "WPR de: queries of one row count for no score: 1"
        in run("--predictions", tmp_path / "p", "--data", data).output
    )
    write_file(data, WPR, "test", "de", sentence_file(WPR, "test", "de", rows=1))
    write(tmp_path / "p", WPR, "de", [0])
    with pytest.raises(DataError, match="no query of the data has two rows"):
        score_folder(tmp_path / "p", str(data))


def test_one_row_has_no_standard_error(tmp_path: Path) -> None:
    write_file(tmp_path / "data", XNLI, "test", "de", b"a\tb\tneutral\n")
    write(tmp_path / "p", XNLI, "de", [1])
    found = score_folder(tmp_path / "p", str(tmp_path / "data")).tasks[0]
    assert found.languages[0].stderr is found.mean.stderr is None
    output = run("--predictions", tmp_path / "p", "--data", tmp_path / "data").output
    assert "N/A" in output
    assert "mean of 1 of 15" in output


# What is refused


def test_missing_languages_are_all_named(tmp_path: Path) -> None:
    write_gold(tmp_path, NER)
    (tmp_path / "NER/de.prediction").unlink()
    (tmp_path / "NER/nl.prediction").unlink()
    message = r"no NER/de.prediction, NER/nl.prediction, though the data have the test sets: .*--allow-partial"
    with pytest.raises(DataError, match=message):
        score_folder(tmp_path, "sample")
    scores = score_folder(tmp_path, "sample", allow_partial=True)
    assert scores.missing == ("NER/de.prediction", "NER/nl.prediction")
    assert [item.language for item in scores.tasks[0].languages] == ["en", "es"]
    with pytest.raises(DataError, match=r"no XNLI/ar.prediction, .*XNLI/zh.prediction"):
        score_folder(tmp_path, "sample", tasks=["xnli"])


def test_strange_files_are_named(tmp_path: Path) -> None:
    write_gold(tmp_path, NER)
    (tmp_path / "NER/xx.prediction").touch()
    (tmp_path / "PAWS-X").mkdir()
    (tmp_path / "PAWS-X/de.prediction").touch()
    for allow_partial in (False, True):
        with pytest.raises(DataError) as caught:
            score_folder(tmp_path, "sample", allow_partial=allow_partial)
        expected = (
            "NER/xx.prediction, PAWS-X/de.prediction: no language or no task of XGLUE; expected NC/{de,en,es,fr,ru}"
        )
        assert expected in str(caught.value)
    (tmp_path / "NER/xx.prediction").unlink()
    assert score_folder(tmp_path, "sample", tasks=["ner"]).mean is None


def test_a_language_that_the_task_does_not_have_is_said_and_left_out(tmp_path: Path) -> None:
    write_gold(tmp_path, NER)
    (tmp_path / "NER/fr.prediction").touch()
    assert score_folder(tmp_path, "sample").warnings == (
        "NER/fr.prediction: left out: XGLUE has no such task and language",
    )
    (tmp_path / "NER/nl.prediction").rename(tmp_path / "NER/it.prediction")
    with pytest.raises(DataError, match=r"no NER/nl.prediction"):  # what it should have been is missed
        score_folder(tmp_path, "sample")


def test_data_of_other_row_counts_are_marked(tmp_path: Path) -> None:
    write_file(tmp_path / "data", XNLI, "test", "de", b"a\tb\tneutral\nc\td\tneutral\n")
    write(tmp_path / "p", XNLI, "de", [1, 1])
    scores = score_folder(tmp_path / "p", str(tmp_path / "data"))
    assert scores.unofficial == ("XNLI/de.test: 2 rows; the official data have 5010",)
    output = run("--predictions", tmp_path / "p", "--data", tmp_path / "data").output
    assert "(test, UNOFFICIAL data)" in output
    assert "UNOFFICIAL data: scores do not compare with those on XGLUE: XNLI/de.test: 2 rows" in output
    write_gold(tmp_path / "toy", NER)
    assert score_folder(tmp_path / "toy", "sample").unofficial == ()


def test_the_other_tasks_of_xglue_and_hidden_files_are_left_alone(tmp_path: Path) -> None:
    write_gold(tmp_path, NER)
    for name in ("MLQA/de.prediction", "QG/de.prediction", "NER/._de.prediction", "NER/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [found.task for found in score_folder(tmp_path, "sample").tasks] == ["ner"]


def test_predictions_that_the_data_have_no_labels_for(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_task(data, NER, ["de", "en"])
    predictions = tmp_path / "p"
    write_gold(predictions, NER, data=str(data))
    (predictions / "NER/es.prediction").touch()
    (predictions / "XNLI").mkdir()
    with pytest.raises(DataError, match=r"XNLI, NER/es.prediction: the data \(.*data\) have no such test sets"):
        score_folder(predictions, str(data))
    scores = score_folder(predictions, str(data), allow_partial=True)
    assert scores.left_out == ("XNLI", "NER/es.prediction")
    assert scores.partial
    with pytest.raises(DataError, match="nothing to score: the data have none of the test sets"):
        score_folder(predictions, str(data), tasks=["xnli"], allow_partial=True)


def test_no_predictions_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such folder; expected one with files such as NER/de.prediction"):
        score_folder(tmp_path / "nowhere", "sample")
    with pytest.raises(DataError, match="no predictions of any task; expected folders named NC, XNLI, PAWSX"):
        score_folder(tmp_path, "sample")
    with pytest.raises(DataError, match="no XGLUE task mlqa; expected some of nc, xnli"):
        score_folder(tmp_path, "sample", tasks=["mlqa", "nc"])


def test_a_bad_line_is_named_with_its_file(tmp_path: Path) -> None:
    write_gold(tmp_path, XNLI)
    path = tmp_path / "XNLI/de.prediction"
    path.write_text("neutral\nperhaps\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"^{path}:2: unknown label 'perhaps'"):
        score_folder(tmp_path, "sample")


# The command


def test_the_table_and_the_json(tmp_path: Path) -> None:
    for spec in TASKS.values():
        write_gold(tmp_path, spec)
    write(tmp_path, POS, "en", shuffled(POS, gold_of(POS, "en"), 0))
    english = score_folder(tmp_path, "sample", tasks=["pos"]).tasks[0].languages[4]
    result = run("--predictions", tmp_path, "--data", "sample")
    assert result.exit_code == 0
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.output.splitlines()]
    values = (english.score, english.stderr, english.official, english.official_seqeval1)
    values = [f"{value:.4f}" for value in values]
    assert ["", "en", str(english.rows), "acc", *values] in lines
    assert lines[-3][:2] == ["XGLUE", "mean of 8 tasks"]
    assert result.output.endswith("SAMPLE data: the scores mean nothing\n")
    found = json.loads(run("--predictions", tmp_path, "--data", "sample", "--json").output)
    assert (found["sample"], found["partial"], found["split"]) == (True, False, "test")
    assert found["tasks"][7]["languages"][4] == {
        "language": "en",
        "rows": 60,
        "score": english.score,
        "stderr": english.stderr,
        "official": english.official,
        "official_seqeval1": english.official_seqeval1,
        "official_rule": "seqeval 0.0.12",
        "single_row_queries": None,
    }
    means = [task["mean"] for task in found["tasks"]]
    assert found["mean"]["official"] == pytest.approx(np.mean([mean["official"] for mean in means]))
    later = [mean["official"] if mean["official_seqeval1"] is None else mean["official_seqeval1"] for mean in means]
    assert found["mean"]["official_seqeval1"] == pytest.approx(np.mean(later))


def test_table_and_json_say_what_is_partial(tmp_path: Path) -> None:
    write_gold(tmp_path, NER)
    (tmp_path / "NER/de.prediction").unlink()
    arguments = ("--predictions", tmp_path, "--data", "sample", "--tasks", "ner", "--allow-partial")
    output = run(*arguments).output
    assert "(test, partial, SAMPLE)" in output
    assert "mean of 3 of 4" in output
    assert "partial: no predictions for NER/de.prediction\n" in output
    assert "mean of 8 tasks" not in output
    found = json.loads(run(*arguments, "--json").output)
    assert (found["partial"], found["missing"], found["mean"]) == (True, ["NER/de.prediction"], None)


def test_dev_sets_are_scored_where_they_are_asked_for(tmp_path: Path) -> None:
    write_gold(tmp_path, NER, "dev")
    assert run("--predictions", tmp_path, "--data", "sample", "--split", "dev").exit_code == 0
    assert isinstance(run("--predictions", tmp_path, "--data", "sample").exception, DataError)


def test_an_error_is_one_message_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["score", "--predictions", str(tmp_path), "--data", "sample"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"xglue-harness: {tmp_path}: no predictions of any task; expected")


def test_help_shows_examples() -> None:
    assert "xglue-harness score --predictions submission" in run("--help").output
