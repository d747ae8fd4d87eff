"""How long a job will take: by finished ones of its shape, by a measured rate, or by arithmetic."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal

from xglue_harness.benchmark import TASKS
from xglue_harness.errors import SweepError
from xglue_harness.leaderboard.contributions.recipes import recipe_terms
from xglue_harness.recipe import Options, parse_options, resolve, with_recipe
from xglue_harness.sweeps.amounts import Amount
from xglue_harness.sweeps.cards import Card, card_of
from xglue_harness.sweeps.finished import Finished
from xglue_harness.sweeps.jobs import Job
from xglue_harness.sweeps.shapes import Shape, shape_of

OVERHEAD = 15.0
"""Seconds of a job beside its training and its predictions, where none has been measured: loading the encoder, trying
it out, scores and files. What lm_eval needs to start is not in it: a worker pays that once."""

SHARE = 0.2
"""Of a card's peak that trainings are taken to reach where none has been measured; an assumption: encoders of this
size, in batches of 32 short texts, leave a large card waiting."""

LEAST_STEP = 0.01
"""Seconds that a step on a GPU is taken to need, however short its texts: some 1,500 kernels are launched in it."""

FORWARD = 1 / 3
"""What predicting a subword costs, beside training on it: of 6 operations a parameter, the 2 of the forward pass."""

How = Literal["finished", "rate", "given", "arithmetic", "unknown"]

FURTHEST = 16
"""Most times that another encoder may be larger or smaller, in parameters of its layers, for its rate to be scaled."""


@dataclass(frozen=True)
class Duration:
    """How long a job will take.

    Attributes:
        seconds: of the whole job; ``None``: nobody knows.
        predicting: of them, those for predicting test sets; all that is left where the store has the training.
        how: it was estimated.
        why: the same in words.
    """

    seconds: float | None
    predicting: float | None
    how: How
    why: str


@dataclass(frozen=True)
class Known:
    """What estimates may go by.

    Attributes:
        finished: trainings that are, on any device.
        device: that is planned for: a card, ``cpu``, or a part of a device's name; ``None``: nobody has said.
        rates: subwords a second in training that the user gave, by name of the backbone; under ``""`` of all others.
        share: of a card's peak that is reached.
        overhead: seconds of a job beside training and predictions.
    """

    finished: Sequence[Finished]
    device: str | None
    rates: Mapping[str, float]
    share: float = SHARE
    overhead: float = OVERHEAD

    @property
    def card(self) -> Card | None:
        """The card that is planned for."""
        return None if self.device is None else card_of(self.device)

    def here(self) -> list[Finished]:
        """The finished trainings on the device that is planned for."""
        return [item for item in self.finished if self.device is not None and same_device(item.device, self.device)]


def same_device(actual: str, asked: str) -> bool:
    """Whether a record's device is the one that is asked for: the same card, or one with that in its name."""
    card = card_of(asked)
    return asked.lower() in actual.lower() if card is None else card_of(actual) == card


def the_device(finished: Sequence[Finished], asked: str | None) -> str | None:
    """The device to plan for: what was asked for, else the one that all finished trainings ran on.

    Raises:
        SweepError: where they ran on several.
    """
    if asked is not None:
        return asked
    there = sorted({item.device for item in finished})
    if len(there) > 1:
        raise SweepError(f"trainings have finished on {' and on '.join(there)}: say by --device which to plan for")
    return there[0] if there else None


def parse_rates(given: Iterable[str], backbones: Collection[str]) -> dict[str, float]:
    """Rates from the command line: ``900`` or ``xlmr-base=900``.

    Args:
        given: as they were written.
        backbones: names there are.

    Raises:
        SweepError: for another backbone, or no number above 0.
    """
    rates = {}
    for text in given:
        name, _, number = text.rpartition("=")
        if name and name not in backbones:
            raise SweepError(f"--rate {text}: no backbone {name!r} in the file; it has {', '.join(backbones)}")
        try:
            rates[name] = float(number)
        except ValueError:
            rates[name] = math.nan
        if not 0 < rates[name] < math.inf:
            raise SweepError(f"--rate {text}: expected subwords a second, as 900, or BACKBONE=900")
    return rates


# ---------------------------------------------------------------- what a job is


def settings_of(job: Job) -> dict[str, Any]:
    """The options of a job that are not left at their defaults: recipe < arguments of the model < metadata."""
    return with_recipe(_given(job), job.task)


def options_of(job: Job) -> Options:
    """All options of a job."""
    return parse_options(_given(job), task=job.task)


def _given(job: Job) -> dict[str, Any]:
    return {**{key: value for key, value in job.model_args.items() if key in Options.model_fields}, **job.metadata}


def has_recipe(encoder: str, recipe: Mapping[str, Any], job: Job) -> bool:
    """Whether a training is that of a job by its encoder's name and its recipe, but for the seed.

    Args:
        encoder: name of the encoder that was trained.
        recipe: as a record, or the store, has it.
        job: the job.
    """
    if (encoder, recipe.get("task")) != (job.model_args["pretrained"], job.task):
        return False
    options = options_of(job)
    expected = resolve(options, TASKS[job.task], seed=0, precision="fp32", pooling="first").model_dump()
    return recipe_terms(recipe) == recipe_terms(expected) and recipe.get("dev") == options.dev


def is_of_shape(item: Finished, job: Job, amount: Amount) -> bool:
    """Whether a finished training is that of a job, but for the seed."""
    more = abs(item.training.train_rows - amount.train_rows)
    return more <= 1 and has_recipe(item.encoder, item.recipe, job)  # a tagging file may end without a blank line


def counted(amount: Amount, job: Job, finished: Sequence[Finished]) -> Amount:
    """The amount, with the subwords that a finished training on the same rows has counted, of this encoder if any."""
    options = options_of(job)
    alike = [
        item
        for item in finished
        if (item.recipe.get("task"), item.recipe.get("max_length")) == (job.task, options.max_length)
        and abs(item.training.train_rows - amount.train_rows) <= 1
        and amount.train > 0
    ]
    own = [item for item in alike if item.encoder == job.model_args["pretrained"]]
    if not alike:
        return amount
    per_epoch = median(item.training.real_tokens / item.recipe["epochs"] for item in own or alike)
    scale = per_epoch / amount.train
    return replace(amount, train=per_epoch, dev=amount.dev * scale, test=amount.test * scale, source="records")


def most_epochs_kept(job: Job) -> int:
    """The most weights that are kept: an epoch's for each selection rule and language, and the mean of all epochs'."""
    options = options_of(job)
    rules = {"none": 1, "en": 2, "all": 3 + len(TASKS[job.task].languages) - 1}[options.dev]
    epochs = math.ceil(options.epochs)
    return (epochs if options.keep_epochs == "all" else min(epochs, rules)) + (epochs > 1)


# ---------------------------------------------------------------- how long it takes


def duration(job: Job, amount: Amount, shape: Shape | None, known: Known, walls: Sequence[float] = ()) -> Duration:
    """How long a job takes.

    Args:
        job: the job.
        amount: what it reads.
        shape: how large its encoder is; ``None``: not known.
        known: what to go by.
        walls: seconds that jobs took which are this one but for the seed, from their claim to their results.
    """
    options = options_of(job)
    epochs = math.ceil(options.epochs)
    passes = min(epochs, {"none": 1, "en": 2, "all": 4}[options.dev]) + (epochs > 1)
    train = amount.train * options.epochs
    steps = math.ceil(amount.train_rows / options.batch_size) * options.epochs
    rest = FORWARD * (amount.dev * math.ceil(options.epochs) + amount.test * passes)
    test = FORWARD * amount.test * passes
    own = [item for item in known.here() if is_of_shape(item, job, amount)]
    if walls:
        whole, what = median(walls), f"{len(walls)} job{'s' * (len(walls) > 1)} of this sweep"
        speed = next((item.rate for item in own if item.rate), None)
        return Duration(whole, test / speed + known.overhead if speed else whole, "finished", what)
    if own:
        speed = median(item.rate or math.inf for item in own)
        each = [item.seconds + (test / speed if item.test is None else 0.0) + known.overhead for item in own]
        what = f"{len(own)} in {' and '.join(sorted({item.source for item in own}))}"
        return Duration(median(each), test / speed + known.overhead, "finished", what)
    given = known.rates.get(job.backbone, known.rates.get(""))
    if given is None and job.needs.minutes is not None:
        return Duration(60 * job.needs.minutes, 60 * job.needs.minutes, "given", "needs.minutes of the file")
    found = _rate(job, options, shape, known, given)
    if found is None:
        return Duration(None, None, "unknown", _way_out(shape, known))
    rate, how, why = found
    training = train / rate
    if how == "arithmetic" and training < steps * LEAST_STEP:
        training, why = steps * LEAST_STEP, f"{steps:,.0f} steps of {1000 * LEAST_STEP:.0f} ms"
    return Duration(training + rest / rate + known.overhead, test / rate + known.overhead, how, why)


def _rate(
    job: Job, options: Options, shape: Shape | None, known: Known, given: float | None
) -> tuple[float, How, str] | None:
    """Subwords a second in training."""
    if given is not None:
        return given, "given", f"{given:,.0f} subwords/s"
    measured = sorted((item for item in known.here() if item.rate), key=lambda item: -item.training.real_tokens)
    for item in measured:
        if item.encoder == job.model_args["pretrained"]:
            return item.rate or 0.0, "rate", f"{item.rate:,.0f} subwords/s of its {item.recipe['task']}"
    if shape is not None and (near := _nearest(job, shape, measured)) is not None:
        item, other = near
        rate = (item.rate or 0.0) * other.body / shape.body
        name = item.encoder.rstrip("/").rpartition("/")[2]
        return rate, "rate", f"{rate:,.0f} subwords/s: {name}'s {item.recipe['task']}, by parameters"
    if known.card is None or shape is None:
        return None
    peak, arithmetic = known.card.peak(options.precision)
    rate = peak * known.share / (6 * shape.body)
    return rate, "arithmetic", f"{known.share:.0%} of {peak / 1e12:,.0f} TFLOPS ({arithmetic})"


def _nearest(job: Job, shape: Shape, measured: Sequence[Finished]) -> tuple[Finished, Shape] | None:
    """The training of the encoder that is nearest in size, by ratio; of one on the same task before others.

    One that is more than `FURTHEST` times smaller or larger says nothing: a toy spends its time on other things.
    """
    shapes = ((item, shape_of(item.encoder, None)) for item in measured)
    known = [(item, other) for item, other in shapes if other is not None and other.body]
    known = [(item, other) for item, other in known if 1 / FURTHEST <= other.body / shape.body <= FURTHEST]

    def distance(pair: tuple[Finished, Shape]) -> tuple[float, bool]:
        return abs(math.log(pair[1].body / shape.body)), pair[0].recipe["task"] != job.task

    return min(known, key=distance, default=None)


def _way_out(shape: Shape | None, known: Known) -> str:
    if shape is None and known.card is not None:
        return "no config.json here: sweep prefetch, or --rate"
    return "say --device CARD, or --rate"
