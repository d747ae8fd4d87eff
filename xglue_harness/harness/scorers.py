"""The scorer of our tasks on lm-eval 0.5; 0.4 knows no scorers and never asks for this module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lm_eval.api.metrics import mean, mean_stderr
from lm_eval.scorers import Scorer

from xglue_harness.harness.language_model import Function


@dataclass(kw_only=True)
class TaskScorer(Scorer):
    """Takes responses as they are: the task's own ``process_results`` and ``aggregation`` score them, as on 0.4.

    lm-eval's own scorer would bootstrap every standard error in other processes, where ours are emitted as metrics.
    """

    def aggregate(
        self,
        reduced_docs: Mapping[int, Mapping[str, object]],
        bootstrap_iters: int | None = None,
        aggregation_overrides: Mapping[str, Function] | None = None,
    ) -> tuple[dict[str, object], int]:
        """From documents to the language.

        Args:
            reduced_docs: values of each document by metric, by number of the document.
            bootstrap_iters: 0 for no standard errors.
            aggregation_overrides: the task's ``aggregation``.

        Returns:
            Values and standard errors as lm-eval names them, and the number of documents.
        """
        by_metric: dict[str, list[object]] = {}
        for document in reduced_docs.values():
            for metric, value in document.items():
                by_metric.setdefault(metric, []).append(value)
        results: dict[str, object] = {}
        for metric, values in by_metric.items():
            aggregation = (aggregation_overrides or {})[metric]
            is_known = aggregation is mean and bool(bootstrap_iters) and len(values) > 1
            results[f"{metric},{self.name}"] = aggregation(values)
            results[f"{metric}_stderr,{self.name}"] = mean_stderr(values) if is_known else "N/A"
        return results, len(reduced_docs)


def scorers(metric: str | None = None) -> list[TaskScorer]:
    """The scorers of a task: one, which takes the first answer to each request, as 0.4 does.

    A request that evens out processes is asked twice.

    Args:
        metric: the one metric that is wanted instead of the task's own (``bypass``).
    """
    metrics = [] if metric is None else [{"metric": metric}]
    return [TaskScorer.from_dict({"name": "none", "filter": [{"function": "take_first"}], "metric_list": metrics})]
