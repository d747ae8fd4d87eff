"""From hidden states to one vector a sentence and layer.

Layers are counted as transformers does: 0 is what the embeddings give, L what the last of L layers gives. The last one
is the encoder's own output: in families that normalise at the end (mBART, M2M100, T5, ModernBERT) with that norm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn
from tqdm import tqdm

from xglue_analysis.errors import AnalysisError

Pooling = Literal["mean", "first", "last"]
Batches = Literal["any length", "one length", "one input"]
"""Inputs that may share a batch: fewer for an encoder whose answer depends on padding (ConvBERT), or on its batch."""

_SUBWORDS_A_BATCH = {"cpu": 1024}
_SUBWORDS = 8192


def pooled(states: Sequence[torch.Tensor], mask: torch.Tensor, pooling: Pooling = "mean") -> torch.Tensor:
    """Pool the hidden states of all layers.

    Args:
        states: layers + 1 tensors ``[batch, length, d]``.
        mask: ``[batch, length]``, 1 for real subwords; padding stands on the right.
        pooling: ``mean`` over the real subwords (special ones included), the ``first`` one, or the ``last`` real one.

    Returns:
        ``[layers + 1, batch, d]`` float32.
    """
    if pooling == "first":
        return torch.stack([layer[:, 0].float() for layer in states])
    if pooling == "last":
        rows, last = torch.arange(mask.shape[0], device=mask.device), mask.sum(1) - 1
        return torch.stack([layer[rows, last].float() for layer in states])
    weights = mask.float() / mask.sum(1, keepdim=True)
    return torch.stack([(weights[:, None] @ layer.float()).squeeze(1) for layer in states])


def layers_of(output: Any) -> tuple[torch.Tensor, ...]:
    """Hidden states of an encoder's output, the last one being what the encoder gives.

    Args:
        output: of a transformers encoder that was called with ``output_hidden_states=True``.

    Raises:
        AnalysisError: where the encoder gives none.
    """
    states = getattr(output, "hidden_states", None)
    if not states:
        raise AnalysisError("the encoder does not give its hidden states (output_hidden_states)")
    return (*states[:-1], output.last_hidden_state)


def layer_states(
    encoder: nn.Module,
    tokenizer: Any,
    texts: Sequence[str],
    *,
    language_code: str | None = None,
    pooling: Pooling = "mean",
    max_length: int = 256,
    batches: Batches = "any length",
    progress: bool = False,
    note: str = "hidden states",
) -> torch.Tensor:
    """Vectors of sentences in every layer of an encoder.

    Args:
        encoder: of transformers; put into evaluation mode. Of a sequence-to-sequence model give ``get_encoder()``.
        tokenizer: its own.
        texts: n sentences.
        language_code: what the tokenizer calls their language, for those that read one (mBART-50 ``de_DE``, NLLB
            ``deu_Latn``).
        pooling: as in `pooled`.
        max_length: subwords; longer texts are cut.
        batches: which inputs share a batch; ``one length`` for an encoder that reads padded places.
        progress: show a bar.
        note: what the bar says.

    Returns:
        ``[layers + 1, n, d]`` float32, on the CPU.

    Raises:
        AnalysisError: for no texts, an encoder that gives no hidden states, or a language code that is not read.
    """
    if isinstance(texts, str):
        raise AnalysisError("texts is one string: give a list of sentences")
    texts = [*texts]
    if not texts:
        raise AnalysisError("no texts are given")
    if odd := [text for text in texts if not isinstance(text, str)]:
        raise AnalysisError(f"texts hold a value of type {type(odd[0]).__name__}: give a list of sentences")
    if language_code is not None and not hasattr(tokenizer, "src_lang"):
        raise AnalysisError(f"{type(tokenizer).__name__} reads no language code: leave language_code out")
    before = getattr(tokenizer, "src_lang", None)
    if language_code is not None:
        tokenizer.src_lang = language_code
    try:
        encoded = tokenizer(list(texts), truncation=True, max_length=max_length)
    finally:
        if language_code is not None:
            tokenizer.src_lang = before
    pad = tokenizer.pad_token_id
    return states_of(encoder, encoded, pad=pad, pooling=pooling, batches=batches, progress=progress, note=note)


def states_of(
    encoder: nn.Module,
    encoded: Mapping[str, Sequence[Sequence[int]]],
    *,
    pad: int,
    pooling: Pooling = "mean",
    batches: Batches = "any length",
    progress: bool = False,
    note: str = "hidden states",
) -> torch.Tensor:
    """As `layer_states`, for inputs that are tokenised already.

    Args:
        encoder: of transformers; put into evaluation mode.
        encoded: ``input_ids`` of n inputs, and ``token_type_ids`` for encoders with segments.
        pad: id of the padding subword.
        pooling: as in `pooled`.
        batches: as in `layer_states`.
        progress: show a bar.
        note: what the bar says.
    """
    ids, segments = encoded["input_ids"], encoded.get("token_type_ids")
    device = next(encoder.parameters()).device
    encoder.eval()
    states: torch.Tensor | None = None
    bar = tqdm(total=len(ids), desc=note, unit="ex", disable=not progress, leave=False)
    with torch.no_grad(), bar:
        for batch in _batches([len(one) for one in ids], _SUBWORDS_A_BATCH.get(device.type, _SUBWORDS), batches):
            arguments = {"input_ids": _padded([ids[i] for i in batch], pad)}
            arguments["attention_mask"] = _padded([[1] * len(ids[i]) for i in batch], 0)
            if segments is not None:
                arguments["token_type_ids"] = _padded([segments[i] for i in batch], 0)
            arguments = {name: tensor.to(device) for name, tensor in arguments.items()}
            output = encoder(**arguments, output_hidden_states=True)
            vectors = pooled(layers_of(output), arguments["attention_mask"], pooling).cpu()
            if states is None:
                states = torch.empty(vectors.shape[0], len(ids), vectors.shape[2])
            states[:, batch] = vectors
            bar.update(len(batch))
    assert states is not None
    return states


def _batches(lengths: Sequence[int], budget: int, batches: Batches) -> Iterator[list[int]]:
    """Inputs of similar length together, at most ``budget`` subwords with padding; the longest come first."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    at = 0
    while at < len(order):
        size = max(1, budget // max(1, lengths[order[at]])) if batches != "one input" else 1
        if batches == "one length":
            size = sum(lengths[index] == lengths[order[at]] for index in order[at : at + size])
        yield order[at : at + size]
        at += size


def _padded(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])
