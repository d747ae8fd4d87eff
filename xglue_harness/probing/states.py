"""States of texts and words from a frozen encoder: every layer from one forward pass, equal texts once.

The language of a text is that of its row: where a tokenizer reads a language code, or an encoder is told the language,
it gets the row's, whatever the task or the subset is called that asks for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from tqdm import tqdm

from xglue_harness.benchmark import SOURCE_LANGUAGE, Kind, TaskSpec
from xglue_harness.encoders.backbone import in_fp32
from xglue_harness.encoders.batching import budget_batches
from xglue_harness.encoders.calling import call
from xglue_harness.encoders.device import fp32_products, free_memory, is_out_of_memory
from xglue_harness.encoders.device_inputs import DeviceInputs
from xglue_harness.encoders.fingerprint import Identity, identify
from xglue_harness.encoders.inputs import Inputs
from xglue_harness.encoders.pooling import Pooling, pool
from xglue_harness.encoders.probe import check_length, probe_padding, with_batch_rule
from xglue_harness.errors import EncoderError
from xglue_harness.prediction.equal_inputs import first_of_equals
from xglue_harness.prediction.token_budget import known_budget
from xglue_harness.probing import state_files
from xglue_harness.probing.sentence_models import steps_sha256
from xglue_harness.records.provenance import versions
from xglue_harness.store.token_cache import encoder_inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.probing.probes import Floats, Ints

STATES_VERSION = 1
"""To be raised whenever the same encoder and tokens give other states: it is part of the keys."""

_TEXTS = TaskSpec(
    name="texts",
    title="texts",
    kind=Kind.SINGLE,
    folder="",
    columns=("text", "label"),
    text_a=("text",),
    text_b=(),
    labels=("",),
    languages=(),
    metric="acc",
    patterns=("", "", ""),
)
"""Texts of any task, one by one: a probe reads no pairs."""


@dataclass(frozen=True)
class Part:
    """Texts of one language, or the words of its sentences, tokenised: what is computed in one pass.

    Attributes:
        title: for bars.
        key: hash (hex) of all that decides the states.
        inputs: what the encoder reads.
        computed: inputs that are computed, the longest first; an input that equals another is not among them.
        index: ``[texts or words]``, the row of the files that has its state.
        rows: of a file.
    """

    title: str
    key: str
    inputs: Inputs
    computed: NDArray[np.int64]
    index: Ints
    rows: int

    def states(self, layer: int) -> Floats:
        """Vectors of all texts, or words, in a layer that was computed, ``[texts or words, width]`` float64."""
        return state_files.read(self.key, layer, self.index)


class FrozenEncoder:
    """A frozen encoder, and which of its states are on disk."""

    def __init__(
        self,
        backbone: Backbone,
        *,
        pooling: str,
        max_length: int,
        steps: nn.Module | None = None,
        progress: bool = False,
    ) -> None:
        """Settle which inputs may share a batch.

        Args:
            backbone: encoder and tokenizer; it is left as it is.
            pooling: of a text's subwords: ``mean``, ``first``, ``max`` or ``eos``.
            max_length: most subwords of a text, special ones included.
            steps: what a model of sentence-transformers does with the pooled vectors of its last layer
                (`xglue_harness.probing.sentence_models`).
            progress: show bars.

        Raises:
            EncoderError: where the encoder can't read texts of that length, or can't be used at all.
        """
        check_length(backbone, max_length)
        ready = with_batch_rule(backbone, probe_padding(backbone, max_length))
        self.backbone = replace(ready, encoder=in_fp32(ready.encoder).eval())
        self.pooling = cast(Pooling, pooling)
        self.max_length, self._steps, self._progress = max_length, steps, progress
        with torch.inference_mode(), fp32_products("fp32"):
            shortest = self._inputs(["a"], SOURCE_LANGUAGE)
            states = self._hidden(shortest, DeviceInputs(shortest, self._pad, self._device), np.zeros(1, np.int64))
            self.last, self.width = len(states[0]) - 1, int(states[0][0].shape[-1])
            self._last_width = int(self._after_pooling(states[0][-1][:, 0].float()).shape[-1])

    @cached_property
    def identity(self) -> Identity:
        """Hashes of weights, configuration and tokenizer."""
        return identify(self.backbone)

    def layers(self, wanted: Sequence[int] | None) -> list[int]:
        """Layers by number: 0 is what the embeddings give, the last one the encoder's own output.

        Args:
            wanted: numbers, each once and ascending in the answer; ``None``: the last one.

        Raises:
            EncoderError: where there is no such layer.
        """
        if wanted is None:
            return [self.last]
        if not wanted or not all(0 <= layer <= self.last for layer in wanted):
            shown = ", ".join(map(str, wanted)) or "none"
            raise EncoderError(f"layers {shown}: {self.backbone.name} has the layers 0 to {self.last}")
        return sorted({*wanted})

    def after_pooling(self, layer: int) -> str | None:
        """Hash (hex) of what is done with a layer's pooled vectors; ``None``: nothing."""
        return steps_sha256(self._steps) if self._steps is not None and layer == self.last else None

    def texts(self, texts: Sequence[str], language: str, title: str = "texts") -> Part:
        """Texts that are pooled, each to one vector."""
        inputs = self._inputs(texts, language)
        computed, place = self._computed(inputs)
        return Part(title, self._key(inputs, self.pooling, computed), inputs, computed, place, len(computed))

    def words(self, spec: TaskSpec, rows: Sequence[Mapping[str, Any]], language: str, title: str = "words") -> Part:
        """Words of sentences (tagging), each with the state of its first subword; long ones are read in windows."""
        inputs = encoder_inputs(self.backbone, spec, rows, language, self.max_length, progress=self._progress)
        assert inputs.word_starts is not None
        computed, place = self._computed(inputs)
        sizes = np.diff(inputs.word_starts.numpy())
        begins = np.cumsum(sizes[computed]) - sizes[computed]  # of each computed input, its first word's row
        own = np.arange(int(sizes.sum())) - np.repeat(inputs.word_starts.numpy()[:-1], sizes)
        index = np.repeat(begins[place], sizes) + own if len(inputs) else own
        return Part(title, self._key(inputs, "word", computed), inputs, computed, index, int(sizes[computed].sum()))

    def missing(self, parts: Sequence[Part], layers: Sequence[int]) -> list[tuple[Part, list[int]]]:
        """The parts and layers that are not on disk, each once."""
        lacking = {}
        for part in parts:
            if part.key not in lacking:
                lacking[part.key] = part, [layer for layer in layers if not state_files.is_there(part.key, layer)]
        return [(part, wanted) for part, wanted in lacking.values() if wanted]

    def bytes_of(self, missing: Sequence[tuple[Part, Sequence[int]]]) -> int:
        """What `compute` would write."""
        return sum(state_files.bytes_of(part.rows, self.widths(part, layers).values()) for part, layers in missing)

    def widths(self, part: Part, layers: Sequence[int]) -> dict[int, int]:
        """Width of the vectors of each layer: the last one of a model of sentence-transformers may have another."""
        texts = part.inputs.positions is None
        return {layer: self._last_width if texts and layer == self.last else self.width for layer in layers}

    def compute(self, missing: Sequence[tuple[Part, Sequence[int]]]) -> None:
        """Compute states, a pass a part, and write them.

        Raises:
            DataError: where they can't be written.
            EncoderError: for states that are not finite.
        """
        total = sum(len(part.computed) for part, _ in missing)
        bar = tqdm(total=total, desc="states", unit="text", disable=not self._progress or not total, leave=False)
        with torch.inference_mode(), fp32_products("fp32"), bar:
            for part, layers in missing:
                bar.set_description(f"states: {part.title}")
                with state_files.Writer(part.key, self.widths(part, layers), part.rows) as writer:
                    for done, vectors in self._batches(part, layers):
                        writer.add(vectors)
                        bar.update(done)

    @property
    def _device(self) -> torch.device:
        return self.backbone.device

    @property
    def _pad(self) -> int:
        return int(self.backbone.tokenizer.pad_token_id)

    def _inputs(self, texts: Sequence[str], language: str) -> Inputs:
        rows = [{"text": text, "label": 0} for text in texts]
        return encoder_inputs(self.backbone, _TEXTS, rows, language, self.max_length, progress=self._progress)

    def _computed(self, inputs: Inputs) -> tuple[NDArray[np.int64], Ints]:
        """The inputs that are computed, in order, and for each input its place among them."""
        firsts = _with_equal_words(inputs, first_of_equals(inputs))
        chosen = np.flatnonzero(firsts == np.arange(len(firsts)))
        lengths = np.diff(inputs.starts.numpy())
        computed = chosen[np.argsort(-lengths[chosen], kind="stable")]
        place = np.zeros(len(firsts), dtype=np.int64)
        place[computed] = np.arange(len(computed))
        return computed, place[firsts]

    def _key(self, inputs: Inputs, pooling: str, computed: NDArray[np.int64]) -> str:
        """Of the states of some inputs: encoder, what it reads, and what it is computed with."""
        installed = versions()
        facts = [STATES_VERSION, self.identity.weights, self.identity.config, pooling, self.backbone.batch_rule]
        if pooling != "word" and self._steps is not None:
            facts.append(steps_sha256(self._steps))
        facts += [self._device.type, *(installed[name] for name in ("torch", "transformers"))]
        digest = hashlib.sha256(json.dumps(facts).encode())
        columns = ("ids", "starts", "segments", "languages", "positions", "word_starts")
        for name in columns:
            column = getattr(inputs, name)
            if column is not None and (pooling == "word" or name not in ("positions", "word_starts")):
                digest.update(f"{name} {tuple(column.shape)}\n".encode())
                digest.update(np.ascontiguousarray(column.numpy()).data)
        digest.update(computed.data)
        return digest.hexdigest()

    def _batches(self, part: Part, layers: Sequence[int]) -> Iterator[tuple[int, dict[int, NDArray[np.float32]]]]:
        """Batch by batch, how many inputs were computed and their vectors in each layer, in the order of `Part`."""
        if not len(part.computed):
            return
        lengths = np.diff(part.inputs.starts.numpy())[part.computed]
        budget = known_budget(self._device)
        device_inputs = DeviceInputs(part.inputs, self._pad, self._device)
        for batch in budget_batches(lengths, budget, self.backbone.batch_rule):
            yield len(batch), self._vectors(part, device_inputs, part.computed[batch], layers)

    def _vectors(
        self, part: Part, device_inputs: DeviceInputs, batch: NDArray[np.int64], layers: Sequence[int]
    ) -> dict[int, NDArray[np.float32]]:
        """Vectors of a batch; where it does not fit into memory, one half after the other."""
        try:
            only_last = list(layers) == [self.last]
            states, mask = self._hidden(part.inputs, device_inputs, batch, every_layer=not only_last)
            chosen = {layer: states[-1 if layer == self.last else layer] for layer in layers}
            kept = {layer: self._reduced(part, batch, hidden, mask) for layer, hidden in chosen.items()}
            if self.last in kept and part.inputs.positions is None:
                kept[self.last] = self._after_pooling(kept[self.last])
            return {layer: self._checked(vectors) for layer, vectors in kept.items()}
        except (RuntimeError, MemoryError) as error:
            if len(batch) == 1 or not is_out_of_memory(error):
                raise
        free_memory(self._device)
        halves = [self._vectors(part, device_inputs, half, layers) for half in np.split(batch, [len(batch) // 2])]
        return {layer: np.concatenate([half[layer] for half in halves]) for layer in layers}

    def _hidden(
        self, inputs: Inputs, device_inputs: DeviceInputs, batch: NDArray[np.int64], *, every_layer: bool = True
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Hidden states of a batch, layer by layer ``[batch, length, width]``, or the last alone; and its mask."""
        longest = int(max(inputs.lengths[place] for place in batch.tolist()))
        tensors = device_inputs.batch(torch.from_numpy(batch).to(self._device), longest)
        del tensors["labels"]
        options: dict[str, Any] = {"output_hidden_states": True} if every_layer else {}
        output = call(self.backbone.encoder, **tensors, **options)
        if not every_layer:
            return [output.last_hidden_state], tensors["attention_mask"]
        if not getattr(output, "hidden_states", None):
            raise EncoderError(f"{self.backbone.name} does not give its hidden states: only its last layer is known")
        return [*output.hidden_states[:-1], output.last_hidden_state], tensors["attention_mask"]

    def _reduced(self, part: Part, batch: NDArray[np.int64], hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Of a batch's states those that are kept: of each text one, or of each of its words one; ``[rows, width]``."""
        if part.inputs.positions is None:
            return pool(hidden.float(), mask, self.pooling)
        owned = [part.inputs.positions[part.inputs.words_of(index)].long() for index in batch.tolist()]
        rows = torch.repeat_interleave(torch.arange(len(owned)), torch.tensor([len(places) for places in owned]))
        return hidden[rows.to(self._device), torch.cat(owned).to(self._device)].float()

    def _after_pooling(self, vectors: torch.Tensor) -> torch.Tensor:
        """Pooled vectors of the last layer, as a model of sentence-transformers gives them."""
        if self._steps is None:
            return vectors
        done: torch.Tensor = self._steps({"sentence_embedding": vectors})["sentence_embedding"]
        return done

    def _checked(self, vectors: torch.Tensor) -> NDArray[np.float32]:
        if not torch.isfinite(vectors).all():
            raise EncoderError(f"{self.backbone.name} gives states that are NaN or infinite: see that it is sound")
        return cast("NDArray[np.float32]", vectors.cpu().numpy())


def _with_equal_words(inputs: Inputs, firsts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of equal inputs those alone that answer for the same words: windows of a repetitive sentence may not."""
    if inputs.positions is None:
        return firsts
    found: dict[tuple[int, bytes], int] = {}
    words = [inputs.positions[inputs.words_of(index)].numpy().tobytes() for index in range(len(inputs))]
    pairs = enumerate(zip(firsts.tolist(), words, strict=True))
    return np.array([found.setdefault(pair, index) for index, pair in pairs], dtype=np.int64)
