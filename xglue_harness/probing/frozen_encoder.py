"""A frozen encoder: the states of every layer from one forward pass.

The language of a text is that of its row: where a tokenizer reads a language code, or an encoder is told the language,
it gets the row's, whatever the task or the subset is called that asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from tqdm import tqdm

from xglue_harness.benchmark import SOURCE_LANGUAGE, TEXTS, TaskSpec
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
from xglue_harness.prediction.token_budget import known_budget
from xglue_harness.probing import state_files
from xglue_harness.probing.sentence_models import steps_sha256
from xglue_harness.probing.states import Block, Lacking, Part, blocks_of
from xglue_harness.records.provenance import versions
from xglue_harness.store.token_cache import encoder_inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.probing.probes import Ints


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
        self.max_length, self._steps, self.progress = max_length, steps, progress
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
        blocks, place = self._blocks(inputs, self.pooling)
        after = self.after_pooling(self.last)
        return Part(title, inputs, blocks, place, None if after is None else (self.last, after))

    def words(self, spec: TaskSpec, rows: Sequence[Mapping[str, Any]], language: str, title: str = "words") -> Part:
        """Words of sentences (tagging), each with the state of its first subword; long ones are read in windows."""
        inputs = encoder_inputs(self.backbone, spec, rows, language, self.max_length, progress=self.progress)
        assert inputs.word_starts is not None
        blocks, place = self._blocks(inputs, "word")
        computed = np.concatenate([block.inputs for block in blocks])
        sizes = np.diff(inputs.word_starts.numpy())
        begins = np.cumsum(sizes[computed]) - sizes[computed]  # of each computed input, its first word's row
        own = np.arange(int(sizes.sum())) - np.repeat(inputs.word_starts.numpy()[:-1], sizes)
        index = np.repeat(begins[place], sizes) + own if len(inputs) else own
        return Part(title, inputs, blocks, index)

    def missing(self, parts: Sequence[Part], layers: Sequence[int]) -> list[Lacking]:
        """What is not on disk of some parts in some layers, each block once."""
        blocks: dict[str, tuple[Part, Block]] = {}
        for part in parts:
            for block in part.blocks:
                blocks.setdefault(block.key, (part, block))
        lacking = []
        for part, block in blocks.values():
            wanted = [layer for layer in layers if not state_files.is_there(part.path(block, layer))]
            lacking += [Lacking(part, block, wanted)] if wanted else []
        return lacking

    def bytes_of(self, missing: Sequence[Lacking]) -> int:
        """What `compute` would write."""
        return sum(state_files.bytes_of(one.block.rows, self.widths(one.part, one.layers).values()) for one in missing)

    def widths(self, part: Part, layers: Sequence[int]) -> dict[int, int]:
        """Width of the vectors of each layer: the last one of a model of sentence-transformers may have another."""
        texts = part.inputs.positions is None
        return {layer: self._last_width if texts and layer == self.last else self.width for layer in layers}

    def compute(self, missing: Sequence[Lacking]) -> None:
        """Compute states, and write them block by block.

        Raises:
            DataError: where they can't be written.
            EncoderError: for states that are not finite.
        """
        total = sum(len(one.block.inputs) for one in missing)
        bar = tqdm(total=total, desc="states", unit="text", disable=not self.progress or not total, leave=False)
        with torch.inference_mode(), fp32_products("fp32"), bar:
            for part, block, layers in missing:
                bar.set_description(f"states: {part.title}")
                paths = {layer: part.path(block, layer) for layer in layers}
                with state_files.Writer(paths, self.widths(part, layers), block.rows) as writer:
                    for done, vectors in self._batches(part, block, layers):
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
        return encoder_inputs(self.backbone, TEXTS, rows, language, self.max_length, progress=self.progress)

    def _blocks(self, inputs: Inputs, pooling: str) -> tuple[list[Block], Ints]:
        installed = versions()
        facts = [self.identity.weights, self.identity.config, pooling, self.backbone.batch_rule, self._device.type]
        return blocks_of(inputs, [*facts, installed["torch"], installed["transformers"]])

    def _batches(
        self, part: Part, block: Block, layers: Sequence[int]
    ) -> Iterator[tuple[int, dict[int, NDArray[np.float32]]]]:
        """Batch by batch, how many inputs were computed and their vectors in each layer, in the block's order."""
        if not len(block.inputs):
            return
        lengths = np.diff(part.inputs.starts.numpy())[block.inputs]
        budget = known_budget(self._device)
        device_inputs = DeviceInputs(part.inputs, self._pad, self._device)
        for batch in budget_batches(lengths, budget, self.backbone.batch_rule):
            yield len(batch), self._vectors(part, device_inputs, block.inputs[batch], layers)

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
