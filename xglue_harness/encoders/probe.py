"""What an encoder does with length and padding, learnt by asking it: no list of families, no trust in its code.

Convolutions read padded places (ConvBERT), a checkpoint's own code may ignore the mask, pooling of positions may depend
on the length (Funnel): such an encoder gives an input other states in a batch with longer ones than alone. Positions
may be counted from 0, from 2 or from the padding id on, and there may be rows for fewer subwords than config.json says.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode

from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.encoders.backbone import in_fp32
from xglue_harness.encoders.calling import call
from xglue_harness.encoders.checks import table_rows
from xglue_harness.encoders.device import undisturbed
from xglue_harness.encoders.languages import reading
from xglue_harness.encoders.subwords import plain_ids, single_frame
from xglue_harness.encoders.told_languages import language_numbers
from xglue_harness.errors import EncoderError

if TYPE_CHECKING:
    from torch import nn

    from xglue_harness.encoders.backbone import Backbone, BatchRule

logger = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Most that states may differ, relative to the largest of them, in fp32: longer sums are rounded differently."""


class Finding(NamedTuple):
    """What a probe found.

    Attributes:
        batch_rule: inputs that may share a batch.
        difference: between the states of an input alone and beside longer ones, relative to the largest state.
    """

    batch_rule: BatchRule
    difference: float


def probe_padding(backbone: Backbone, max_length: int) -> Finding:
    """Compare an input's states alone, padded in a batch, and beside others of its length.

    The inputs are random subwords between the tokenizer's special ones: one of ``max_length``, ones of three quarters
    and of half of it, a short one, and one that is a subword longer than that of half. The encoder is asked in
    evaluation mode, in fp32 and as a copy that shares its weights; no global generator moves.

    Args:
        backbone: encoder and tokenizer.
        max_length: of a run's inputs, which the encoder can read (`check_length`).

    Raises:
        EncoderError: where it can't read such inputs at all, or gives other states each time.
    """
    with undisturbed(backbone.device):
        asked = _Asked(backbone)
        middle = max(max_length // 2, 1)
        lengths = [max_length, max_length * 3 // 4, middle, min(asked.overhead + 3, max_length)]
        inputs = [asked.inputs(max(length, 1)) for length in lengths]
        together = asked.states(inputs)
        alone = [asked.states([one])[0] for one in inputs]
        half, longer = inputs[2], asked.inputs(min(middle + 1, max_length))
        pairs = [*zip(alone, together, strict=True), (alone[2], asked.states([longer, half])[1])]
        difference = max(_difference(*pair) for pair in pairs)
        if difference <= _tolerance(backbone.device):
            return Finding("any length", difference)
        again = asked.states(inputs, seed=1)
        if max(map(_difference, again, together)) > _tolerance(backbone.device):
            raise EncoderError(
                f"{backbone.name} ({type(backbone.encoder).__name__}) gives other states for the same inputs each "
                f"time, in evaluation mode: no score of it could be repeated (max_length {max_length})"
            )
        others = [asked.inputs(len(half)) for _ in range(2)]
        beside = _difference(alone[2], asked.states([others[0], half, others[1]])[1])
        return Finding("one length" if beside <= _tolerance(backbone.device) else "one input", difference)


def with_batch_rule(backbone: Backbone, finding: Finding) -> Backbone:
    """A backbone that keeps to what a probe found; the log says so where batches hold less than they could."""
    if finding.batch_rule != "any length":
        logger.warning(
            "%s: what the encoder gives for an input depends on its batch (states differ by %.0e of the largest): "
            "batches hold %s only, which takes longer",
            backbone.name,
            finding.difference,
            {"one length": "inputs of one length", "one input": "one input"}[finding.batch_rule],
        )
    return replace(backbone, batch_rule=finding.batch_rule)


def position_limit(backbone: Backbone, wanted: int | None = None) -> int | None:
    """The most subwords that an encoder can read; ``None`` where its positions are relative or computed.

    Its tables of positions are found by the rows that it looks up: where an input that is longer by some subwords looks
    up a row that is as much further on, the table has room for as many subwords as rows are left. Where it has none,
    the configuration's ``max_position_embeddings`` counts; in any case the tokenizer's ``model_max_length``.

    Args:
        backbone: encoder, tokenizer and configuration.
        wanted: a limit above this is not looked at closely.
    """
    limits = []
    stored = getattr(backbone.config, "max_position_embeddings", None)
    stored = stored or getattr(backbone.config, "max_encoder_position_embeddings", None)  # LED, which fills up windows
    measured = _room_of_tables(backbone, wanted)
    if measured is not None:
        limits.append(measured)
    elif stored and getattr(backbone.config, "model_type", "") != "m2m_100":  # it computes sinusoids as far as needed
        limits.append(stored)
    declared = getattr(backbone.tokenizer, "model_max_length", None)
    if declared and declared < 1_000_000:  # transformers' "unknown" is 1e30
        limits.append(declared)
    return min(limits) if limits else None


def check_length(backbone: Backbone, max_length: int) -> None:
    """Refuse a ``max_length`` beyond what the encoder can read.

    Raises:
        EncoderError: naming the limit.
    """
    limit = position_limit(backbone, max_length)
    if limit is not None and max_length > limit:
        raise EncoderError(
            f"max_length {max_length} is more than {backbone.name} can read ({limit} subwords): "
            f"""set it, e.g. --metadata '{{"max_length": {limit}}}'"""
        )


def _room_of_tables(backbone: Backbone, wanted: int | None) -> int | None:
    few, more = 4, 8  # CANINE reads no less than 4 characters
    with undisturbed(backbone.device):
        asked = _Asked(backbone)
        first, second = asked.lookups(few), asked.lookups(more)
        candidates = []
        for table, (rows, largest) in first.items():
            if table in second and second[table][1] - largest == more - few:
                candidates.append((rows - (largest - few + 1), table))
        for room, table in sorted(pair for pair in candidates if pair[0] > 0):
            # Buckets of relative positions look alike at first; a table of positions is used up to its last row.
            if wanted is not None and room >= wanted:
                return room
            try:
                rows, largest = asked.lookups(room).get(table, (0, 0))
            except EncoderError:  # something else gives out before
                continue
            if largest == rows - 1:
                return room
    return None


class _Asked:
    """An encoder that is asked; a copy, for some keep what they have seen (BigBird, caches of rotations)."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        encoder = in_fp32(backbone.encoder)
        shared: dict[int, Any] = {id(one): one for one in encoder.parameters()}
        self._encoder: nn.Module = copy.deepcopy(encoder, shared).eval()
        tokenizer = backbone.tokenizer
        with reading(tokenizer, SOURCE_LANGUAGE):
            frame = single_frame(tokenizer)
            self._letter = plain_ids(tokenizer, ["a"])[0][-1]
        self._before, self._after = list(frame.before), list(frame.after)
        self.overhead = frame.overhead
        padding = (tokenizer.pad_token_id, getattr(backbone.config, "pad_token_id", None))
        self._special = {*tokenizer.all_special_ids, *padding}
        self._rows = min(len(tokenizer), table_rows(encoder) or len(tokenizer))
        self._generator = torch.Generator().manual_seed(0)
        numbers = language_numbers(encoder, tokenizer)
        self._language = None if numbers is None else next(iter(numbers.values()))

    def inputs(self, length: int) -> list[int]:
        """An input of random subwords, special ones around them."""
        wanted, subwords = max(length - self.overhead, 0), list[int]()
        for _ in range(100):
            drawn = torch.randint(self._rows, (4 * wanted + 16,), generator=self._generator).tolist()
            subwords += [one for one in drawn if one not in self._special]
            if len(subwords) >= wanted:
                break
        subwords += [self._letter] * wanted  # a vocabulary may hold next to nothing but special ones
        return [*self._before, *subwords[:wanted], *self._after][:length]

    def states(self, rows: Sequence[Sequence[int]], seed: int = 0) -> list[torch.Tensor]:
        """``[length, width]`` float32 of each input, at its own subwords, computed in one batch."""
        longest = max(map(len, rows))
        pad = self._backbone.tokenizer.pad_token_id
        ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        output = self._call(ids, mask, seed)
        return [states[: len(row)] for states, row in zip(output, rows, strict=True)]

    def lookups(self, length: int) -> dict[int, tuple[int, int]]:
        """Rows of each table that an input of one letter looks up in, and the largest row that it looks up."""
        seen = _Lookups()
        with seen:
            self._call(torch.full((1, length), self._letter), torch.ones(1, length, dtype=torch.long))
        return seen.lookups

    def _call(self, ids: torch.Tensor, mask: torch.Tensor, seed: int = 0) -> torch.Tensor:
        device = self._backbone.device
        languages = None if self._language is None else torch.full((len(ids),), self._language, device=device)
        torch.manual_seed(seed)  # an encoder that draws numbers draws the same ones, or another seed shows it
        try:
            with torch.no_grad():  # not inference_mode: tensors that modules keep of it could not be trained with
                output = call(self._encoder, ids.to(device), mask.to(device), languages=languages)
            states: torch.Tensor = output.last_hidden_state.float()
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise EncoderError(
                f"{self._backbone.name} ({type(self._backbone.encoder).__name__}) can't be used: an input of "
                f"{ids.shape[1]} subwords fails with {type(error).__name__}: {' '.join(str(error).split())[:400]}"
            ) from error
        if states.shape[:2] != ids.shape:
            raise EncoderError(
                f"{self._backbone.name} ({type(self._backbone.encoder).__name__}) can't be used: for "
                f"{tuple(ids.shape)} subwords it gives states of shape {tuple(states.shape)}"
            )
        return states


class _Lookups(TorchFunctionMode):
    """Notes which rows of which tables are looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.lookups: dict[int, tuple[int, int]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.nn.functional.embedding:
            ids, weight = (args + tuple(kwargs[name] for name in ("input", "weight") if name in kwargs))[:2]
            _, before = self.lookups.get(id(weight), (0, -1))
            self.lookups[id(weight)] = (weight.shape[0], max(before, int(ids.max())))
        return func(*args, **kwargs)


def _difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference of two states, relative to the largest of them; infinite where one is not finite."""
    size = max(float(one.abs().max()), float(other.abs().max()), 1e-30)
    difference = float((one - other).abs().max()) / size
    return difference if difference == difference else float("inf")


def _tolerance(device: torch.device) -> float:
    """TF32, where a user has allowed it, has 10 bits for fp32's 23."""
    coarse = device.type == "cuda" and (
        torch.get_float32_matmul_precision() != "highest" or torch.backends.cuda.matmul.allow_tf32
    )
    return 1e-2 if coarse else TOLERANCE
