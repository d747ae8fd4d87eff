"""What each of two processes checks: ``torchrun --nproc_per_node 2 -m tests.helpers.ranks``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from transformers import M2M100Config, M2M100Model

from tests.helpers.training import CPU, backbone, pairs, recipe
from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.encoders.cpu_precision import Bf16Gain
from xglue_harness.encoders.fingerprint import identify
from xglue_harness.encoders.heads import TransferModel
from xglue_harness.encoders.inputs import Inputs
from xglue_harness.encoders.tokenising import tokenised
from xglue_harness.errors import StoreError, TrainingError
from xglue_harness.harness.processes import prepare_multiprocess
from xglue_harness.store import token_cache
from xglue_harness.training.checkpoint import CheckpointFolder, Counters
from xglue_harness.training.distributed import World
from xglue_harness.training.finetune import finetune, resolve_precision
from xglue_harness.training.train_step import TrainStep
from xglue_harness.training.trainer import Trainer, TrainingData


def exchange(world: World) -> None:
    """Every way to talk to the others."""
    calls = []
    assert world.on_main(lambda: calls.append(1) or "done") == "done"
    assert len(calls) == (1 if world.is_main_process else 0)

    def fail() -> None:
        raise StoreError("the disk is full")

    with pytest.raises(StoreError, match="the disk is full"):
        world.on_main(fail)
    tensors = {"a": torch.arange(3.0), "b": torch.ones(2, 2, dtype=torch.uint8)} if world.is_main_process else None
    shared = world.broadcast_tensors(tensors, CPU)
    assert shared["a"].tolist() == [0, 1, 2]
    assert shared["b"].dtype == torch.uint8
    mine = torch.full((2, 3), float(world.rank + 1))
    world.start_sum(mine).wait()
    assert mine.tolist() == [[3.0] * 3] * 2
    hosts_talk(world)


def hosts_talk(world: World) -> None:
    """What travels from host to host."""
    assert world.broadcast("led" if world.is_main_process else "followed") == "led"
    assert world.gather(world.rank) == [0, 1]
    numbers = torch.tensor([1, world.rank])
    world.sum_on_hosts(numbers)
    assert numbers.tolist() == [2, 1]


def hosts_talk_where_the_group_knows_gpus_only(world: World) -> None:
    """As with NCCL, which takes no tensor in the host's memory; the group for hosts is made once."""
    dist.destroy_process_group()
    dist.init_process_group("cuda:gloo")
    with pytest.raises(RuntimeError, match="backend type associated with device type cpu"):
        dist.all_reduce(torch.ones(1))
    for _ in range(2):
        hosts_talk(World.current())
    assert World.current() == world


def layers_left_out(world: World) -> None:
    """LayerDrop leaves each process without the gradients of other layers; both must end with the same weights."""
    config = M2M100Config(
        vocab_size=80, d_model=16, encoder_layers=4, decoder_layers=1, encoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, decoder_attention_heads=2, encoder_layerdrop=0.5,
    )  # fmt: skip
    torch.manual_seed(0)
    model = TransferModel(M2M100Model(config).get_encoder(), 3, tagging=False, pooling="mean")
    torch.manual_seed(world.rank)
    chosen = recipe("xnli", batch_size=4)
    inputs = tokenised(TASKS["xnli"], pairs(32), backbone().tokenizer, "en", 32)
    train_step = TrainStep(
        model, chosen, inputs, steps=8, words_per_batch=None, pad=1, device=CPU, world=world, counters=Counters()
    )
    for start in range(0, 32, 4):
        train_step.step(range(start, start + 4))
    weights = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    assert len({str(one) for one in world.gather(weights)}) == 1


def uneven(world: World) -> None:
    """A batch of one example has none for the second process, which must not wait for ever, nor count."""
    torch.manual_seed(0)
    model = TransferModel(backbone().encoder, 3, tagging=False, pooling="first", dropout=0.0)
    chosen = recipe("xnli", batch_size=4)
    inputs = tokenised(TASKS["xnli"], pairs(1), backbone().tokenizer, "en", 32)
    train_step = TrainStep(
        model, chosen, inputs, steps=2, words_per_batch=None, pad=0, device=CPU, world=world, counters=Counters()
    )
    train_step.step([0])
    assert train_step.counters.real_tokens == inputs.subwords > 0
    torch.manual_seed(0)
    alone = TrainStep(
        TransferModel(backbone().encoder, 3, tagging=False, pooling="first", dropout=0.0), chosen, inputs,
        steps=2, words_per_batch=None, pad=0, device=CPU, world=World(), counters=Counters(),
    )  # fmt: skip
    alone.step([0])
    assert alone.counters == train_step.counters
    for name, value in alone.model.state_dict().items():
        assert torch.allclose(value, model.state_dict()[name], atol=1e-7), name


def tokens_of_the_training_set(world: World) -> None:
    """The first process tokenises for all; where they share no disk, each does it."""
    calls: list[int] = []

    def counting(spec: TaskSpec, rows: Any, *args: Any, **options: Any) -> Inputs:
        calls.append(len(rows))
        return tokenised(spec, rows, *args, **options)

    folder = world.broadcast(tempfile.mkdtemp())
    for own_disk, expected in ((False, [6] if world.is_main_process else []), (True, [6])):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(token_cache, "tokenised", counting)
            patch.setenv("XGLUE_CACHE", f"{folder}/{own_disk}/{world.rank if own_disk else 'all'}")
            calls.clear()
            data = TrainingData(pairs(6), "0" * 64)
            checkpoints = CheckpointFolder(Path(folder) / f"working-{own_disk}")
            trainer = Trainer(backbone(), TASKS["xnli"], recipe("xnli"), data, checkpoints, world, 60.0, progress=False)
            assert calls == expected
            assert world.gather(trainer._inputs.ids.tolist())[0] == trainer._inputs.ids.tolist()
    world.on_main(lambda: shutil.rmtree(folder))


def other_things_are_refused(world: World) -> None:
    """Each process loads for itself: what differs would be trained as if it were one."""
    data = TrainingData(pairs(6), f"{world.rank}" * 64)
    chosen = recipe("xnli", learning_rate=1e-3 * (world.rank + 1))
    with pytest.raises(TrainingError, match=r"^process 1 was given another data and recipe than process 0: all must"):
        finetune(backbone(), identify(backbone()), TASKS["xnli"], chosen, data)


def one_precision(world: World) -> None:
    """All train in what the first process has measured to be faster."""
    gain = Bf16Gain(forward=5.0, backward=4.0) if world.is_main_process else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xglue_harness.training.finetune.bf16_gain", lambda: gain)
        assert resolve_precision("auto", CPU) == "bf16"


if __name__ == "__main__":
    prepare_multiprocess()
    dist.init_process_group("gloo")
    for check in (
        exchange,
        layers_left_out,
        uneven,
        tokens_of_the_training_set,
        other_things_are_refused,
        one_precision,
        hosts_talk_where_the_group_knows_gpus_only,
    ):
        check(World.current())
    print("all is well", flush=True)
