"""A language of a task as lm-eval's task: its data and what a run leaves in it, whatever the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask

from xglue_harness.benchmark import TaskSpec
from xglue_harness.harness.few_shot import FewShotSampler
from xglue_harness.harness.protocol import DOCUMENT
from xglue_harness.interrupt import told_how_to_go_on
from xglue_harness.kinds import kind_of
from xglue_harness.transfer.leaf import Leaf, load_leaf

if TYPE_CHECKING:
    from xglue_harness.harness.language_model import LanguageModel
    from xglue_harness.harness.protocol import EvaluationProtocol
    from xglue_harness.recipe import Options


OUTPUT_TYPE = "xglue_transfer"
"""The type of our requests: the name of the method of lm-eval's models that answers them."""


class TransferRequest(Instance):
    """A request to predict one document; knows its task, and so the recipe and the data."""

    task: LeafTask


class LeafTask(ConfigurableTask):
    """Loads the test set; knows what marks its number in lm-eval's tables.

    Attributes:
        leaf: the test set and what is wanted of it.
        protocol: how the model is used.
        run: what the run writes about itself, for the results file.
        row_scores: scores of the documents that this process has predicted, by their number.
    """

    leaf: Leaf
    protocol: EvaluationProtocol

    def __init__(self, config: Mapping[str, Any], spec: TaskSpec, language: str, options: Options) -> None:
        """Load the language's test set.

        Raises:
            DataError: where the data are missing or malformed.
        """
        self.spec, self.language, self.options = spec, language, options
        self.kind = kind_of(spec)
        self.run: dict[str, Any] = {}
        self.row_scores: dict[int, Any] = {}
        self.fewshot_seed: int | None = None
        super().__init__(config={**config, "metric_list": [], "test_split": "test", "output_type": None})
        self.sampler = FewShotSampler(self.leaf.source, spec)
        if self.kind.asks == "tags":  # lm-eval hands --gen_kwargs to such tasks only
            self.set_config("output_type", "generate_until")
            self.set_config("generation_kwargs", {"do_sample": False})

    def bind_model(self, lm: LanguageModel) -> list[str]:
        """Settle how a model is used; returns what its user should know."""
        raise NotImplementedError

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
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

    # ---------------------------------------------------------------- marks

    @property
    def is_sample(self) -> bool:
        """Whether the data are the packaged toy."""
        return self.leaf.is_sample

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
        return bool(self.leaf.unofficial or self.run.get("data", {}).get("unofficial"))
