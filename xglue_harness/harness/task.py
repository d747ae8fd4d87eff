"""An XGLUE task in one language, as lm-eval sees it."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean
from lm_eval.api.task import ConfigurableTask

from xglue_harness import benchmark, metrics
from xglue_harness.benchmark import Kind
from xglue_harness.data import open_source
from xglue_harness.errors import RecipeError
from xglue_harness.harness.groups import marks_of
from xglue_harness.harness.register import MODEL_ARGUMENTS, register
from xglue_harness.transfer.recipe import parse_options
from xglue_harness.transfer.scoring import document_score, documents, queries
from xglue_harness.transfer.tokenising import joined

logger = logging.getLogger(__name__)

OUTPUT_TYPE = "xglue_transfer"
OWN_METADATA = frozenset({"version", "xglue_task", "xglue_language", "config_source"})
"""Metadata that the YAML and lm_eval itself put into a task."""

register()  # a task that is reached by --include_path alone needs it, too


def _ratio_stderr(items: list[Any]) -> float | str:
    """Standard error of a ratio, or lm-eval's "N/A" where there is none (NaN is no JSON)."""
    stderr = metrics.ratio_stderr(items)
    return "N/A" if math.isnan(stderr) else stderr


def _first(items: list[Any]) -> Any:
    """What is the same for every document."""
    return items[0]


class TransferRequest(Instance):
    """A request to predict one document; knows its task, and so the recipe and the data."""

    task: TransferTask


class TransferTask(ConfigurableTask):
    """Zero-shot transfer to one language: fine-tune on English, score this language's test set.

    The YAML names task and language; everything else stands in `xglue_harness.benchmark`. Options come from
    ``--metadata`` (see `xglue_harness.transfer.recipe.Options`).
    """

    OUTPUT_TYPE = OUTPUT_TYPE

    def __init__(self, config: dict[str, Any]) -> None:
        """Check the options and load the language's test set.

        Raises:
            RecipeError: for an unknown option or one out of range.
            DataError: where the data are missing or malformed.
        """
        config = {key: value for key, value in config.items() if key != "class"}
        metadata = config["metadata"]
        if "batch_size" in MODEL_ARGUMENTS:
            MODEL_ARGUMENTS.clear()  # a next run may bring a model that is built already
            raise RecipeError(
                "batch_size among the model's arguments would also be taken for the recipe's: give lm_eval's own as "
                "--batch_size (or simple_evaluate(batch_size=...)), and the recipe's in --metadata"
            )
        self.options = parse_options(metadata, foreign=OWN_METADATA | MODEL_ARGUMENTS)
        self.spec = benchmark.task(metadata["xglue_task"])
        self.language: str = metadata["xglue_language"]
        self.run: dict[str, Any] = {}
        """What the run writes about itself, for the results file."""
        super().__init__(config={**config, "metric_list": [], "test_split": "test", "output_type": None})

    # ---------------------------------------------------------------- data

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """Load the test set from the source that ``data`` names."""
        self.source = open_source(self.options.data)
        self.is_sample: bool = self.source.is_sample
        test = self.source.load(self.spec, "test", self.language)
        self.files = dict(test.files)
        self.dataset = {"test": documents(self.spec, test.dataset)}
        self.single_row_queries = 0
        if self.spec.kind is Kind.RANKING:
            self.single_row_queries = len(queries(self.spec, test.dataset)) - len(self.dataset["test"])

    def fewshot_docs(self) -> None:
        """Fine-tuning has no few-shot examples."""

    def doc_to_text(self, doc: Mapping[str, Any], doc_to_text: Any = None) -> str:
        """The document for a human to read (``--write_out``, ``--log_samples``)."""
        if self.spec.kind is Kind.TAGGING:
            return " ".join(doc["words"])
        if self.spec.kind is Kind.RANKING:
            query = self.spec.text_a[0]
            rows = zip(*(doc[name] for name in self.spec.text_b), strict=True)
            return "\n".join([doc[query], *(" ".join(row) for row in rows)])
        return "\n".join(joined(doc, names) for names in (self.spec.text_a, self.spec.text_b) if names)

    def doc_to_target(self, doc: Mapping[str, Any], doc_to_target: Any = None) -> str:
        """Gold labels by name, with blanks between where there are several."""
        gold = doc[self.spec.label_column]
        return " ".join(self.spec.labels[label] for label in (gold if isinstance(gold, list) else [gold]))

    # ---------------------------------------------------------------- requests

    def build_all_requests(self, **kwargs: Any) -> None:
        """Build requests; they are never read from lm-eval's cache, which would replay the recipe of another run.

        Raises:
            RecipeError: for fewer documents than processes: all train together, so each must have a part.
        """
        wanted, processes = kwargs.get("samples") or range(len(self.eval_docs)), kwargs.get("world_size") or 1
        if (count := len(wanted[: kwargs.get("limit")])) < processes:
            raise RecipeError(
                f"{self.config.task}: {count} documents for {processes} processes: raise --limit, or start fewer"
            )
        super().build_all_requests(**{**kwargs, "cache_requests": False, "rewrite_requests_cache": False})

    def fewshot_context(self, doc: Mapping[str, Any], *args: Any, **kwargs: Any) -> str:
        """The document itself: there is no prompt around it."""
        return self.doc_to_text(doc)

    def construct_requests(self, doc: Any, ctx: str, **kwargs: Any) -> TransferRequest:
        """One request a document."""
        request = TransferRequest(
            request_type=OUTPUT_TYPE, doc=doc, arguments=(ctx,), idx=0, metadata=kwargs["metadata"]
        )
        request.task = self
        return request

    # ---------------------------------------------------------------- scores

    @property
    def is_scored(self) -> bool:
        """Whether scores are wanted, or predictions only (``--predict_only``)."""
        return "bypass" not in self._metric_fn_list

    @property
    def is_collapsed(self) -> bool:
        """Whether the run's own record says that the encoder learnt nothing."""
        return bool(self.run) and self.run["flags"]["collapsed"]

    def process_results(self, doc: Mapping[str, Any], results: list[Any]) -> dict[str, Any]:
        """Score one document.

        Words' counts are handed on as (numerator, denominator), and once more under ``*_stderr``: lm-eval knows no
        standard error of a ratio, and this name fills its column.
        """
        if not self.is_scored:
            return {"bypass": None}
        item = document_score(self.spec, doc[self.spec.label_column], results[0])
        names = [self.spec.metric, "score"]
        if self.spec.kind is Kind.TAGGING:
            names += [f"{name}_stderr" for name in names]
        return {**dict.fromkeys(names, item), **self._diagnosed()}

    def _diagnosed(self) -> dict[str, Any]:
        """Numbers of diagnostics with their standard errors, the same for every document."""
        found = (self.run.get("diagnostics") or {}).get("metrics", {})
        values = {name: metric["value"] for name, metric in found.items()}
        errors = {f"{name}_stderr": metric["stderr"] for name, metric in found.items()}
        return {**values, **{name: "N/A" if error is None else error for name, error in errors.items()}}

    def aggregation(self) -> dict[str, Any]:
        """From documents to the language: a mean, or a ratio of sums."""
        if not self.is_scored:
            return dict(self._aggregation_list)
        names = (self.spec.metric, "score")
        diagnosed = dict.fromkeys(self._diagnosed(), _first)
        if self.spec.kind is not Kind.TAGGING:
            return {**dict.fromkeys(names, mean), **diagnosed}
        return {
            **diagnosed,
            **dict.fromkeys(names, metrics.ratio),
            **{f"{name}_stderr": _ratio_stderr for name in names},
        }

    def higher_is_better(self) -> dict[str, bool]:
        """All of ours are."""
        return dict.fromkeys((self.spec.metric, "score"), True)

    def dump_config(self) -> dict[str, Any]:
        """The task's configuration with the whole record of the run, for the results file."""
        config: dict[str, Any] = super().dump_config()
        del config["metric_list"]
        if marks := marks_of([self]):
            config["task_alias"] = f"{self.task_name}{marks}"
        config["metadata"] = {**config["metadata"], "xglue": self.run}
        return config
