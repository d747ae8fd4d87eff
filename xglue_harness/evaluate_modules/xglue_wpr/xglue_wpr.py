"""Web page ranking as XGLUE scores it."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from xglue_harness.metrics import mean, mean_stderr, ndcg
from xglue_harness.official_metrics import ranking_ndcg, rankings

_DESCRIPTION = """\
Mean nDCG over queries (XGLUE's WPR), with linear gains and ties averaged, and its standard error. Rows of a query
stand together; queries of one row have no ranking and are left out. "official" is what XGLUE's own evaluator gives, the
same number: a submission should hold the predicted class, 0 to 4, but it takes any numbers.
"""
_CITATION = """\
@article{liang2020xglue,
  title={XGLUE: A New Benchmark Dataset for Cross-lingual Pre-training, Understanding and Generation},
  author={Liang, Yaobo and others}, journal={arXiv preprint arXiv:2004.01401}, year={2020}}
@article{jarvelin2002cumulated,
  title={Cumulated gain-based evaluation of IR techniques},
  author={J{\\"a}rvelin, Kalervo and Kek{\\"a}l{\\"a}inen, Jaana},
  journal={ACM Transactions on Information Systems}, volume={20}, number={4}, year={2002}}
"""
_INPUTS = """\
Args:
    predictions: score of each row, higher is better; or its class, 0 to 4.
    references: gold grade of each row, 0 to 4.
    queries: text, or any name, of the query of each row.

Returns:
    "ndcg", from 0 to 1; "ndcg_stderr", its standard error (NaN for one query); "official".

Raises:
    ValueError: no query has two rows, a score is not finite, or a grade is negative or no whole number.

Examples:
    >>> import evaluate
    >>> from xglue_harness.evaluate_modules import path
    >>> wpr = evaluate.load(path("wpr"))
    >>> wpr.compute(predictions=[3, 1, 0, 2], references=[4, 1, 2, 2], queries=["a", "a", "b", "b"])
    {'ndcg': 1.0, 'ndcg_stderr': 0.0, 'official': 1.0}
"""


class XglueWpr(evaluate.Metric):  # type: ignore[misc]
    """See ``_DESCRIPTION`` and ``_INPUTS``."""

    def _info(self) -> Any:
        # Grades are read as they are and checked: for int64 a 1.5 would become 1 without a word.
        columns = {"predictions": "float64", "references": "float64", "queries": "string"}
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({name: datasets.Value(kind) for name, kind in columns.items()}),
        )

    def _compute(self, predictions: list[float], references: list[float], queries: list[str]) -> dict[str, float]:
        if odd := [grade for grade in references if not grade.is_integer()]:
            raise ValueError(f"references must be grades, 0 to 4: found {odd[0]}")
        official = ranking_ndcg(queries, references, predictions)
        ranked = [ndcg(g, p) for g, p in rankings(queries, references, predictions) if len(g) > 1]
        return {"ndcg": mean(ranked), "ndcg_stderr": mean_stderr(ranked), "official": official}
