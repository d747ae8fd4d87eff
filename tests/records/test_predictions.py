"""Predictions as Parquet: what is written is read, the same bytes every time, and what is wrong is named."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xglue_harness.benchmark import TASKS, Kind
from xglue_harness.errors import DataError
from xglue_harness.records.prediction_cache import copy_saved, save_predictions, saved_predictions
from xglue_harness.records.predictions import Header, RowPredictions, encoded, read


def _predictions(name="nc", rows=3, scores="log_probability"):
    spec = TASKS[name]
    header = Header(task=name, language="en", protocol="finetune", scores=scores, rows=5)
    tagging = spec.kind is Kind.TAGGING
    labels = [[row % 3, 1] if tagging else row % len(spec.labels) for row in range(rows)]
    predicted = [[1, 1] if tagging else 1 for _ in range(rows)]
    values = [[-0.5, -0.25] if tagging else [-0.5] * len(spec.labels) for _ in range(rows)]
    return RowPredictions(header, list(range(rows)), list(range(rows)), labels, predicted, values if scores else None)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("scores", ["log_probability", "log_likelihood", None])
def test_what_is_kept_is_read_and_can_be_copied(name, scores, tmp_path):
    predictions = _predictions(name, scores=scores)
    sha256 = save_predictions(predictions)
    copy_saved(sha256, tmp_path / "there" / "copy.parquet")
    assert read(saved_predictions(sha256)) == read(tmp_path / "there" / "copy.parquet") == predictions
    assert hashlib.sha256((tmp_path / "there" / "copy.parquet").read_bytes()).hexdigest() == sha256
    assert encoded(predictions) == encoded(predictions)
    assert predictions.spec is TASKS[name]
    assert not predictions.complete
    assert _predictions(name, rows=5).complete


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.floats(-50, 0, width=32)), max_size=20))
def test_any_words_come_back(tmp_path_factory, words):
    gold, predicted, scores = (list(column) for column in zip(*words, strict=True)) if words else ([], [], [])
    header = Header(task="ner", language="de", protocol="finetune", scores="log_probability", rows=1)
    written = RowPredictions(header, [0], [0], [gold], [predicted], [scores])
    path = tmp_path_factory.mktemp("words") / "x.parquet"
    path.write_bytes(encoded(written))
    assert read(path) == written


def test_a_reader_of_parquet_needs_no_harness(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(encoded(_predictions("xnli")))
    frame = pq.read_table(path).to_pydict()
    assert frame["label"] == ["entailment", "neutral", "contradiction"]
    assert frame["prediction"] == ["neutral"] * 3
    assert frame["row"] == [0, 1, 2]


def _without_metadata(table):
    return table.replace_schema_metadata(None)


def _of_mlqa(table):
    changed = {key: value.replace(b'"nc"', b'"mlqa"') for key, value in table.schema.metadata.items()}
    return table.replace_schema_metadata(changed)


def _another_class(table):
    place = table.schema.get_field_index("prediction")
    return table.set_column(place, "prediction", pa.array(["news", "weather", "news"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_metadata, "no predictions of xglue-harness"),
        (_of_mlqa, "predictions of mlqa in en, which XGLUE does not have"),
        (lambda table: table.drop_columns(["scores"]), 'no column, or no class of NC: \'Field "scores" does not exist'),
        (_another_class, "no column, or no class of NC: 'weather'"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, change, message):
    path = tmp_path / "x.parquet"
    path.write_bytes(encoded(_predictions()))
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(DataError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


def test_a_damaged_or_missing_file_is_named(tmp_path):
    path = tmp_path / "x.parquet"
    with pytest.raises(DataError, match=r"x\.parquet: can't be read as Parquet"):
        read(path)
    path.write_bytes(encoded(_predictions())[:-40])
    with pytest.raises(DataError, match=r"x\.parquet: can't be read as Parquet"):
        read(path)


def test_a_cache_that_can_t_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot write the cache folder"):
        save_predictions(_predictions())
