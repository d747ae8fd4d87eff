"""Submissions from results and the predictions beside them; every way in which they may not fit."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from xglue_harness.atomic import replacing
from xglue_harness.benchmark import TASKS, Kind, TaskSpec
from xglue_harness.cli import app as cli
from xglue_harness.data import open_source
from xglue_harness.errors import DataError
from xglue_harness.records.prediction_cache import save_predictions, saved_predictions
from xglue_harness.records.predictions import Header, RowPredictions, encoded
from xglue_harness.submission.export import export
from xglue_harness.submission.files import read
from xglue_harness.submission.score import score_folder

DATE = "2025-01-31T12-00-00.000000"
NER, NC, XNLI, WPR = (TASKS[name] for name in ("ner", "nc", "xnli", "wpr"))


def predictions_of(spec: TaskSpec, language: str, **header: Any) -> RowPredictions:
    """The gold labels of the sample as predictions, unless told otherwise."""
    gold = open_source("sample").load(spec, "test", language).dataset[spec.label_column][:]
    facts = {"task": spec.name, "language": language, "protocol": "finetune", "scores": None, "rows": len(gold)}
    return RowPredictions(Header(**{**facts, **header}), range(len(gold)), range(len(gold)), gold, gold, None)


def record_of(rows: RowPredictions, /, **changes: Any) -> dict[str, Any]:
    """What the record of a run says that an export reads."""
    return {
        "protocol": "finetune",
        "task": rows.header.task,
        "target_language": rows.header.language,
        "SAMPLE": True,
        "backbone": {"name": "some/encoder", "encoder_sha256": "a" * 64},
        "predictions": {"sha256": save_predictions(rows), "rows": len(rows.rows), "total": rows.header.rows},
        **changes,
    }


def write_results(folder: Path, records: list[dict[str, Any]], name: str = "results", beside: bool = True) -> Path:
    """A results file as lm_eval names it and, beside it or only in the cache, the predictions."""
    folder.mkdir(parents=True, exist_ok=True)
    leaves = {f"xglue_{record['task']}_zs_{record['target_language']}": record for record in records}
    configs: dict[str, Any] = {leaf: {"metadata": {"version": 1, "xglue": record}} for leaf, record in leaves.items()}
    path = folder / f"{name}_{DATE}.json"
    path.write_text(json.dumps({"results": {}, "configs": configs}), encoding="utf-8")
    for leaf, record in leaves.items() if beside else ():
        with replacing(folder / f"predictions_{leaf}_{DATE}.parquet") as temporary:
            temporary.write_bytes(saved_predictions(record["predictions"]["sha256"]).read_bytes())
    return path


def one(folder: Path, **changes: Any) -> Path:
    """Results with one record, of NER in German."""
    return write_results(folder, [record_of(predictions_of(NER, "de"), **changes)])


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("beside", [True, False])
def test_a_whole_submission_and_its_score(tmp_path: Path, beside: bool) -> None:
    for spec in TASKS.values():
        records = [record_of(predictions_of(spec, language)) for language in spec.languages]
        write_results(tmp_path / "results" / spec.name, records, beside=beside)
    summary = export([tmp_path / "results"], tmp_path / "new" / "submission")
    assert len(summary.files) == 59
    assert (summary.missing, summary.sample, summary.model) == ((), True, "some/encoder")
    assert summary.unofficial == ()
    scores = score_folder(tmp_path / "new" / "submission", "sample")
    assert scores.mean is not None
    assert scores.mean.score == scores.mean.official == 1.0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["submission"]


def test_rows_stand_in_the_order_of_the_data(tmp_path: Path) -> None:
    predictions = predictions_of(WPR, "de")
    export([write_results(tmp_path, [record_of(predictions)])], tmp_path / "s")
    data = (tmp_path / "s/WPR/de.prediction").read_bytes()
    assert read(data, WPR, [1] * len(predictions.rows), "x") == predictions.predictions
    assert set(data.decode()) == set("01234\n")


def test_files_of_any_name_and_results_of_prompts(tmp_path: Path) -> None:
    """``--output_path x.json`` writes ``x_<date>.json`` and the predictions beside it."""
    record = record_of(predictions_of(NC, "fr"), protocol="prompt", model={"name": "some/model"})
    del record["backbone"]
    path = write_results(tmp_path / "r", [record], name="my_results")
    saved_predictions(record["predictions"]["sha256"]).unlink()
    (tmp_path / "empty").mkdir()
    summary = export([path], tmp_path / "empty")
    assert (summary.protocol, summary.model, summary.files) == ("prompt", "some/model", ("NC/fr.prediction",))
    assert len(summary.missing) == 58


def test_what_is_missing_is_listed(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, ["export", str(one(tmp_path)), str(tmp_path / "s")])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == f"{tmp_path}/s: 1 of 59 files of some/encoder (finetune)"
    assert lines[1].startswith("missing for a full submission: NC, XNLI, PAWS-X, ")
    assert "NER (en, es, nl)" in lines[1]
    assert lines[2].startswith("SAMPLE data")


def test_results_without_a_record_of_ours_are_passed_over_in_folders(tmp_path: Path) -> None:
    one(tmp_path / "a")
    other = tmp_path / "a" / "results_2024.json"
    other.write_text('{"configs": {"mmlu": {"metadata": {"version": 1}}, "arc": {}}}')
    export([tmp_path / "a"], tmp_path / "s")
    with pytest.raises(
        DataError, match=r"results_2024.json: no record of xglue-harness in it; expected results of lm_eval"
    ):
        export([other], tmp_path / "t")
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match=r"b: no record of xglue-harness in the 0 files named results\*.json"):
        export([tmp_path / "a", tmp_path / "b"], tmp_path / "t")


def test_the_same_predictions_twice_are_one(tmp_path: Path) -> None:
    one(tmp_path / "a", backbone={"name": "by/another/path", "encoder_sha256": "a" * 64})
    one(tmp_path / "b")
    assert export([tmp_path], tmp_path / "s").files == ("NER/de.prediction",)


# What is refused


def refused(results: list[Path], folder: Path, match: str) -> None:
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(DataError, match=match):
        export(results, folder)
    assert sorted(folder.parent.rglob("*")) == before, "something was left behind"


def test_results_of_two_models(tmp_path: Path) -> None:
    first = one(tmp_path / "a")
    for number, (record, match) in enumerate(
        [
            ({"backbone": {"name": "other", "encoder_sha256": "b" * 64}}, r"other \(protocol finetune, encoder b{64}"),
            ({"protocol": "prompt", "model": {"name": "m"}}, r"m \(protocol prompt, model m"),
            ({"SAMPLE": False}, r"some/encoder \(protocol finetune, encoder a{64}, real data\), but .*SAMPLE data"),
        ]
    ):
        second = write_results(tmp_path / f"b{number}", [record_of(predictions_of(NC, "de"), **record)])
        refused([first, second], tmp_path / "s", rf"{second}: xglue_nc_zs_de: {match}.*expected results of one model")


def test_two_predictions_of_one_language(tmp_path: Path) -> None:
    first = one(tmp_path / "a")
    gold = predictions_of(NER, "de")
    other = RowPredictions(gold.header, gold.documents, gold.rows, gold.labels, [*gold.predictions[::-1]], None)
    second = write_results(tmp_path / "b", [record_of(other)])
    match = f"{second}: xglue_ner_zs_de: other predictions than {first}: xglue_ner_zs_de for the same task and language"
    refused([first, second], tmp_path / "s", match)


def test_incomplete_predictions(tmp_path: Path) -> None:
    gold = predictions_of(NER, "de")
    some = RowPredictions(gold.header, gold.documents[:5], gold.rows[:5], gold.labels[:5], gold.predictions[:5], None)
    path = write_results(tmp_path / "a", [record_of(some)])
    refused([path], tmp_path / "s", f"{path}: xglue_ner_zs_de: predictions of 5 of 60 rows; .*without --limit")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"predictions": None}, "no predictions are kept with this result; run it again"),
        ({"task": "mlqa"}, r"xglue_mlqa_zs_de: no record of xglue-harness: KeyError\('mlqa'\)"),
        ({"target_language": "fr"}, "no record of xglue-harness: KeyError.*no language 'fr'"),
        ({"backbone": None}, "no record of xglue-harness: TypeError"),
        ({"predictions": {"sha256": "a"}}, r"no record of xglue-harness: KeyError\('rows'\)"),
    ],
)
def test_records_that_say_too_little(tmp_path: Path, changes: dict[str, Any], match: str) -> None:
    path = write_results(tmp_path / "a", [record_of(predictions_of(NER, "de"), **changes)], beside=False)
    refused([path], tmp_path / "s", f"{path}: .*{match}")


def test_files_that_are_no_results(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[1, 2")
    (tmp_path / "y.json").write_text('{"configs": [1]}')
    for name in ("x.json", "y.json", "nowhere.json"):
        refused([tmp_path / name], tmp_path / "s", f"{name} is no results file of lm_eval")


def test_predictions_that_are_nowhere(tmp_path: Path) -> None:
    path = one(tmp_path / "a")
    beside = tmp_path / "a" / f"predictions_xglue_ner_zs_de_{DATE}.parquet"
    beside.unlink()
    export([path], tmp_path / "in the cache")
    for cached in (tmp_path / "cache" / "predictions").iterdir():
        cached.unlink()
    refused(
        [path], tmp_path / "s", rf"{path}: xglue_ner_zs_de: its predictions are neither in {beside} nor in the cache"
    )


def test_predictions_that_were_edited(tmp_path: Path) -> None:
    path = one(tmp_path / "a")
    beside = tmp_path / "a" / f"predictions_xglue_ner_zs_de_{DATE}.parquet"
    beside.write_bytes(encoded(predictions_of(NER, "en")))
    refused(
        [path],
        tmp_path / "s",
        rf"{beside}: sha256 [0-9a-f]{{64}}; expected [0-9a-f]{{64}}, as {path}: xglue_ner_zs_de says",
    )


@pytest.mark.parametrize(
    ("spec", "language", "header"), [(NER, "en", {}), (XNLI, "de", {}), (NER, "de", {"split": "dev"})]
)
def test_predictions_of_something_else(tmp_path: Path, spec: TaskSpec, language: str, header: dict[str, Any]) -> None:
    other = predictions_of(spec, language, **header)
    path = one(tmp_path / "a", predictions={"sha256": save_predictions(other), "rows": 60, "total": 60})
    match = rf"60 rows of {spec.name} in {language} \({other.header.split}\); expected the 60 of ner in de \(test\)"
    refused([path], tmp_path / "s", match)


def test_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    path = one(tmp_path / "a")
    refused([path], tmp_path / "a", "a: the folder is not empty; expected a new or an empty one")
    refused([path], path, "is not a folder; expected a new or an empty one")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = one(tmp_path / "a")

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    (tmp_path / "place").mkdir()
    monkeypatch.setattr(Path, "write_bytes", full)
    refused([path], tmp_path / "place" / "s", "cannot write .*/s: No space left on device; nothing was left behind")


def test_an_error_is_one_message_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["export", str(tmp_path / "nowhere.json"), str(tmp_path / "s")])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"xglue-harness: {tmp_path}/nowhere.json is no results file of lm_eval")


def test_tagging_is_written_sentence_by_sentence(tmp_path: Path) -> None:
    assert NER.kind is Kind.TAGGING
    export([one(tmp_path)], tmp_path / "s")
    blocks = (tmp_path / "s/NER/de.prediction").read_text(encoding="utf-8").split("\n\n")
    assert blocks.pop() == ""
    gold = predictions_of(NER, "de").predictions
    assert [block.split("\n") for block in blocks] == [[NER.labels[i] for i in row] for row in gold]
