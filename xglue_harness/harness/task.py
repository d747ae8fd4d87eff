"""An XGLUE task in one language, as lm-eval sees it."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import yaml
from lm_eval.api.metrics import mean
from lm_eval.api.task import ConfigurableTask

from xglue_harness import benchmark
from xglue_harness.benchmark import Kind
from xglue_harness.data import open_source, unofficial
from xglue_harness.encoders.tokenising import joined
from xglue_harness.errors import RecipeError
from xglue_harness.harness.finetuning import FineTuning
from xglue_harness.harness.groups import marks_of
from xglue_harness.harness.predictions import keep_predictions
from xglue_harness.harness.prompting import Prompting
from xglue_harness.harness.protocol import DOCUMENT, Scored, protocol_of
from xglue_harness.harness.register import MODEL_ARGUMENTS, register
from xglue_harness.harness.shots import FewShotSampler
from xglue_harness.interrupt import told_how_to_go_on
from xglue_harness.official_metrics import official_scores
from xglue_harness.recipe import FOR_ANY_PROTOCOL, FOR_PROMPTS, parse_options
from xglue_harness.resources import tasks_folder
from xglue_harness.scoring import document_score, documents, queries, score, score_stderr

logger = logging.getLogger(__name__)

OWN_METADATA = frozenset({"version", "xglue_task", "xglue_language", "config_source"})
"""Metadata that the YAML and lm_eval itself put into a task."""

register()  # a task that is reached by --include_path alone needs it, too


def _leaf_metadata(config: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata of the leaf that a YAML includes or a group lists, which lm-eval replaces by theirs instead of merging.

    Raises:
        RecipeError: for what is made of no leaf of ours, and for a group where a leaf should be.
    """
    name, _, language = str(config.get("dataset_name")).partition(".")
    given = config.get("metadata") or {}
    if name not in benchmark.TASKS or language not in benchmark.task(name).languages:
        if {"xglue_task", "xglue_language"} <= given.keys():
            return {}
        raise RecipeError(
            f"{config.get('task')}: made of no task of ours; let its YAML include that of a leaf, such as "
            "tasks/xnli/xglue_xnli_zs_de.yaml, and keep dataset_name"
        )
    spec = benchmark.task(name)
    if config.get("task") == spec.group:  # lm-eval then gives all its leaves this name, and keeps one
        raise RecipeError(f"task: {spec.group} with options is a group of leaves: write group: {spec.group} there")
    leaf = tasks_folder() / name / f"{spec.leaf(language)}.yaml"
    return dict(yaml.safe_load(leaf.read_text(encoding="utf-8"))["metadata"])


def _first(items: list[Any]) -> Any:
    """What is the same for every document."""
    return items[0]


class TransferTask(ConfigurableTask):
    """Zero-shot transfer to one language: of an encoder that is fine-tuned on English, or of a model that is prompted.

    The YAML names task and language; everything else stands in `xglue_harness.benchmark`. Options come from
    ``--metadata`` (see `xglue_harness.recipe.Options`). Until the task meets a model (`bind_model`), it takes it for
    an encoder.
    """

    OUTPUT_TYPE = FineTuning.output_type

    def __init__(self, config: dict[str, Any]) -> None:
        """Check the options and load the language's test set.

        Raises:
            RecipeError: for an unknown option or one out of range, or where the YAML names no task.
            DataError: where the data are missing or malformed.
        """
        config = {key: value for key, value in config.items() if key != "class"}
        metadata = config["metadata"] = {**_leaf_metadata(config), **(config.get("metadata") or {})}
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
        self.row_scores: dict[int, Any] = {}
        """Scores of the documents that this process has predicted, by their number; `run_job` leaves them here."""
        self.protocol: FineTuning | Prompting = FineTuning(self)
        self.fewshot_seed: int | None = None
        super().__init__(config={**config, "metric_list": [], "test_split": "test", "output_type": None})
        self.sampler = FewShotSampler(self.source, self.spec)
        if self.spec.kind is Kind.TAGGING:  # lm-eval hands --gen_kwargs to such tasks only
            self.set_config("output_type", "generate_until")
            self.set_config("generation_kwargs", {"do_sample": False})

    def bind_model(self, lm: Any) -> list[str]:
        """Settle how a model is used.

        Args:
            lm: lm-eval's model.

        Returns:
            What its user should know.

        Raises:
            PromptError: where it can't be used as the options want it.
        """
        name = protocol_of(lm, self.options.protocol)
        self.run = {}
        self.protocol = FineTuning(self) if name == "finetune" else Prompting(self, lm)
        self.OUTPUT_TYPE = self.protocol.output_type
        idle = set(type(self.options).model_fields) - FOR_ANY_PROTOCOL
        idle = idle & FOR_PROMPTS if name == "finetune" else idle - FOR_PROMPTS
        notes = []
        if given := sorted((idle & self.options.model_fields_set) - MODEL_ARGUMENTS):
            notes.append(f"protocol {name}: without effect on it: {', '.join(given)}")
        if name == "finetune" and self.config.num_fewshot:
            notes.append("protocol finetune: --num_fewshot has no effect: training takes the place of examples")
            self.set_config("num_fewshot", 0)
        return notes

    # ---------------------------------------------------------------- data

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """Load the test set from the source that ``data`` names."""
        with told_how_to_go_on():
            self._load()

    def _load(self) -> None:
        self.source = open_source(self.options.data)
        self.is_sample: bool = self.source.is_sample
        test = self.source.load(self.spec, "test", self.language)
        self.files = dict(test.files)
        self.row_count = len(test.dataset)
        self.unofficial = unofficial(self.source, self.spec, "test", self.language, self.row_count)
        self._queries = queries(self.spec, test.dataset) if self.spec.kind is Kind.RANKING else None
        self.single_row_queries = sum(len(rows) == 1 for rows in self._queries or ())
        found = documents(self.spec, test.dataset)
        self.dataset = {"test": found.add_column(DOCUMENT, list(range(len(found))))}

    def rows_of_document(self, number: int) -> range:
        """Rows of the test set that a document is made of."""
        return range(number, number + 1) if self._queries is None else self._queries[number]

    def fewshot_docs(self) -> None:
        """Few-shot examples are not listed, but drawn where they lie (`FewShotSampler`)."""

    def set_fewshot_seed(self, seed: int | None = None) -> None:
        """Note lm-eval's seed, for the record."""
        self.fewshot_seed = seed
        super().set_fewshot_seed(seed)

    def doc_to_text(self, doc: Mapping[str, Any], doc_to_text: Any = None) -> str:
        """The question about a row to a model that is prompted; else the document for a human to read.

        lm-eval prints and logs it (``--write_out``, ``--log_samples``).
        """
        if isinstance(self.protocol, Prompting):
            return self.protocol.question(doc)
        if self.spec.kind is Kind.TAGGING:
            return " ".join(doc["words"])
        if self.spec.kind is Kind.RANKING:
            query = self.spec.text_a[0]
            rows = zip(*(doc[name] for name in self.spec.text_b), strict=True)
            return "\n".join([doc[query], *(" ".join(row) for row in rows)])
        return "\n".join(joined(doc, names) for names in (self.spec.text_a, self.spec.text_b) if names)

    def doc_to_target(self, doc: Mapping[str, Any], doc_to_target: Any = None) -> str:
        """The right answer of a model that is prompted about a row; else gold labels by name, blanks between them."""
        gold = doc[self.spec.label_column]
        if isinstance(self.protocol, Prompting) and not (self.spec.kind is Kind.RANKING and isinstance(gold, list)):
            return self.protocol.target(doc)
        return " ".join(self.spec.labels[label] for label in (gold if isinstance(gold, list) else [gold]))

    # ---------------------------------------------------------------- requests

    def build_all_requests(self, **kwargs: Any) -> None:
        """Build requests; they are never read from lm-eval's cache, which would replay the recipe of another run.

        Raises:
            RecipeError: for fewer documents than processes that train together, or none that counts for the score.
        """
        wanted = list(kwargs.get("samples") or range(len(self.eval_docs)))[: kwargs.get("limit")]
        self.protocol.check(len(wanted), kwargs.get("world_size") or 1)
        if self.single_row_queries and all(len(self.rows_of_document(number)) == 1 for number in wanted):
            raise RecipeError(f"{self.config.task}: no query of two rows among the documents: raise --limit")
        super().build_all_requests(**{**kwargs, "cache_requests": False, "rewrite_requests_cache": False})

    def fewshot_context(self, doc: Mapping[str, Any], *args: Any, **kwargs: Any) -> list[str]:
        """What the model reads: the prompt of each row, or the document itself."""
        return self.protocol.contexts(doc, **kwargs)

    def construct_requests(self, doc: Any, ctx: Any, **kwargs: Any) -> Any:
        """The requests of one document."""
        return self.protocol.requests(doc, ctx, **kwargs)

    # ---------------------------------------------------------------- scores

    @property
    def is_predicted_only(self) -> bool:
        """Whether predictions are wanted without scores (``--predict_only``)."""
        return "bypass" in self._metric_fn_list

    @property
    def is_collapsed(self) -> bool:
        """Whether the run's own record says that the model always gives one class, or has learnt nothing."""
        return bool(self.run) and self.run["flags"]["collapsed"]

    @property
    def is_unofficial(self) -> bool:
        """Whether test set, training set or dev sets are not as long as XGLUE's."""
        return bool(self.unofficial or self.run.get("data", {}).get("unofficial"))

    @property
    def _own_stderr(self) -> bool:
        """Whether scores are no means over all documents, for which lm-eval has a standard error."""
        return self.spec.kind in (Kind.TAGGING, Kind.RANKING)

    def process_results(self, doc: Mapping[str, Any], results: list[Any]) -> dict[str, Any]:
        """Score one document.

        Numbers of words and queries are handed on once more under ``*_stderr``: lm-eval knows no standard error of
        them, and this name fills its column. ``official`` takes the answers of all documents together.
        """
        answer, gold = self.protocol.answer(doc, results), doc[self.spec.label_column]
        scored: Scored = (doc[DOCUMENT], gold, answer.prediction, answer.scores)
        if self.is_predicted_only:
            return {"bypass": scored}
        item = document_score(self.spec, gold, answer.prediction)
        items = {self.spec.metric: item, "score": item, **answer.metrics}
        if self._own_stderr:
            items |= {f"{name}_stderr": value for name, value in items.items()}
        return {**items, "official": scored, **self._diagnosed()}

    def _diagnosed(self) -> dict[str, Any]:
        """Numbers of diagnostics with their standard errors, the same for every document."""
        found = (self.run.get("diagnostics") or {}).get("metrics", {})
        values = {name: metric["value"] for name, metric in found.items()}
        errors = {f"{name}_stderr": metric["stderr"] for name, metric in found.items()}
        return {**values, **{name: "N/A" if error is None else error for name, error in errors.items()}}

    def aggregation(self) -> dict[str, Any]:
        """From documents to the language: a mean, or a ratio of sums."""
        if self.is_predicted_only:
            return {"bypass": self._bypassed}
        names = (self.spec.metric, "score", *self.protocol.metrics)
        found = dict.fromkeys(self._diagnosed(), _first)
        if self._own_stderr:
            found |= dict.fromkeys(names, self._score) | dict.fromkeys(
                (f"{name}_stderr" for name in names), self._stderr
            )
        else:
            found |= dict.fromkeys(names, mean)
        return {**found, "official": self._official}

    def _score(self, items: list[Any]) -> float:
        return score(self.spec, items)

    def _stderr(self, items: list[Any]) -> float | str:
        """Standard error of a score, or lm-eval's "N/A" where there is none (NaN is no JSON)."""
        stderr = score_stderr(self.spec, items)
        return "N/A" if math.isnan(stderr) else stderr

    def _official(self, scored: list[Scored]) -> float:
        """The score by XGLUE's own evaluator. All answers are together here for the first time: they are kept."""
        in_order = self._finalize(scored)
        found = official_scores(self.spec, [item[1] for item in in_order], [item[2] for item in in_order])
        self.run |= asdict(found)
        return found.official

    def _bypassed(self, scored: list[Scored]) -> int:
        """lm-eval's number for "no score", once the predictions are kept."""
        self._finalize(scored)
        return 999

    def _finalize(self, scored: list[Scored]) -> list[Scored]:
        """Complete the record and keep the predictions; returns the answers by document, for processes mix them."""
        in_order = sorted(scored, key=lambda item: item[0])
        self.protocol.finalize(in_order)
        self.run["predictions"] = keep_predictions(self, in_order)
        return in_order

    def higher_is_better(self) -> dict[str, bool]:
        """All are, but for what could not be read."""
        names = (self.spec.metric, "score", "official", *self.protocol.metrics)
        return {name: name not in ("unparsable", "untagged") for name in names}

    def dump_config(self) -> dict[str, Any]:
        """The task's configuration with the whole record of the run, for the results file."""
        config: dict[str, Any] = super().dump_config()
        if self.protocol.name == "finetune":
            config.pop("generation_kwargs", None)
        # lm-eval's loggers (--wandb_args, --trackio_args) find the samples' columns by these two. Of the output types
        # that they know, this one has a request a document, whose response is the answer. An official score is of all
        # documents together; a document's part in it is no number, and no column.
        config["output_type"] = "generate_until" if self.protocol.name == "finetune" else self.OUTPUT_TYPE
        better = self.higher_is_better()
        names = [name for name in self.aggregation() if name not in ("official", "bypass") and "_stderr" not in name]
        config["metric_list"] = [{"metric": name, "higher_is_better": better.get(name)} for name in names]
        if marks := marks_of([self]):
            config["task_alias"] = f"{self.task_name}{marks}"
        config["metadata"] = {**config["metadata"], "xglue": self.run}
        return config
