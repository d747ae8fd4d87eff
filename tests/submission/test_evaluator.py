"""XGLUE's evaluator takes more than we do: ``--as-official`` gives its number, or none where it stops.

``evaluator.json`` holds small gold files, prediction files that are mangled in many ways, and what the unmodified
``xglue_evaluate.py`` of microsoft/XGLUE gave for each with numpy 1.23, scikit-learn 1.2 and seqeval 0.0.12: a score, or
null where it ended with a traceback or NaN.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from xglue_harness.benchmark import TASKS
from xglue_harness.cli import app as cli
from xglue_harness.data import open_source
from xglue_harness.errors import DataError
from xglue_harness.submission.evaluator import evaluate, gold_file
from xglue_harness.submission.files import relative_path, render
from xglue_harness.submission.score import LanguageScore, Scores, score_folder

GOLDEN = json.loads(Path(__file__).with_name("evaluator.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def gold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gold")
    for path, text in GOLDEN["gold"].items():
        write(folder / path, text)
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def scored(folder: Path, gold: Path, task: str, text: str, **options: Any) -> tuple[LanguageScore, Scores]:
    write(folder / relative_path(TASKS[task], "de"), text)
    scores = score_folder(folder, str(gold), tasks=[task], **{"as_official": True, **options})
    return scores.tasks[0].languages[0], scores


@pytest.mark.parametrize("task", TASKS)
def test_mangled_files_give_the_evaluators_number(task: str, tmp_path: Path, gold: Path) -> None:
    cases = [case for case in GOLDEN["cases"] if case["task"] == task]
    assert len(cases) == 30
    for case in cases:
        if case["score"] is None:
            with pytest.raises(DataError, match="XGLUE's evaluator stops here, too"):
                scored(tmp_path, gold, task, case["file"])
        else:
            item, _ = scored(tmp_path, gold, task, case["file"])
            assert item.official == pytest.approx(case["score"], abs=1e-12), case["file"]


@pytest.mark.parametrize(
    ("task", "text", "message"),
    [
        ("pawsx", "same\n" + "0\n" * 8, "evaluator reads it otherwise .*: 0.*, where we would say"),
        ("qam", "False\nTrue\n" + "0\n" * 7, "reads it otherwise"),
        ("xnli", "contradictory\n" * 9, "reads it otherwise"),
        ("qadsm", "\ufeffBad\n" + "Bad\n" * 8, "reads it otherwise"),
        ("wpr", "0.5\n" * 9, ":1: unknown label '0.5'.*; scored as XGLUE's evaluator does"),
        ("xnli", "perhaps\n" * 9, "unknown label 'perhaps'.*; scored as XGLUE's evaluator does"),
    ],
)
def test_what_is_read_otherwise_is_said(task: str, text: str, message: str, tmp_path: Path, gold: Path) -> None:
    _, scores = scored(tmp_path, gold, task, text)
    (warning,) = scores.warnings
    assert warning.startswith(f"{tmp_path / relative_path(TASKS[task], 'de')}:")
    assert re.search(message, warning), warning


def test_what_both_read_alike_is_not_warned_of(tmp_path: Path, gold: Path) -> None:
    item, scores = scored(tmp_path, gold, "xnli", "neutral\n" * 9)
    strict, _ = scored(tmp_path, gold, "xnli", "neutral\n" * 9, as_official=False)
    assert scores.warnings == ()
    assert item == strict


@pytest.mark.parametrize("task", TASKS)
def test_rows_that_come_from_no_official_file_are_scored_alike(task: str) -> None:
    spec, source = TASKS[task], open_source("sample")
    dataset = source.load(spec, "test", "de").dataset
    data = render(spec, dataset[spec.label_column][:][::-1])
    content = source.content(spec, "test", "de")
    assert content is not None
    made = gold_file(spec, "test", dataset)
    assert evaluate(data, made, spec, "test", "x") == evaluate(data, content, spec, "test", "x")


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("Frage\tAntwort\tTrue\nFrage\tAntwort\tFalse\n", "True\nFalse\n", 1.0),  # as text they are the same
        ("Frage\tAntwort\tTrue\nFrage\tAntwort\tFalse\n", "1\n0\n", 0.0),
        ("\ufeffFrage\tAntwort\t1\r\nFrage\tAntwort\t0", "1\n0\n", 1.0),
    ],
)
def test_gold_files_are_read_as_loosely(text: str, labels: str, expected: float, tmp_path: Path) -> None:
    write(tmp_path / "gold/QAM/xglue.qam.de.test", text)
    item, _ = scored(tmp_path / "p", tmp_path / "gold", "qam", labels)
    assert item.official == item.score == expected


def test_a_byte_order_mark_parts_the_first_query_of_a_gold_file(tmp_path: Path) -> None:
    rows = "".join(f"{query}\tTitel\tText\t{grade}\n" for query, grade in (("a", 0), ("a", 4), ("b", 4), ("b", 0)))
    for mark, single, official in (("", 0, 0.815), ("\ufeff", 2, 1.0)):
        write(tmp_path / "gold/WPR/xglue.wpr.de.test", mark + rows)
        item, scores = scored(tmp_path / "p", tmp_path / "gold", "wpr", "4\n0\n4\n0\n")
        assert item.single_row_queries == single
        assert item.official == pytest.approx(official, abs=1e-3)
        assert len(scores.warnings) == (mark != "")


def short_and_long(gold: Path) -> tuple[str, str]:
    """Right predictions of POS, the last word of the first long sentence missing; and with one too many there."""
    sentences = (gold / "POS/de.test").read_text(encoding="utf-8").removesuffix("\n\n").split("\n\n")
    place = next(i for i, sentence in enumerate(sentences) if "\n" in sentence)
    tags = [[line.split()[1] for line in sentence.split("\n")] for sentence in sentences]
    short, long = ([*map(list, tags)] for _ in range(2))
    short[place].pop()
    long[place].append("X")
    first, second = ("".join("\n".join(row) + "\n\n" for row in rows) for rows in (short, long))
    return first, second


def test_short_sentences_are_filled_up_and_ours_counts_them_as_wrong(tmp_path: Path, gold: Path) -> None:
    short, long = short_and_long(gold)
    with pytest.raises(DataError, match=r"ends after .* \(--as-official reads the file as XGLUE's evaluator does\)"):
        scored(tmp_path, gold, "pos", short, as_official=False)
    item, scores = scored(tmp_path, gold, "pos", short)
    assert item.official == 1.0
    assert item.score < 1.0
    assert "ends after" in scores.warnings[0]
    item, _ = scored(tmp_path, gold, "pos", long)
    assert item.official < 1.0, "all that follows has moved"
    assert item.official_seqeval1 is None, "which seqeval 1.x does not do"
    assert item.score == 1.0


def test_the_example_submission_is_taken_as_it_is(tmp_path: Path, gold: Path) -> None:
    """Chinese PAWS-X, which has no gold labels, a short sentence, and the other tasks of XGLUE."""
    write(tmp_path / "POS/de.prediction", short_and_long(gold)[0])
    write(tmp_path / "PAWSX/de.prediction", "0\n" * 9)
    for name in ("PAWSX/zh", "NTG/de", "MLQA/vi"):
        write(tmp_path / f"{name}.prediction", "0\n")
    arguments = ["score", "--predictions", str(tmp_path), "--data", str(gold)]
    refused = CliRunner().invoke(cli.app, arguments)
    assert "POS/de.prediction" in str(refused.exception)
    done = CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, [*arguments, "--as-official"])
    assert done.exit_code == 0
    assert "warning: PAWSX/zh.prediction: left out: XGLUE has no such task and language\n" in done.stderr
    assert "POS/de.prediction:" in done.stderr
    assert "as official" in done.stdout
    assert "PAWS-X" in done.stdout
    found = json.loads(CliRunner().invoke(cli.app, [*arguments, "--as-official", "--json"]).stdout)
    assert found["as_official"] is True
    assert len(found["warnings"]) == 2
    assert not found["partial"]


def test_files_that_the_evaluator_never_sees_are_said(tmp_path: Path, gold: Path) -> None:
    write(tmp_path / "PAWS-X/de.prediction", "0\n")
    write(tmp_path / "XNLI/xx.prediction", "0\n")
    with pytest.raises(DataError, match="no language or no task of XGLUE"):
        scored_all(tmp_path, gold, as_official=False)
    assert [warning.split(":")[0] for warning in scored_all(tmp_path, gold, as_official=True).warnings] == [
        "PAWS-X/de.prediction",
        "XNLI/xx.prediction",
    ]


def scored_all(folder: Path, gold: Path, *, as_official: bool) -> Scores:
    write(folder / "XNLI/de.prediction", "neutral\n" * 9)
    return score_folder(folder, str(gold), as_official=as_official)


def test_lines_that_begin_a_document_are_no_words(tmp_path: Path) -> None:
    """Of CoNLL's files: to the evaluator they are blank."""
    gold = tmp_path / "gold"
    write(gold / "NER/de.test", "-DOCSTART- O\n\nEva B-PER\nruft O\n\n")
    item, _ = scored(tmp_path, gold, "ner", "B-PER\nO\n\n")
    assert item.official == 1.0
