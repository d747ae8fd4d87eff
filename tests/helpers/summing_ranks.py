"""Two processes sum their gradients: ``torchrun --nproc_per_node 2 -m tests.helpers.summing_ranks``.

With ``cuda`` behind it both compute on one GPU, whose kernels, streams and threads of autograd are others.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import torch
import torch.distributed as dist

from tests.helpers.training import backbone, pairs, recipe
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.heads import TransferModel
from xglue_harness.encoders.tokenising import tokenised
from xglue_harness.errors import TrainingError
from xglue_harness.harness.processes import prepare_multiprocess
from xglue_harness.training import gradient_sync
from xglue_harness.training.checkpoint import Counters
from xglue_harness.training.determinism import seeded
from xglue_harness.training.distributed import World
from xglue_harness.training.model import build_model
from xglue_harness.training.train_step import TrainStep

ROWS = pairs(48)
_OF_CLASS = [[number for number in range(48) if number % 3 == label] for label in range(3)]
_OTHERS = [*_OF_CLASS[1], *_OF_CLASS[2]]
_IN_ONE = [number for pair in zip(_OF_CLASS[0][:8], _OTHERS[:8], strict=True) for number in pair]
BATCHES = [_IN_ONE, _OTHERS[8:24], [*_OF_CLASS[0][8:], *_OTHERS[24:]]] * 2
"""Class 0 is in the share of the first process alone, then in none, then in both."""
MAX_TOKENS = 20
"""Subwords of a microbatch: two or three examples."""
DEVICE = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cpu")
SMALL = 500
"""Numbers of a bucket."""


def a_training(world: World, *, max_tokens: int | None = None, **options: Any) -> TrainStep:
    """A training before its first step; each process draws its own random numbers."""
    chosen = recipe("xnli", **options)
    torch.manual_seed(5)
    model = build_model(backbone(), TASKS["xnli"], chosen)
    model.classifier.never = torch.nn.Parameter(torch.ones(3))
    model.classifier.sometimes = torch.nn.Parameter(torch.ones(5))
    inputs = tokenised(TASKS["xnli"], ROWS, backbone().tokenizer, "en", 32)
    torch.manual_seed(world.rank)
    return TrainStep(
        model.to(DEVICE), chosen, inputs, steps=len(BATCHES), words_per_batch=None, pad=0, device=DEVICE, world=world,
        counters=Counters(room=max_tokens), graphs=False,
    )  # fmt: skip


@contextmanager
def missing_gradients() -> Iterator[None]:
    """Models have a parameter that nothing uses, `never`, and one that only examples of class 0 use, `sometimes`."""
    forward = TransferModel.forward

    def using(self: TransferModel, *args: Any, labels: torch.Tensor, **kwargs: Any) -> dict[str, Any]:
        output = forward(self, *args, labels=labels, **kwargs)
        if chosen := int((labels == 0).sum()):
            output["loss"] = output["loss"] + chosen * self.classifier.sometimes.square().sum()
        return output

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransferModel, "forward", using)
        yield


def trained(train_step: TrainStep) -> TrainStep:
    """After all steps."""
    for batch in BATCHES:
        train_step.step(batch)
    return train_step


def weights(train_step: TrainStep) -> dict[str, torch.Tensor]:
    """And the optimizer's state: a parameter without a gradient has none, or has made no step."""
    tensors = {f"model.{name}": tensor for name, tensor in train_step.model.state_dict().items()}
    for name, parameter in train_step.model.named_parameters():
        for key, value in train_step._optimisation.adamw.state.get(parameter, {}).items():
            tensors[f"{key}.{name}"] = value
    return {name: tensor.to("cpu", copy=True) for name, tensor in tensors.items()}


def same(ones: dict[str, torch.Tensor], others: dict[str, torch.Tensor], *, to: float) -> None:
    """Weights are alike up to rounding; to the bit, where ``to`` is 0."""
    assert ones.keys() == others.keys()
    for name, value in ones.items():
        assert torch.allclose(value, others[name], rtol=0, atol=to), (name, (value - others[name]).abs().max())


def agree(world: World, train_step: TrainStep) -> None:
    """All processes have the same weights, to the bit."""
    parts = [tensor.numpy().tobytes() for tensor in weights(train_step).values()]
    assert len(set(world.gather(hashlib.sha256(b"".join(parts)).hexdigest()))) == 1


@contextmanager
def watched() -> Iterator[list[str]]:
    """What happens: passes that begin, sums that begin, and the end of all passes."""
    events: list[str] = []
    forward, accumulate, start_sum = TransferModel.forward, TrainStep._accumulate, World.start_sum

    def noted(what: str, act: Callable[..., Any], *, after: bool = False) -> Callable[..., Any]:
        def acting(*args: Any, **kwargs: Any) -> Any:
            if not after:
                events.append(what)
            result = act(*args, **kwargs)
            if after:
                events.append(what)
            return result

        return acting

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransferModel, "forward", noted("pass", forward))
        patch.setattr(TrainStep, "_accumulate", noted("computed", accumulate, after=True))
        patch.setattr(World, "start_sum", noted("sum", start_sum))
        yield events


def sums_begin_within_the_last_pass(world: World) -> None:
    """Not before it, and most of them before its end; a bucket with a missing gradient goes last from then on."""
    train_step = a_training(world, max_tokens=MAX_TOKENS)
    buckets = len(train_step._sync._buckets)
    assert buckets > 4
    early = []
    for batch in BATCHES:
        with watched() as events:
            train_step.step(batch)
        passes = events.count("pass")
        assert passes > 1
        assert events.count("sum") == buckets
        last = max(place for place, event in enumerate(events) if event == "pass")
        assert events.index("sum") > last
        early.append(events[: events.index("computed")].count("sum"))
    # The first bucket holds the parameter that nothing uses, and is waited for until that is known.
    assert early[0] == 0
    assert early[1:] == [buckets - 2] * (len(BATCHES) - 1), early


def two_are_as_good_as_one(world: World) -> None:
    """The same weights up to rounding, and AdamW leaves out the same ones; to the bit each time and in each process."""
    alone = weights(trained(a_training(World())))
    for max_tokens in (None, MAX_TOKENS):
        once, again = (trained(a_training(world, max_tokens=max_tokens)) for _ in range(2))
        agree(world, once)
        same(weights(once), weights(again), to=0)
        same(weights(once), alone, to=1e-5)
    assert alone["step.classifier.weight"] == 6
    assert alone["step.classifier.sometimes"] == 4
    assert alone.get("step.classifier.never", 0) == 0


def generator_state() -> torch.Tensor:
    """Of the generator that dropout draws from, or whose numbers its masks follow from."""
    return torch.cuda.get_rng_state() if DEVICE.type == "cuda" else torch.get_rng_state()


class _LackOfMemory:
    """Memory runs out in one process, once, in the midst of a backward pass of the second step."""

    def __init__(self, train_step: TrainStep, which: int) -> None:
        self.attempts: list[torch.Tensor] = []
        """Losses of this process in the attempts at that step; 0 where memory ran out."""
        self.states: list[torch.Tensor] = []
        """`generator_state` before each of them."""
        self._train_step, self._which, self._passes = train_step, which, 0
        train_step.model.encoder.encoder.layer[0].output.dense.weight.register_hook(self._count)

    def _count(self, gradient: torch.Tensor) -> None:
        if self._train_step.counters.step == 1:
            self._passes += 1
            if self._train_step.world.rank == 1 and self._passes == self._which:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    @contextmanager
    def noted(self) -> Iterator[None]:
        accumulate = TrainStep._accumulate

        def noting(train_step: TrainStep, *args: Any) -> torch.Tensor:
            if train_step.counters.step == 1:
                self.states.append(generator_state())
                self.attempts.append(torch.zeros(()))
            loss = accumulate(train_step, *args)
            if train_step.counters.step == 1:
                self.attempts[-1] = loss.clone()
            return loss

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TrainStep, "_accumulate", noting)
            yield


def memory_runs_out_in_one(world: World) -> None:
    """The step is repeated by all, from smaller microbatches by the one, and nothing of the first attempt is left."""
    undisturbed = weights(trained(a_training(world, max_tokens=MAX_TOKENS)))
    microbatches = len(a_training(world, max_tokens=MAX_TOKENS)._microbatches(BATCHES[1][world.rank :: 2]))
    assert min(world.gather(microbatches)) >= 3
    for which in (1, 2, world.gather(microbatches)[1]):
        train_step = a_training(world, max_tokens=MAX_TOKENS)
        lack = _LackOfMemory(train_step, which)
        with lack.noted():
            trained(train_step)
        assert len(lack.attempts) == 2
        assert (train_step.counters.max_tokens < MAX_TOKENS) == (world.rank == 1)
        agree(world, train_step)
        same(weights(train_step), undisturbed, to=1e-5)


def a_repeated_step_drops_out_the_same(world: World) -> None:
    """Random numbers are those of the first attempt: the process that had memory computes the same once more."""
    train_step = a_training(world, max_tokens=MAX_TOKENS, dropout=0.3)
    lack = _LackOfMemory(train_step, 2)
    with lack.noted():
        trained(train_step)
    agree(world, train_step)
    first, second = lack.attempts
    assert torch.equal(*lack.states)
    if world.rank == 0:
        assert torch.equal(first, second)
    else:
        assert first == 0 < second


def an_error_ends_all(world: World) -> None:
    """The process that fails says what is wrong; so do the others, which would else wait for it."""
    train_step = a_training(world)
    train_step.step(BATCHES[0])
    lack = "out of memory with a single example: try a smaller max_length"
    for error, ours, theirs in (
        (ValueError("broken"), (ValueError, "^broken"), (TrainingError, "^process 1 failed: ValueError: broken$")),
        (torch.OutOfMemoryError("CUDA"), (TrainingError, f"^{lack}"), (TrainingError, f"^process 1 failed: {lack}")),
    ):
        kind, words = ours if world.rank == 1 else theirs

        def fail(gradient: torch.Tensor, error: Exception = error) -> None:
            if world.rank == 1:
                raise error

        hook = train_step.model.encoder.encoder.layer[0].output.dense.weight.register_hook(fail)
        with pytest.raises(kind, match=words):
            train_step.step(BATCHES[1])
        hook.remove()
        assert all(parameter.grad is None for parameter in train_step.model.parameters())


if __name__ == "__main__":
    prepare_multiprocess()
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))  # whoever waits in vain fails
    gradient_sync._BUCKET = SMALL
    with seeded(1, DEVICE), missing_gradients():
        for check in (
            sums_begin_within_the_last_pass,
            two_are_as_good_as_one,
            memory_runs_out_in_one,
            a_repeated_step_drops_out_the_same,
            an_error_ends_all,
        ):
            check(World.current())
    print("all is well", flush=True)
