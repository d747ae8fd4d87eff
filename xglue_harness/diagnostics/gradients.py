"""The task's gradient beside that of an alignment loss while the task is learnt (`xglue_analysis.gradients`).

No plug-in of `xglue_harness.diagnostics.run`: those are called after the training, when there is no gradient left to
look at. It leaves no trace in the training: dropout is off, random generators are put back, ``.grad`` and weights stay
as they are. With several processes the first one looks, and the others wait; all have the same weights.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from xglue_analysis.gradients import ALL, TEMPERATURE, compare_gradients, info_nce, layer_parameters, null_p95
from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.diagnostics.parallel import LEAST
from xglue_harness.encoders.batching import split_into_microbatches
from xglue_harness.encoders.calling import call
from xglue_harness.encoders.cpu_kernels import training_kernels
from xglue_harness.encoders.device import autocast, free_memory, is_out_of_memory, undisturbed
from xglue_harness.encoders.heads import IGNORED
from xglue_harness.encoders.inputs import Inputs, collate, concatenated
from xglue_harness.encoders.pooling import pool
from xglue_harness.errors import RecipeError, TrainingError
from xglue_harness.records.cost_meter import now
from xglue_harness.records.training_schema import GradientCost, GradientPoint, Gradients
from xglue_harness.store.token_cache import encoder_inputs

if TYPE_CHECKING:
    from xglue_harness.diagnostics.parallel import ParallelRows
    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.recipe import Recipe
    from xglue_harness.training.checkpoint import Counters
    from xglue_harness.training.distributed import World

logger = logging.getLogger(__name__)

LOSS = (
    f"InfoNCE, temperature {TEMPERATURE}: which of the English sentences of its half is a sentence the translation of, "
    "by the cosine of the means over their last states"
)
PLANS = ((64, 8), (32, 8), (16, 8), (16, 4), (LEAST, 4), (LEAST, 3), (LEAST, 2))
"""Rows and points, in the order of preference; the last one is the least that says anything."""
BUDGET = 0.07
"""Share of the training's computation that the points may take: less than the tenth of its time, since small passes are
less efficient than the training's."""
_PASS, _TASK, _ALIGNMENT = 3, 3, 5
"""What a subword costs, in forward passes: a backward pass is two; the alignment loss has one for its control, too."""
_LOOK = {"cpu": 9_000, "cuda": 100_000}
"""What a look costs however few its subwords are, in forward passes of one: seven short backward passes, sums over
all weights. On a CPU measured with multilingual-e5-small in bf16; on a GPU a guess that is meant to be too high."""
_TOKENS = {"cpu": 1024, "cuda": 8192}
"""Subwords of a pass, padding included."""
_CPU_OVERHEAD = 96
_DIGITS = 6


@dataclass(frozen=True)
class _Pairs:
    """Pairs of an English text and a translation: their languages, and their places among the inputs."""

    inputs: Inputs
    languages: Sequence[str]
    english: Sequence[int]
    others: Sequence[int]

    def part(self, pairs: slice) -> _Pairs:
        """Some of them."""
        return _Pairs(self.inputs, self.languages[pairs], self.english[pairs], self.others[pairs])

    @property
    def subwords(self) -> int:
        """Subwords of all of them."""
        return sum(self.inputs.lengths[place] for place in (*self.english, *self.others))


class GradientWatch:
    """Looks at gradients at some steps of a training; `xglue_harness.training.trainer.Trainer` calls it."""

    def __init__(self, backbone: Backbone, recipe: Recipe, rows: ParallelRows, world: World) -> None:
        """Nothing is read yet.

        Args:
            backbone: what is trained.
            recipe: of the training; its seed draws the rows.
            rows: parallel texts.
            world: the processes.
        """
        self._backbone, self._recipe, self._rows, self._world = backbone, recipe, rows, world
        self._device = backbone.device
        self._drawn: tuple[Sequence[int], _Pairs] | None = None
        self._plan: Gradients | None = None
        self._idle = False

    def __call__(self, model: TransferModel, inputs: Inputs, counters: Counters, steps: int) -> float:
        """Look, where it is time, and note it in the counters.

        Args:
            model: in training.
            inputs: the training set.
            counters: of the training.
            steps: of the whole training.

        Returns:
            Seconds that it took.

        Raises:
            TrainingError: where memory does not suffice.
        """
        if self._idle or (self._plan is not None and counters.step not in self._plan.planned):
            return 0.0
        began = now(self._device)
        if self._plan is None:
            self._plan = self._begin(model, inputs, steps)
            self._take_up(counters)
        seen = counters.gradients
        if seen is None or counters.step not in {*seen.planned} - {point.step for point in seen.points}:
            return now(self._device) - began
        point = self._world.on_main(lambda: self._measured(model, inputs, counters.step))
        seconds = now(self._device) - began
        cost = GradientCost(seconds=round(seen.cost.seconds + seconds, 3))
        counters.gradients = seen.model_copy(update={"points": [*seen.points, point], "cost": cost})
        return seconds

    # ---------------------------------------------------------------- beginning

    def _take_up(self, counters: Counters) -> None:
        """Begin with the training; or go on, where it was begun with the same plan."""
        assert self._plan is not None
        if counters.gradients is None and counters.step == 0:
            counters.gradients = self._plan
        elif counters.gradients is None or _bare(counters.gradients) != _bare(self._plan):
            logger.warning(
                "gradients: this training was begun %s, and goes on from step %d: the record will have none",
                "without them" if counters.gradients is None else "with other texts",
                counters.step,
            )
            counters.gradients, self._idle = None, True

    def _begin(self, model: TransferModel, inputs: Inputs, steps: int) -> Gradients:
        """Draw the rows, and choose how many of them, and how many steps, are looked at."""
        generator = torch.Generator().manual_seed(self._recipe.seed)
        places = torch.randperm(len(inputs), generator=generator)[: PLANS[0][0]].tolist()
        pairs = self._world.only_on_main(lambda: self._pairs(generator.get_state()))
        pairs = self._pairs(generator.get_state()) if pairs is None else pairs
        rows, points = self._affordable(inputs, places, pairs)
        self._drawn = places[:rows], pairs.part(slice(rows))
        layers = layer_parameters(model.encoder.named_parameters())
        numbers = [sum(parameter.numel() for parameter in own) for own in layers.values()]
        sizes = [*numbers, sum(numbers)]
        languages = self._drawn[1].languages
        return Gradients(
            loss=LOSS,
            texts=self._rows.name,
            files=dict(self._rows.files),
            rows=rows,
            languages={language: languages.count(language) for language in sorted(set(languages))},
            layers=[*layers, ALL],
            parameters=sizes,
            null_p95=[_short(null_p95(size)) for size in sizes],
            planned=sorted({round(number * steps / (points - 1)) for number in range(points)}),
            points=[],
            cost=GradientCost(seconds=0.0),
        )

    def _pairs(self, state: torch.Tensor) -> _Pairs:
        """Drawn pairs, tokenised; languages take turns."""
        generator = torch.Generator()
        generator.set_state(state)
        rows, spec = self._rows.by_language, self._rows.spec
        drawn = torch.randperm(len(rows[SOURCE_LANGUAGE]), generator=generator)[: PLANS[0][0]].tolist()
        others = [language for language in rows if language != SOURCE_LANGUAGE]
        languages = [others[number % len(others)] for number in range(len(drawn))]
        wanted = {SOURCE_LANGUAGE: drawn}
        for language, row in zip(languages, drawn, strict=True):
            wanted.setdefault(language, []).append(row)
        parts: list[Inputs] = []
        places: dict[tuple[str, int], int] = {}
        for language, own in wanted.items():
            places.update({(language, row): len(places) + number for number, row in enumerate(own)})
            texts = [rows[language][row] for row in own]
            parts.append(encoder_inputs(self._backbone, spec, texts, language, self._recipe.max_length))
        return _Pairs(
            concatenated(parts),
            languages,
            [places[SOURCE_LANGUAGE, row] for row in drawn],
            [places[pair] for pair in zip(languages, drawn, strict=True)],
        )

    def _affordable(self, inputs: Inputs, places: Sequence[int], pairs: _Pairs) -> tuple[int, int]:
        """The first of `PLANS` that `BUDGET` allows and the texts have the rows for."""
        budget = BUDGET * _PASS * sum(inputs.lengths) * self._recipe.epochs
        there = [(rows, points) for rows, points in PLANS if rows <= min(len(pairs.languages), len(places))]
        if not there:
            raise RecipeError(f"gradients: the training set has {len(places)} inputs; {LEAST} are needed")
        fixed = _LOOK.get(self._device.type, _LOOK["cuda"])
        for rows, points in there:
            task = sum(inputs.lengths[place] for place in places[:rows])
            look = fixed + _TASK * task + _ALIGNMENT * pairs.part(slice(rows)).subwords
            if points * look <= budget:
                return rows, points
        logger.warning("gradients: the training is so short that they may take more than a tenth of its time")
        return there[-1]

    # ---------------------------------------------------------------- looking

    def _measured(self, model: TransferModel, inputs: Inputs, step: int) -> GradientPoint:
        training = model.training
        model.eval()
        try:
            with undisturbed(self._device), torch.enable_grad():
                return self._compared(model, inputs, step)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(
                "out of memory while gradients are looked at: leave the option gradients out, and the training goes on "
                "from its last checkpoint"
            ) from error
        finally:
            model.train(training)
            if self._device.type == "cuda":
                free_memory(self._device)  # else the steps would have less of it than without

    def _compared(self, model: TransferModel, inputs: Inputs, step: int) -> GradientPoint:
        assert self._drawn is not None
        places, pairs = self._drawn
        task_losses: list[float] = []
        alignment_losses: list[float] = []
        middle = len(places) // 2
        halves = [slice(middle), slice(middle, None)]
        layers = layer_parameters(model.encoder.named_parameters())
        compared = compare_gradients(
            layers,
            [self._task_losses(model, inputs, places[half], task_losses) for half in halves],
            [partial(self._alignment_losses, model, pairs.part(half), alignment_losses) for half in halves],
        )
        lists = {name: [_short(value) for value in values] for name, values in vars(compared).items()}
        return GradientPoint(
            step=step,
            task_loss=_short(math.fsum(task_losses) / 2),
            alignment_loss=_short(math.fsum(alignment_losses) / 2),
            **lists,
        )

    def _task_losses(
        self, model: TransferModel, inputs: Inputs, half: Sequence[int], noted: list[float]
    ) -> Iterator[torch.Tensor]:
        """Losses of the passes over half of the rows, which add up to their mean for a labelled row or word."""
        batches = [self._batch(inputs, microbatch) for microbatch in self._microbatches(inputs, half)]
        labelled = sum(int((batch["labels"] != IGNORED).sum()) for batch in batches)
        for batch in batches:
            with autocast(self._device, self._precision), training_kernels(self._device):
                loss = model(**batch)["loss"] / labelled
            noted.append(loss.item())
            yield loss

    def _alignment_losses(
        self, model: TransferModel, pairs: _Pairs, noted: list[float]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The alignment loss of some pairs, and that of finding the next pair's English, one's own being left out."""
        places = [*pairs.english, *pairs.others]
        microbatches = self._microbatches(pairs.inputs, places)
        batches = [self._batch(pairs.inputs, microbatch) for microbatch in microbatches]
        computed = [place for microbatch in microbatches for place in microbatch]
        order = torch.tensor([computed.index(place) for place in places], device=self._device)
        vectors = torch.cat([self._vectors(model, batch) for batch in batches])[order]
        count = len(pairs.languages)
        english, others = vectors[:count], vectors[count:]
        own = torch.arange(count, device=self._device)
        loss = info_nce(others, english, own)
        noted.append(loss.item())
        return loss, info_nce(others, english, own.roll(-1), own)

    def _vectors(self, model: TransferModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Mean of each input's last states, ``[batch, width]``."""
        segments = batch.get("token_type_ids") if model.reads_segments else None
        mask = batch["attention_mask"]
        with autocast(self._device, self._precision), training_kernels(self._device):
            output = call(model.encoder, batch["input_ids"], mask, segments, batch.get("languages"))
        return pool(output.last_hidden_state.float(), mask, "mean")

    @property
    def _precision(self) -> str:
        """That of the recipe; fp16 needs its losses scaled, and fp32 does without."""
        return "fp32" if self._recipe.precision == "fp16" else self._recipe.precision

    def _microbatches(self, inputs: Inputs, places: Sequence[int]) -> list[list[int]]:
        kind = self._device.type
        overhead = _CPU_OVERHEAD if kind == "cpu" else None
        most = _TOKENS.get(kind, _TOKENS["cuda"])
        return split_into_microbatches(inputs.lengths, places, most, overhead, self._backbone.batch_rule)

    def _batch(self, inputs: Inputs, places: Sequence[int]) -> dict[str, torch.Tensor]:
        batch = collate(inputs, places, self._backbone.tokenizer.pad_token_id)
        return {name: tensor.to(self._device) for name, tensor in batch.items()}


def _bare(gradients: Gradients) -> Gradients:
    """The plan alone."""
    return gradients.model_copy(update={"points": [], "cost": GradientCost(seconds=0.0)})


def _short(value: float) -> float | None:
    """A number to six digits, as single precision has them; ``None`` for one that is not finite."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
