"""Facts of a backbone, from its configuration and its tokenizer; its weights are not read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch

from xglue_harness.benchmark import LANGUAGES, SOURCE_LANGUAGE
from xglue_harness.encoders.backbone import check_trainable, encoder_of, has_decoder, refuse_decoder_only
from xglue_harness.encoders.heads import TransferModel
from xglue_harness.encoders.languages import MBART_CODES, NLLB_CODES, language_code, reading
from xglue_harness.encoders.loading import (
    Checkpoint,
    commit_of,
    explained,
    language_model,
    load_config,
    load_tokenizer,
    without_pooler,
)
from xglue_harness.encoders.pooling import Pooling, default_pooling
from xglue_harness.encoders.subwords import Frame, pair_frame, plain_ids
from xglue_harness.leaderboard.contributions.backbones import IN_CHECKPOINT, Backbone, Parameters
from xglue_harness.records.converted import converted_from
from xglue_harness.records.parts import ConvertedFrom


@dataclass(frozen=True)
class Facts:
    """What is known of a checkpoint without its weights.

    Attributes:
        hub: id on the Hub; ``None`` for a folder.
        revision: commit on the Hub; ``None`` where it is not known, as of a folder.
        architecture: ``model_type`` of transformers.
        parameters: numbers of parameters, tied ones counted once.
        layers: of the encoder.
        width: of its hidden states.
        kind: kind of the tokenizer, in words.
        entries: of the tokenizer.
        rows: of the embedding table.
        pooling: default of the family.
        pairs: what joins two texts, in words.
        languages: languages of the benchmark that the tokenizer has codes for; ``None`` where it reads no code.
        origin: what it was converted from, as it says; ``None`` where it says nothing.
    """

    hub: str | None
    revision: str | None
    architecture: str
    parameters: Parameters
    layers: int
    width: int
    kind: str
    entries: int
    rows: int
    pooling: Pooling
    pairs: str
    languages: tuple[str, ...] | None
    origin: ConvertedFrom | None

    @property
    def tokenizer(self) -> str:
        """Kind and size of the vocabulary, in words."""
        codes = "" if self.languages is None else ", language codes among them"
        return f"{self.kind}, {self.entries:,} entries{codes}"

    @property
    def original(self) -> dict[str, Any]:
        """What the file of a backbone says of its original, by dotted key; empty: it has none."""
        if self.origin is None:
            return {}
        return {f"converted_from.{key}": getattr(self.origin, noted) for key, noted in IN_CHECKPOINT.items()}

    @property
    def values(self) -> dict[str, Any]:
        """What the file of a backbone says of them, by dotted key; without ``hub`` and ``revision``."""
        values = {
            key: getattr(self, key) for key in ("architecture", "layers", "width", "tokenizer", "pooling", "pairs")
        }
        return {**values, **{f"parameters.{key}": count for key, count in self.parameters.model_dump().items()}}


def facts(name: str) -> Facts:
    """Facts of a checkpoint.

    ``parameters.all`` counts the model as its family is published: an encoder with its pooler, a sequence-to-sequence
    model with its decoder. ``parameters.encoder`` is what a record calls ``encoder_parameters``.

    Args:
        name: a folder, or a Hub id with ``@revision`` behind it where another than ``main`` is meant.

    Raises:
        EncoderError: where configuration or tokenizer can't be loaded, or the model is decoder-only or can't be
            fine-tuned.
    """
    checkpoint = Checkpoint.of(name)
    config = load_config(checkpoint)
    refuse_decoder_only(config)
    tokenizer = load_tokenizer(checkpoint)
    pooling = default_pooling(config)
    with explained(checkpoint.name, "architecture"), torch.device("meta"):  # which takes no memory
        whole, encoder = _models(config)
        check_trainable(encoder)
        segments = TransferModel(encoder, 1, tagging=True, pooling=pooling).reads_segments
        table = encoder.get_input_embeddings().weight
        layers, width = encoder.config.num_hidden_layers, encoder.config.hidden_size
    return Facts(
        hub=None if Path(checkpoint.name).is_dir() else checkpoint.name,
        revision=commit_of(config, checkpoint.name, checkpoint.revision),
        architecture=config.model_type,
        parameters=Parameters(all=_count(whole), encoder=_count(encoder), embedding=table.numel()),
        layers=layers,
        width=width,
        kind=_kind(tokenizer),
        entries=len(tokenizer),
        rows=len(table),
        pooling=pooling,
        pairs=_pairs(tokenizer, segments),
        languages=_languages(tokenizer),
        origin=converted_from(config),
    )


def differences(backbone: Backbone, checkpoint: Facts) -> Iterator[str]:
    """Where the file of a backbone on the Hub says something else than its checkpoint; a line each, with the key.

    The tokenizer may be described in other words, as long as its kind and the number of its entries, or of the rows of
    the embedding table, are among them.
    """
    if checkpoint.hub != backbone.hub:
        yield f"hub: is {backbone.hub}, which is a folder here and would be read instead: check from another folder"
        return
    if checkpoint.revision is not None and backbone.revision != checkpoint.revision:
        yield f"revision: is {backbone.revision or 'null'}; the checkpoint has {checkpoint.revision}"
    for key, in_checkpoint in checkpoint.values.items():
        described = attrgetter(key)(backbone)
        if not (_fits(described, checkpoint) if key == "tokenizer" else described == in_checkpoint):
            yield f"{key}: is {described}; the checkpoint has {in_checkpoint}"


def _fits(tokenizer: str, checkpoint: Facts) -> bool:
    """Whether a tokenizer's description names its kind and one of its sizes."""
    words = set(re.findall(r"\w+", tokenizer.lower()))
    numbers = {int(digits.replace(",", "")) for digits in re.findall(r"\d[\d,]*", tokenizer)}
    kind = re.findall(r"\w+", checkpoint.kind.lower())
    return words.issuperset(kind) and bool(numbers & {checkpoint.entries, checkpoint.rows})


def _models(config: Any) -> tuple[Any, Any]:
    """The model as it is published, and its encoder as it is loaded for fine-tuning."""
    from transformers import AutoModel

    if has_decoder(config):
        whole = language_model(config).from_config(config)
        return whole, encoder_of(whole)
    return AutoModel.from_config(config), encoder_of(AutoModel.from_config(config, **without_pooler(config)))


def _count(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _kind(tokenizer: Any) -> str:
    """Kind of a tokenizer in words; of one that is not fast, no more than that it is a sentencepiece model."""
    if not tokenizer.is_fast:
        return "SentencePiece" if hasattr(tokenizer, "sp_model") else type(tokenizer).__name__
    backend = tokenizer.backend_tokenizer
    algorithm = type(backend.model).__name__.replace("Unigram", "unigram")
    vocabulary = tokenizer.get_vocab()
    if "▁" in vocabulary:
        algorithm = f"SentencePiece {algorithm}"
    elif "Ġ" in vocabulary:
        algorithm = f"byte-level {algorithm}"
    cased = backend.normalizer is None or "A" in backend.normalizer.normalize_str("A")
    if cased:
        return f"{algorithm}, cased" if algorithm == "WordPiece" else algorithm
    return f"{algorithm}, uncased"


def _pairs(tokenizer: Any, segments: bool) -> str:
    """What joins two texts, in words."""
    with reading(tokenizer, SOURCE_LANGUAGE):
        frame = pair_frame(tokenizer)
        length = sum(map(len, plain_ids(tokenizer, ["a", "b"]))) + frame.overhead
        put_in = len(tokenizer("a", "b")["input_ids"]) == length
    names = [_name(token, tokenizer) for token in tokenizer.convert_ids_to_tokens(list(frame.between))]
    parts = [_counted(name, len(list(same))) for name, same in groupby(names)]
    told = ", put in by the harness" * put_in + ", segment ids" * (segments and _tells_texts_apart(frame))
    return f"{' and '.join(parts)}{told}"


def _tells_texts_apart(frame: Frame) -> bool:
    return frame.segments is not None and frame.segments[1] != frame.segments[3]


def _name(token: str, tokenizer: Any) -> str:
    """A special token in words; XLM-R's separator is the end of a sentence, DeBERTa's end is a separator."""
    if token == "[SEP]" or (token == tokenizer.sep_token and token != tokenizer.eos_token):  # noqa: S105
        return "separator"
    roles = {
        tokenizer.bos_token: "start token",
        tokenizer.cls_token: "classification token",
        tokenizer.eos_token: "end-of-sentence token",
    }
    return roles.get(token, "token of its own")


def _counted(name: str, count: int) -> str:
    number = {1: "one", 2: "two"}.get(count, str(count))
    return f"{number} {name}{'s' * (count > 1)}"


def _languages(tokenizer: Any) -> tuple[str, ...] | None:
    """Languages of the benchmark that a tokenizer has codes for."""
    english = language_code(tokenizer, SOURCE_LANGUAGE)
    if english is None:
        return None
    known = {*tokenizer.get_vocab(), *(getattr(tokenizer, "lang_code_to_token", None) or {})}
    for codes in (MBART_CODES, NLLB_CODES):
        if english == codes[SOURCE_LANGUAGE]:
            return tuple(language for language in LANGUAGES if codes[language] in known)
    return tuple(language for language in LANGUAGES if language in known)  # M2M100: its codes are ours
