"""Errors by class against scikit-learn's and seqeval's own, the rows on which two runs differ, and the files."""

from __future__ import annotations

import csv
import io
import itertools
import json
from dataclasses import replace

import pytest
from seqeval.metrics import classification_report
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from typer.testing import CliRunner

from tests.helpers.sweeps import EXAMPLE, write_results
from xglue_harness.benchmark import TASKS
from xglue_harness.cli.results import app
from xglue_harness.data.resolve import open_source
from xglue_harness.errors import DataError
from xglue_harness.results.error_files import Sample, as_csv, class_rows, confusion_rows, page, write
from xglue_harness.results.errors import Disagreement, breakdowns, disagreements
from xglue_harness.results.reading import read_runs


def _runs(backbone, task, seed=1):
    return read_runs([EXAMPLE / "results" / backbone / "toy" / str(seed) / f"{task}.json"])


def _flat(values):
    return [*itertools.chain.from_iterable(value if isinstance(value, list) else [value] for value in values)]


@pytest.mark.parametrize("task", ["nc", "xnli", "wpr", "pos"])
def test_classes_and_confusions_are_those_of_scikit_learn(task):
    labels = TASKS[task].labels
    for item in breakdowns({"": _runs("tiny-lm", task)}):
        predictions = item.run.read_predictions()
        gold = [labels[number] for number in _flat(predictions.labels)]
        said = [labels[number] for number in _flat(predictions.predictions)]
        names = [one.name for one in item.classes]
        assert {*names} == {*gold, *said}
        expected = precision_recall_fscore_support(gold, said, labels=names, zero_division=0)
        for one, precision, recall, f1, support in zip(item.classes, *expected, strict=True):
            assert (one.precision, one.recall, one.f1, one.support) == pytest.approx((precision, recall, f1, support))
            assert one.predicted == said.count(one.name)
            assert one.right == sum(g == s == one.name for g, s in zip(gold, said, strict=True))
        assert item.labels == tuple(names)
        assert [*map(list, item.confusion)] == confusion_matrix(gold, said, labels=names).tolist()


def test_entity_types_are_those_of_seqeval():
    labels = TASKS["ner"].labels
    for item in breakdowns({"": [*_runs("tiny-lm", "ner"), *_runs("tiny-mt", "ner", 2)]}):
        predictions = item.run.read_predictions()
        gold, said = (
            [[labels[tag] for tag in tags] for tags in values]
            for values in (predictions.labels, predictions.predictions)
        )
        report = classification_report(gold, said, output_dict=True, zero_division=0)
        for one in item.classes:
            expected = report[one.name]
            numbers = (expected["precision"], expected["recall"], expected["f1-score"], expected["support"])
            assert (one.precision, one.recall, one.f1, one.support) == pytest.approx(numbers)
        assert {one.name for one in item.classes} == {*report} - {"micro avg", "macro avg", "weighted avg"}
        right, predicted, support = (
            sum(getattr(one, f) for one in item.classes) for f in ("right", "predicted", "support")
        )
        assert item.run.score.value == pytest.approx(2 * right / (predicted + support) if right else 0)
        assert item.unit == "entities"
        words = (
            [labels[tag] for tag in _flat(predictions.labels)],
            [labels[tag] for tag in _flat(predictions.predictions)],
        )
        assert [*map(list, item.confusion)] == confusion_matrix(*words, labels=[*item.labels]).tolist()


def test_english_comes_first_and_titles_tell_sets_apart():
    found = breakdowns({"A": _runs("tiny-lm", "pawsx"), "B": _runs("tiny-lm", "pawsx", 2)})
    assert [(item.run.language, item.title) for item in found][:2] == [
        ("en", "A: tiny-lm, seed 1"),
        ("en", "B: tiny-lm, seed 2"),
    ]


# Rows on which two runs differ


@pytest.mark.parametrize("task", ["pawsx", "ner", "wpr"])
def test_a_sample_is_of_rows_that_differ_with_their_texts(task):
    spec = TASKS[task]
    a, b = _runs("tiny-lm", task), _runs("tiny-mt", task)
    source = open_source("sample")
    drawn = disagreements(a, b, 3, source=source)
    assert drawn == disagreements(a, b, 3, source=source)
    assert drawn != disagreements(a, b, 3, seed=1, source=source)
    for first, second in zip(a, b, strict=True):
        one, other = first.read_predictions(), second.read_predictions()
        differ = {row for row in one.rows if one.predictions[row] != other.predictions[row]}
        rows = [item for item in drawn if item.language == first.language]
        assert len(rows) == min(3, len(differ))
        dataset = source.load(spec, "test", first.language).dataset
        for item in rows:
            assert item.row in differ
            for told, values in ((item.gold, one.labels), (item.a, one.predictions), (item.b, other.predictions)):
                assert [*told] == [spec.labels[number] for number in _flat([values[item.row]])]
            row = dataset[item.row]
            if task == "ner":
                assert [*item.text] == row["words"]
                assert [word[0] for word in item.words] == row["words"]
                assert any(word[4] for word in item.words)
            else:
                assert all(row[name] in item.text for name in (*spec.text_a, *spec.text_b))
    every = disagreements(a, b, 10_000)
    assert {item.text for item in every} == {None}
    assert len(every) >= len(drawn)


def test_other_data_than_the_runs_are_refused(tmp_path):
    a, b = _runs("tiny-lm", "pawsx"), _runs("tiny-mt", "pawsx")
    folder = tmp_path / "data"
    for run in a:
        path = folder / run.spec.path("test", run.language)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = open_source("sample").content(run.spec, "test", run.language).decode().splitlines(keepends=True)
        path.write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(DataError, match=r"--data .*PAWSX/.* has other gold labels than .*; give the data"):
        disagreements(a, b, 2, source=open_source(str(folder)))


def test_an_entry_of_the_store_has_no_errors_to_show():
    with pytest.raises(DataError, match="no predictions of test sets"):
        breakdowns({"": [replace(run, split="dev") for run in _runs("tiny-lm", "pawsx")]})


# Files

HOSTILE = "<script>alert(1)</script> & \"'"


def test_the_page_escapes_what_others_wrote():
    (item, *_) = breakdowns({"": _runs("tiny-lm", "pawsx")})
    told = [
        Disagreement("pawsx", "en", 3, ("0",), ("1",), ("0",), HOSTILE),
        Disagreement("ner", "en", 4, ("O",), ("B-PER",), ("O",), (HOSTILE,)),
    ]
    text = page([replace(item, title=HOSTILE)], Sample(HOSTILE, HOSTILE, 2, told))
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;&#39;") == 5
    assert "SAMPLE data" in text


def test_the_page_has_every_number_of_the_tables():
    found = breakdowns({"": _runs("tiny-lm", "ner")})
    text = page(found, None)
    for item in found:
        for one in item.classes:
            cells = f"{100 * one.precision:.1f}<td>{100 * one.recall:.1f}<td>{100 * one.f1:.1f}<td>{one.support}"
            assert f'<tr><th scope="row">{one.name}<td>{cells}<td>{one.predicted}<td>{one.right}</tr>' in text
        for count in {count for counts in item.confusion for count in counts if count}:
            assert f'">{count}' in text


def test_csv_has_the_same_numbers():
    found = breakdowns({"": _runs("tiny-lm", "pawsx")})
    rows = [*csv.DictReader(io.StringIO(as_csv(class_rows(found))))]
    classes = [one for item in found for one in item.classes]
    assert [(row["class"], float(row["f1"]), int(row["support"])) for row in rows] == [
        (one.name, one.f1, one.support) for one in classes
    ]
    counts = [*csv.DictReader(io.StringIO(as_csv(confusion_rows(found))))]
    assert sum(int(row["count"]) for row in counts) == sum(len(item.run.read_predictions().rows) for item in found)
    assert as_csv([]) == ""


def test_files_are_written_whole(tmp_path):
    found = breakdowns({"": _runs("tiny-lm", "pawsx")})
    names = [path.name for path in write(found, None, tmp_path / "new")]
    assert names == ["errors.html", "errors_classes.csv", "errors_confusion.csv"]
    assert {path.name for path in (tmp_path / "new").iterdir()} == {*names}


def test_the_command_prints_the_worst_class_and_writes_the_files(tmp_path):
    write_results(tmp_path / "a", "tiny-lm", "ner", 1)
    write_results(tmp_path / "b", "tiny-lm", "ner", 2)

    def invoke(*arguments):
        result = CliRunner().invoke(app, ["errors", *map(str, arguments)], catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    printed = invoke(tmp_path / "a", tmp_path / "b", "--data", "sample", "--output", tmp_path / "out")
    assert printed.count("written: ") == 4
    (item, *_) = breakdowns({"": read_runs([tmp_path / "a"])})
    worst = min((one for one in item.classes if one.support), key=lambda one: one.f1)
    line = next(line for line in printed.splitlines() if " en " in line)
    assert line.split()[-5:] == [
        worst.name,
        *(f"{100 * value:.1f}" for value in (worst.f1, worst.precision, worst.recall)),
        str(worst.support),
    ]
    content = json.loads(invoke(tmp_path / "a", tmp_path / "b", "--json"))
    assert {row["run"][0] for row in content["classes"]} == {"A", "B"}
    assert content["disagreements"]
    assert json.loads(invoke(tmp_path / "a", "--json"))["disagreements"] is None
