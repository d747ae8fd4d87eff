"""An XGLUE task in one language, as lm-eval sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import yaml
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean

from xglue_harness import benchmark
from xglue_harness.errors import RecipeError
from xglue_harness.harness.early import checked_options
from xglue_harness.harness.finetuning import FineTuning
from xglue_harness.harness.groups import marks_of
from xglue_harness.harness.language_model import Function, LanguageModel
from xglue_harness.harness.leaf_task import LeafTask
from xglue_harness.harness.model_arguments import forget_last, names_of_last
from xglue_harness.harness.plugin import register
from xglue_harness.harness.prediction_files import keep_predictions
from xglue_harness.harness.probing import Probing
from xglue_harness.harness.prompting import Prompting
from xglue_harness.harness.protocol import DOCUMENT, EvaluationProtocol, Metadata, Scored, protocol_of
from xglue_harness.recipe import read_by
from xglue_harness.resources import tasks_folder
from xglue_harness.transfer.leaf import Document


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


class TransferTask(LeafTask):
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
        register()  # with --include_path the hook may not have run
        config = {key: value for key, value in config.items() if key != "class"}
        metadata = config["metadata"] = {**_leaf_metadata(config), **(config.get("metadata") or {})}
        arguments = names_of_last()
        if "batch_size" in arguments:  # which is refused; a next run may bring a model that is built already
            forget_last()
        options = checked_options(metadata, arguments)
        self.protocol = FineTuning(self)
        super().__init__(config, benchmark.task(metadata["xglue_task"]), metadata["xglue_language"], options)

    def bind_model(self, lm: LanguageModel) -> list[str]:
        """Settle how a model is used.

        Args:
            lm: lm-eval's model.

        Returns:
            What its user should know.

        Raises:
            PromptError: where it can't be used as the options want it.
            EncoderError: the same, of a probe.
            RecipeError: for options that a probe does not read.
        """
        name = protocol_of(lm, self.options.protocol)
        self.run = {}
        ways: dict[str, Callable[[], EvaluationProtocol]] = {
            "finetune": lambda: FineTuning(self),
            "prompt": lambda: Prompting(self, lm),
            "probe": lambda: Probing(self),
        }
        self.protocol = ways[name]()
        self.OUTPUT_TYPE = self.protocol.output_type
        notes = []
        if given := sorted(self.options.given - read_by(name) - names_of_last()):
            if name == "probe":
                read = ", ".join(sorted(read_by(name)))
                raise RecipeError(
                    f"protocol probe: nothing is trained, so leave out {', '.join(given)}; it reads {read}"
                )
            notes.append(f"protocol {name}: without effect on it: {', '.join(given)}")
        if name != "prompt" and self.config.num_fewshot:
            notes.append(f"protocol {name}: --num_fewshot has no effect: training takes the place of examples")
            self.set_config("num_fewshot", 0)
        return notes

    def doc_to_text(self, doc: Document, doc_to_text: object = None) -> str:
        """The question about a row to a model that is prompted; else the document for a human to read.

        lm-eval prints and logs it (``--write_out``, ``--log_samples``).
        """
        return self.protocol.question(doc) if isinstance(self.protocol, Prompting) else self.kind.text(doc)

    def doc_to_target(self, doc: Document, doc_to_target: object = None) -> str:
        """The right answer of a model that is prompted about a row; else gold labels by name, blanks between them."""
        if isinstance(self.protocol, Prompting) and self.kind.is_row(doc):
            return self.protocol.target(doc)
        gold = doc[self.spec.label_column]
        return " ".join(self.spec.labels[label] for label in (gold if isinstance(gold, list) else [gold]))

    # ---------------------------------------------------------------- requests

    def build_all_requests(self, **kwargs: Any) -> None:
        """Build requests; they are never read from lm-eval's cache, which would replay the recipe of another run.

        Raises:
            RecipeError: for fewer documents than processes that train together, or none that counts for the score.
        """
        wanted = list(kwargs.get("samples") or range(len(self.eval_docs)))[: kwargs.get("limit")]
        self.protocol.check(len(wanted), kwargs.get("world_size") or 1)
        if self.leaf.single_row_queries and all(len(self.leaf.document_rows[number]) == 1 for number in wanted):
            raise RecipeError(f"{self.config.task}: no query of two rows among the documents: raise --limit")
        super().build_all_requests(**{**kwargs, "cache_requests": False, "rewrite_requests_cache": False})

    def fewshot_context(self, doc: Document, *args: object, **kwargs: Any) -> list[str]:
        """What the model reads: the prompt of each row, or the document itself."""
        return self.protocol.contexts(doc, **kwargs)

    def construct_requests(
        self, doc: Document, ctx: list[str], *, metadata: Metadata | None = None, doc_id: int = -1, **kwargs: Any
    ) -> Sequence[Instance]:
        """The requests of one document; lm-eval 0.4 gives ``metadata``, 0.5 ``doc_id``."""
        return self.protocol.requests(doc, ctx, metadata or (self.task_name, doc_id, self.config.repeats), **kwargs)

    # ---------------------------------------------------------------- scores

    def process_results(self, doc: Document, results: list[Any]) -> dict[str, Any]:
        """Score one document.

        Numbers of words and queries are handed on once more under ``*_stderr``: lm-eval knows no standard error of
        them, and this name fills its column. ``official`` takes the answers of all documents together.
        """
        answer, gold = self.protocol.answer(doc, results), doc[self.spec.label_column]
        scored: Scored = (doc[DOCUMENT], gold, answer.prediction, answer.scores)
        if self.is_predicted_only:
            return {"bypass": scored}
        item = self.kind.document_score(gold, answer.prediction)
        items = {self.spec.metric: item, "score": item, **answer.metrics}
        if not self.kind.plain_mean:
            items |= {f"{name}_stderr": value for name, value in items.items()}
        return {**items, "official": scored, **self._diagnosed()}

    def _diagnosed(self) -> dict[str, Any]:
        """Numbers of diagnostics with their standard errors, the same for every document."""
        metrics = (self.run.get("diagnostics") or {}).get("metrics", {})
        values = {name: metric["value"] for name, metric in metrics.items()}
        errors = {f"{name}_stderr": metric["stderr"] for name, metric in metrics.items()}
        return {**values, **{name: "N/A" if error is None else error for name, error in errors.items()}}

    def aggregation(self) -> dict[str, Function]:
        """From documents to the language: a mean, or a ratio of sums."""
        if self.is_predicted_only:
            return {"bypass": self._bypassed}
        names = (self.spec.metric, "score", *self.protocol.metrics)
        diagnosed = dict.fromkeys(self._diagnosed(), _first)
        if not self.kind.plain_mean:
            stderrs = dict.fromkeys((f"{name}_stderr" for name in names), self._stderr)
            return {**diagnosed, **dict.fromkeys(names, self.kind.score), **stderrs, "official": self._official}
        return {**diagnosed, **dict.fromkeys(names, mean), "official": self._official}

    def _stderr(self, items: list[Any]) -> float | str:
        """Standard error of a score, or lm-eval's "N/A" where there is none."""
        stderr = self.kind.stderr(items)
        return "N/A" if stderr is None else stderr

    def _official(self, scored: list[Scored]) -> float:
        """The score by XGLUE's own evaluator. All answers are together here for the first time: they are kept."""
        in_order = self._finalize(scored)
        scores = self.kind.official([item[1] for item in in_order], [item[2] for item in in_order])
        self.run |= asdict(scores)
        return scores.official

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
        if self.protocol.name != "prompt":
            config.pop("generation_kwargs", None)
        # lm-eval's loggers (--wandb_args, --trackio_args) find the samples' columns by these two. Of the output types
        # that they know, this one has a request a document, whose response is the answer. An official score is of all
        # documents together; a document's part in it is no number, and no column.
        config["output_type"] = "generate_until" if self.protocol.name != "prompt" else self.OUTPUT_TYPE
        better = self.higher_is_better()
        names = [name for name in self.aggregation() if name not in ("official", "bypass") and "_stderr" not in name]
        config["metric_list"] = [{"metric": name, "higher_is_better": better.get(name)} for name in names]
        if marks := marks_of([self]):
            config["task_alias"] = f"{self.task_name}{marks}"
        config["metadata"] = {**config["metadata"], "xglue": self.run}
        return config
