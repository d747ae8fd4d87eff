"""How a model is used: fine-tuned, prompted or frozen; and what these ways share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from lm_eval.api.instance import Instance

from xglue_harness.encoders.backbone import has_decoder, is_decoder_only
from xglue_harness.errors import EncoderError, PromptError
from xglue_harness.harness.encoder_lm import EncoderLM
from xglue_harness.harness.language_model import LanguageModel, is_local
from xglue_harness.transfer.leaf import Document

DOCUMENT = "document"
"""Column of a test set with the number of each document, from 0."""


@dataclass(frozen=True)
class Answer:
    """What a model answers for a document.

    Attributes:
        prediction: class id, or class ids of the words, or grades of the rows.
        scores: as `xglue_harness.records.predictions` keeps them, for the row, the words, or each row; or ``None``.
        metrics: the protocol's own numbers, by name: as `document_score` gives them.
    """

    prediction: Any
    scores: Any
    metrics: Mapping[str, object] = field(default_factory=dict)


Metadata: TypeAlias = tuple[str, int, int]
"""lm-eval's name of the task, the document's number, and how often its request is repeated."""

Scored: TypeAlias = tuple[int, Any, Any, Any]
"""A document's number, its gold labels, prediction and scores: what official scores and kept predictions are made of.

A plain tuple, for lm-eval gathers it from all processes and writes it into logged samples.
"""


class EvaluationProtocol(ABC):
    """One way to use a model for a task: which requests it gets, and what its answers mean.

    Attributes:
        name: as in the record and in lm-eval's tables.
        output_type: lm-eval's type of the requests.
        score_kind: what the kept scores are; ``None`` where none are kept.
        metrics: names of the protocol's own numbers.
    """

    name: Literal["finetune", "prompt", "probe"]
    output_type: str
    score_kind: Literal["log_probability", "log_likelihood"] | None
    metrics: Collection[str]

    @abstractmethod
    def check(self, documents: int, processes: int) -> None:
        """Refuse numbers of documents and processes that make no sense, before any request is built."""

    @abstractmethod
    def contexts(self, doc: Document, **arguments: Any) -> list[str]:
        """What the model reads of a document."""

    @abstractmethod
    def requests(
        self, doc: Document, contexts: Sequence[str], metadata: Metadata, **arguments: Any
    ) -> Sequence[Instance]:
        """lm-eval's requests of a document."""

    @abstractmethod
    def answer(self, doc: Document, results: Sequence[Any]) -> Answer:
        """What the answers to a document's requests mean."""

    @abstractmethod
    def finalize(self, scored: Sequence[Scored]) -> None:
        """Complete the record, once all documents are answered."""


def protocol_of(
    lm: LanguageModel, wanted: Literal["auto", "finetune", "prompt", "probe"]
) -> Literal["finetune", "prompt", "probe"]:
    """How a model of lm-eval is used: an encoder, or what has one, is fine-tuned; all others are prompted.

    Args:
        lm: the model.
        wanted: the option ``protocol``.

    Raises:
        EncoderError: where a probe is wanted of a model that has no encoder.
        PromptError: where prompts are wanted of a model that reads in both directions: its likelihoods would be those
            of words that it has seen.
    """
    config = encoder_config(lm)
    if wanted == "probe":
        if config is None:
            raise EncoderError(f"protocol probe: {type(lm).__name__} holds no encoder that reads in both directions")
        return "probe"
    if wanted == "finetune" or (wanted == "auto" and config is not None):
        return "finetune"
    if isinstance(lm, EncoderLM):
        raise PromptError("protocol prompt: hf-encoder holds an encoder only: use --model hf")
    if config is not None and not has_decoder(config):
        raise PromptError(
            f"protocol prompt: {config.name_or_path or config.model_type} is an encoder ({config.model_type}) and "
            "sees the words whose likelihood it is asked for: leave protocol at auto"
        )
    return "prompt"


def encoder_config(lm: LanguageModel) -> Any:
    """Configuration of a transformers model that has an encoder; ``None`` for decoders and models behind an API."""
    if isinstance(lm, EncoderLM):
        return lm.config
    if not is_local(lm):
        return None
    config = getattr(lm, "config", None) or getattr(lm.model, "config", None)
    if not hasattr(config, "model_type"):
        return None
    return None if is_decoder_only(config) else config
