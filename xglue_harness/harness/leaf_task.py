"""A language of a task as lm-eval's task: its data and what a run leaves in it, whatever the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask

from xglue_harness.benchmark import TaskSpec
from xglue_harness.harness.few_shot import FewShotSampler
from xglue_harness.harness.protocol import DOCUMENT, Metadata
from xglue_harness.interrupt import told_how_to_go_on
from xglue_harness.kinds import kind_of
from xglue_harness.transfer.leaf import Document, Leaf, load_leaf

if TYPE_CHECKING:
    from xglue_harness.harness.language_model import LanguageModel
    from xglue_harness.harness.protocol import EvaluationProtocol
    from xglue_harness.recipe import Options


OUTPUT_TYPE = "xglue_transfer"
"""The type of our requests: the name of the method of lm-eval's models that answers them."""


class TransferRequest(Instance):
    """A request to predict one document; knows its task, and so the recipe and the data."""

    task: LeafTask


RequestT = TypeVar("RequestT", bound=Instance)


def new_request(
    kind: type[RequestT],
    request_type: str,
    doc: Document,
    arguments: tuple[object, ...],
    metadata: Metadata,
    idx: int = 0,
) -> RequestT:
    """A request of a document, as lm-eval 0.4 and 0.5 make them.

    Args:
        kind: its class.
        request_type: name of the model's method that answers it.
        doc: the document.
        arguments: of that method; the first is a ``str``.
        metadata: name of the task, number of the document, repetitions.
        idx: number of the request among those of the document.
    """
    task_name, doc_id, _ = metadata
    known = {"request_type": request_type, "doc": doc, "arguments": arguments, "idx": idx, "metadata": metadata}
    request: RequestT = kind(**known, task_name=task_name, doc_id=doc_id)
    return request


class LeafTask(ConfigurableTask):
    """Loads the test set; knows what marks its number in lm-eval's tables.

    Attributes:
        leaf: the test set and what is wanted of it.
        protocol: how the model is used.
        run: what the run writes about itself, for the results file.
        row_scores: scores of the documents that this process has predicted, by their number.
        is_predicted_only: whether predictions are wanted without scores (``--predict_only``).
    """

    leaf: Leaf
    protocol: EvaluationProtocol

    def __init__(self, config: Mapping[str, object], spec: TaskSpec, language: str, options: Options) -> None:
        """Load the language's test set.

        Raises:
            DataError: where the data are missing or malformed.
        """
        self.spec, self.language, self.options = spec, language, options
        self.kind = kind_of(spec)
        self.run: dict[str, Any] = {}
        self.row_scores: dict[int, Any] = {}
        self.fewshot_seed: int | None = None
        self.is_predicted_only = False
        config = {**config, "metric_list": [], "test_split": "test", "output_type": None}
        if config.get("_qualified_name") == f"{spec.group}::{spec.leaf(language)}":
            del config["_qualified_name"]  # of lm-eval 0.5; results, submissions and boards go by a leaf's own name
        super().__init__(config=config)
        if not hasattr(self, "leaf"):  # lm-eval 0.5 loads data when they are asked for, too late for our errors
            self.download()
        self.sampler = FewShotSampler(self.leaf.source, spec)
        if self.kind.asks == "tags":  # lm-eval hands --gen_kwargs to such tasks only
            self.set_config("output_type", "generate_until")
            self.set_config("generation_kwargs", {"do_sample": False})

    def bind_model(self, lm: LanguageModel) -> list[str]:
        """Settle how a model is used; returns what its user should know."""
        raise NotImplementedError

    def download(self, dataset_kwargs: object = None, **_: object) -> None:
        """Load the test set from the source that ``data`` names."""
        with told_how_to_go_on():
            self.leaf, documents = load_leaf(self.spec, self.language, self.options)
            self.dataset = {"test": documents.add_column(DOCUMENT, list(range(len(documents))))}

    def fewshot_docs(self) -> None:
        """Few-shot examples are not listed, but drawn where they lie (`FewShotSampler`)."""

    def set_fewshot_seed(self, seed: int | None = None) -> None:
        """Note lm-eval's seed, for the record."""
        self.fewshot_seed = seed
        super().set_fewshot_seed(seed)

    def set_delimiter(self, delimiter: str) -> None:
        """What stands between a question and its answer, in examples, too."""
        examples = self.fewshot_cfg if hasattr(self, "fewshot_cfg") else self._fewshot_cfg  # lm-eval 0.4, 0.5
        examples.target_delimiter = delimiter
        self.set_config("target_delimiter", delimiter)

    # ---------------------------------------------------------------- lm-eval 0.5

    def _build_scorers(self) -> list[object]:
        """Our own scorer: lm-eval can't infer one for `OUTPUT_TYPE`."""
        from xglue_harness.harness.scorers import scorers

        return list(scorers())

    def override_metric(self, metric_name: str) -> None:
        """Note that predictions are wanted without scores (``--predict_only``)."""
        self.is_predicted_only = metric_name == "bypass"
        if not hasattr(self, "_scorers"):
            super().override_metric(metric_name)
            return
        from xglue_harness.harness.scorers import scorers

        self._scorers = scorers(metric_name)

    # ---------------------------------------------------------------- marks

    @property
    def is_sample(self) -> bool:
        """Whether the data are the packaged toy."""
        return self.leaf.is_sample

    @property
    def is_collapsed(self) -> bool:
        """Whether the run's own record says that the model always gives one class, or has learnt nothing."""
        return bool(self.run) and self.run["flags"]["collapsed"]

    @property
    def is_unofficial(self) -> bool:
        """Whether test set, training set or dev sets are not as long as XGLUE's."""
        return bool(self.leaf.unofficial or self.run.get("data", {}).get("unofficial"))
