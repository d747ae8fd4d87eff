"""Documents and their scores."""

from __future__ import annotations

import pytest
from datasets import Dataset

from xglue_harness import metrics
from xglue_harness.benchmark import TASKS
from xglue_harness.scoring import document_score, documents, queries, rows_of, score, score_stderr

WPR = TASKS["wpr"]
QUERIES = ["q1", "q1", "q2", "q3", "q3", "q1", "q1"]
GRADES = [4, 0, 1, 0, 2, 3, 1]
ROWS = [(query, f"t{i}", f"s{i}", grade) for i, (query, grade) in enumerate(zip(QUERIES, GRADES, strict=True))]


def _wpr():
    return Dataset.from_dict({name: [row[i] for row in ROWS] for i, name in enumerate(WPR.columns)})


def test_queries_are_runs_of_equal_text_and_a_lone_row_counts_for_no_score():
    assert [list(rows) for rows in queries(WPR, _wpr())] == [[0, 1], [2], [3, 4], [5, 6]]
    found = documents(WPR, _wpr())
    assert found["query"][:] == ["q1", "q2", "q3", "q1"]
    assert found[WPR.label_column][:] == [[4, 0], [1], [0, 2], [3, 1]]
    assert [row["web_page_title"] for row in rows_of(WPR, found[2])] == ["t3", "t4"]
    assert document_score(WPR, [1], [3]) is None
    assert score(WPR, [1.0, None, 0.5]) == 0.75
    assert score_stderr(WPR, [1.0, None, 0.5]) == pytest.approx(metrics.mean_stderr([1.0, 0.5]))
    with pytest.raises(ValueError, match="no examples"):
        score(WPR, [None])


def test_each_kind_has_its_score():
    assert document_score(TASKS["xnli"], 2, 2) == 1.0
    assert document_score(TASKS["xnli"], 2, 0) == 0.0
    assert document_score(WPR, [4, 0], [1, 3]) == pytest.approx(metrics.ndcg([4, 0], [1, 3]))
    assert document_score(TASKS["pos"], [1, 2, 3], [1, 0, 3]) == (2, 3)
    person = TASKS["ner"].labels.index("B-PER")
    assert document_score(TASKS["ner"], [0, person], [person, person]) == (2, 3)
    assert score(TASKS["pos"], [(2, 3), (1, 1)]) == 0.75
    assert score(TASKS["nc"], [1.0, 0.0]) == 0.5
