"""Two processes look at gradients: ``torchrun --nproc_per_node 2 -m tests.helpers.watching_ranks``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from tests.helpers.training import CPU, WORDS, backbone, recipe, sentences
from xglue_harness.benchmark import TASKS
from xglue_harness.data import open_source
from xglue_harness.diagnostics import gradients
from xglue_harness.diagnostics.gradients import GradientWatch
from xglue_harness.diagnostics.parallel import parallel_rows
from xglue_harness.encoders.fingerprint import identify
from xglue_harness.errors import TrainingError
from xglue_harness.harness.processes import prepare_multiprocess
from xglue_harness.store.trainings import Store
from xglue_harness.training.determinism import seeded
from xglue_harness.training.distributed import World
from xglue_harness.training.finetune import FineTuned, finetune
from xglue_harness.training.trainer import TrainingData

SPEC = TASKS["pos"]


def train(world: World, folder: Path, *, watched: bool) -> FineTuned:
    """A training that keeps its weights below ``folder``."""
    body, chosen = backbone(dropout=0.1), recipe(epochs=4, dropout=None)
    watch = None
    if watched:
        watch = GradientWatch(body, chosen, parallel_rows(str(folder / "texts"), open_source("sample"), SPEC), world)
    data, store = TrainingData(sentences(40), "f" * 64), Store(folder / f"store-{watched}")
    with seeded(1, CPU):
        return finetune(body, identify(body), SPEC, chosen, data, store=store, progress=False, watch=watch)


def weights_are_the_same(world: World, folder: Path) -> None:
    """The first process looks, and all have what it saw."""
    plain, watched = (train(world, folder, watched=each) for each in (False, True))
    [epoch] = plain.entry.weights
    one, other = plain.entry.read(epoch), watched.entry.read(epoch)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    seen = watched.training.gradients
    assert seen is not None
    assert [point.step for point in seen.points] == seen.planned
    assert len({str(points) for points in world.gather(seen.points)}) == 1


def a_failure_reaches_all(world: World, folder: Path) -> None:
    """Nobody waits for a process that has no memory left."""

    def never(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    shutil.rmtree(folder / "store-True", ignore_errors=True)
    dist.barrier()
    with pytest.MonkeyPatch.context() as patch:
        if world.is_main_process:
            patch.setattr(gradients, "compare_gradients", never)
        with pytest.raises(TrainingError, match="leave the option gradients out"):
            train(world, folder, watched=True)


if __name__ == "__main__":
    prepare_multiprocess()
    dist.init_process_group("gloo")
    everyone = World.current()
    place = Path(everyone.broadcast(tempfile.mkdtemp()))
    if everyone.is_main_process:
        (place / "texts").mkdir()
        for language in ("en", "de"):
            lines = [" ".join(WORDS[: 1 + number % 4]) for number in range(12)]
            (place / "texts" / f"{language}.txt").write_text("\n".join(lines), encoding="utf-8")
    dist.barrier()
    for check in (weights_are_the_same, a_failure_reaches_all):
        check(everyone, place)
    everyone.on_main(lambda: shutil.rmtree(place))
    print("all is well", flush=True)
