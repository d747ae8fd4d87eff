"""What each shape of task decides, and that a new one is a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from datasets import Dataset

from xglue_harness import kinds, metrics
from xglue_harness.benchmark import TASKS, Kind
from xglue_harness.kinds import KINDS, kind_of
from xglue_harness.kinds.base import TaskKind, joined
from xglue_harness.kinds.classification import Classification
from xglue_harness.scoring import score_predictions

XNLI, WPR, NER, POS = (kind_of(TASKS[name]) for name in ("xnli", "wpr", "ner", "pos"))
QUERIES = ["q1", "q1", "q2", "q3", "q3", "q1", "q1"]
GRADES = [4, 0, 1, 0, 2, 3, 1]
ROWS = [(query, f"t{i}", f"s{i}", grade) for i, (query, grade) in enumerate(zip(QUERIES, GRADES, strict=True))]


def _wpr() -> Dataset:
    return Dataset.from_dict({name: [row[i] for row in ROWS] for i, name in enumerate(WPR.spec.columns)})


def test_every_shape_of_the_table_has_its_class():
    assert set(KINDS) == set(Kind)
    assert {spec.name: type(kind_of(spec)).__name__ for spec in TASKS.values() if spec.kind is not Kind.PAIR} == {
        "nc": "Classification",
        "wpr": "Ranking",
        "ner": "Tagging",
        "pos": "Tagging",
    }


def test_queries_are_runs_of_equal_text_and_a_lone_row_counts_for_no_score():
    queries = WPR.rows_of_documents(_wpr())
    assert [list(rows) for rows in queries] == [[0, 1], [2], [3, 4], [5, 6]]
    found = WPR.documents(_wpr())
    assert found["query"][:] == ["q1", "q2", "q3", "q1"]
    assert found[WPR.spec.label_column][:] == [[4, 0], [1], [0, 2], [3, 1]]
    assert [row["web_page_title"] for row in WPR.rows_of(found[2])] == ["t3", "t4"]
    assert WPR.document_score([1], [3]) is None
    assert WPR.left_out(queries) == WPR.left_out(found[WPR.spec.label_column]) == 1
    assert WPR.score([1.0, None, 0.5]) == 0.75
    assert WPR.stderr([1.0, None, 0.5]) == pytest.approx(metrics.mean_stderr([1.0, 0.5]))
    with pytest.raises(ValueError, match="no examples"):
        WPR.score([None])


def test_values_of_rows_are_put_together_by_document_and_taken_apart_again():
    numbers = [0, 0, 1, 2, 2, 3, 3]
    assert WPR.grouped(numbers, GRADES) == [[4, 0], [1], [0, 2], [3, 1]]
    assert [grade for value in WPR.grouped(numbers, GRADES) for grade in WPR.by_row(value)] == GRADES
    for kind, values in ((XNLI, [2, 0]), (POS, [[1, 2], [3]])):
        assert kind.grouped([0, 1], values) == values
        assert [label for value in values for label in kind.by_row(value)] == values
        assert kind.left_out(values) is None


def test_a_row_of_a_ranking_is_no_document():
    assert WPR.is_row({"query": "q", WPR.spec.label_column: 3})
    assert not WPR.is_row({"query": "q", WPR.spec.label_column: [3]})
    assert NER.is_row({"words": ["a"], "ner": [0]})


def test_a_row_alone_is_a_document():
    dataset = Dataset.from_dict({"premise": ["a", "b"], "hypothesis": ["c", "d"], "label": [0, 1]})
    assert XNLI.rows_of_documents(dataset) == [range(1), range(1, 2)]
    assert XNLI.documents(dataset) is dataset
    assert list(XNLI.rows_of(dataset[0])) == [dataset[0]]


def test_each_kind_has_its_score():
    assert XNLI.document_score(2, 2) == 1.0
    assert XNLI.document_score(2, 0) == 0.0
    assert WPR.document_score([4, 0], [1, 3]) == pytest.approx(metrics.ndcg([4, 0], [1, 3]))
    assert POS.document_score([1, 2, 3], [1, 0, 3]) == (2, 3)
    person = NER.spec.labels.index("B-PER")
    assert NER.document_score([0, person], [person, person]) == (2, 3)
    assert POS.score([(2, 3), (1, 1)]) == 0.75
    assert kind_of(TASKS["nc"]).score([1.0, 0.0]) == 0.5


def test_a_standard_error_that_is_not_defined_is_none():
    assert XNLI.stderr([1.0]) is None
    assert POS.stderr([(1.0, 2.0)]) is None
    assert XNLI.stderr([1.0, 0.0]) == 0.5


def test_texts_of_each_kind():
    assert XNLI.text({"premise": "a", "hypothesis": "b"}) == "a\nb"
    assert XNLI.row_text({"premise": "a", "hypothesis": ""}) == "a"
    assert WPR.text(WPR.documents(_wpr())[0]) == "q1\nt0 s0\nt1 s1"
    assert WPR.row_text(_wpr()[1]) == "q1 t1 s1"
    assert POS.text({"words": ["a", "b"]}) == POS.row_text({"words": ["a", "b"]}) == "a b"
    assert joined({"a": "", "b": "x", "c": "y"}, ("a", "b", "c")) == "x y"


def test_labels_of_each_kind():
    assert XNLI.label_count(2) == 1
    assert POS.label_count([1, 2, 3]) == 3
    assert XNLI.column_type(pa.string()) == pa.string()
    assert str(POS.column_type(pa.string(), "element")) == "list<element: string>"
    assert XNLI.official_lines(1, "abc") == ["b"]
    assert POS.official_lines([2, 0], "abc") == ["c", "a", ""]
    assert POS.filled_row("N/A") == {"words": ["N/A"], "pos": [0]}
    assert XNLI.filled_row("N/A") == {"premise": "N/A", "hypothesis": "N/A", "label": 0}


def test_a_new_shape_is_a_class_and_an_entry(monkeypatch: pytest.MonkeyPatch):
    class WithinOne(Classification):
        """A grade that may be wrong by one."""

        def document_score(self, gold: Any, predicted: Any) -> float:
            return float(abs(gold - predicted) <= 1)

    monkeypatch.setattr(kinds, "KINDS", {**KINDS, "graded": WithinOne})
    spec = replace(TASKS["xnli"], kind="graded")  # type: ignore[arg-type]
    assert isinstance(kind_of(spec), TaskKind)
    scores = score_predictions(spec, [0, 1, 2], [1, 1, 0])
    assert (scores.score, scores.official.official) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
