"""What it costs to share a training among processes: a step of ours beside one of torch's DistributedDataParallel.

python -m benchmarks.processes
python -m benchmarks.processes --processes 4 --rounds 12 --against ../before

Random weights learn random subwords; each process computes its share of every batch. The sides have processes of their
own, which take turns, so that each round has a ratio; "alone" is one process with the share of one, which has nothing
to wait for. ``--against`` adds ours of another checkout. The processors' time, of all processes together, is less moved
by what else runs. On CPUs each process has one thread and gloo carries the messages; with a GPU for each process, NCCL.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.rounds import in_turn, parser_of, print_ratios

SHAPES = {
    "6 layers of 128": {"width": 128, "layers": 6, "heads": 4, "length": 16},
    "12 layers of 384, as multilingual-e5-small": {"width": 384, "layers": 12, "heads": 12, "length": 32},
}
SHARE = 16
"""Examples that a process computes in a step."""


def serve(shapes: dict[str, int], side: str, steps: int) -> None:
    """Train; for each line that is read, print the seconds of a step, and those of the processor."""
    import torch
    import torch.distributed as dist
    from transformers import BertConfig, BertModel

    from xglue_harness.encoders.heads import TransferModel

    size = int(os.environ["WORLD_SIZE"])
    on_gpus = torch.cuda.device_count() >= size
    device = torch.device("cuda", int(os.environ["RANK"])) if on_gpus else torch.device("cpu")
    if on_gpus:
        torch.cuda.set_device(device)
    if size > 1:
        dist.init_process_group("nccl" if on_gpus else "gloo")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=1000, hidden_size=shapes["width"], num_hidden_layers=shapes["layers"],
        num_attention_heads=shapes["heads"], intermediate_size=4 * shapes["width"],
    )  # fmt: skip
    encoder = BertModel(config, add_pooling_layer=False)
    model = TransferModel(encoder, 3, tagging=False, pooling="first").to(device).train()
    step = plain_step(model, shapes, device) if side == "DDP" else our_step(model, shapes, device, size)
    step()
    for _ in sys.stdin:
        began, worked = time.perf_counter(), time.process_time()
        for _ in range(steps):
            step()
        if on_gpus:
            torch.cuda.synchronize()
        print((time.perf_counter() - began) / steps, (time.process_time() - worked) / steps, flush=True)


def our_step(model: Any, shapes: dict[str, int], device: Any, size: int) -> Callable[[], None]:
    """The package's own step."""
    import torch

    from xglue_harness.benchmark import TASKS
    from xglue_harness.encoders.inputs import Inputs
    from xglue_harness.recipe import Options, resolve
    from xglue_harness.training.checkpoint import Counters
    from xglue_harness.training.distributed import World
    from xglue_harness.training.train_step import TrainStep

    batch = SHARE * size
    inputs = Inputs(
        ids=torch.randint(1000, (batch * shapes["length"],), dtype=torch.int32),
        starts=torch.arange(batch + 1) * shapes["length"],
        rows=torch.arange(batch, dtype=torch.int32),
        truncated=torch.zeros(batch, dtype=torch.bool),
        labels=torch.randint(3, (batch,), dtype=torch.int32),
    )
    options = Options(batch_size=batch, max_length=shapes["length"], learning_rate=1e-5)
    recipe = resolve(options, TASKS["xnli"], seed=1, precision="fp32", pooling="first")
    train_step = TrainStep(
        model, recipe, inputs, steps=1_000_000, words_per_batch=None, pad=0, device=device, world=World.current(),
        counters=Counters(),
    )  # fmt: skip
    return lambda: train_step.step(range(batch))


def plain_step(model: Any, shapes: dict[str, int], device: Any) -> Callable[[], None]:
    """The same arithmetic under DistributedDataParallel."""
    import torch
    from torch.nn.parallel import DistributedDataParallel

    from xglue_harness.encoders.cpu_kernels import training_kernels

    ids = torch.randint(1000, (SHARE, shapes["length"]), device=device)
    mask, labels = torch.ones_like(ids), torch.randint(3, (SHARE,), device=device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    shared = DistributedDataParallel(model, gradient_as_bucket_view=True)

    def step() -> None:
        with training_kernels(device):
            loss = shared(ids, mask, labels=labels)["loss"] / SHARE
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


class Side:
    """Some processes that train together, and wait for their turns."""

    def __init__(self, name: str, shapes: str, processes: int, steps: int, checkout: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        root = str(checkout.resolve())
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        world = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        # By its path, so that another checkout need not have it; all that it imports is that checkout's.
        command = [sys.executable, __file__, "--serve", shapes, "--side", name, "--steps", str(steps)]
        self._processes = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env={"OMP_NUM_THREADS": "1", **os.environ, **world, "RANK": str(rank), "PYTHONPATH": path},
            )
            for rank in range(processes)
        ]  # fmt: skip

    def turn(self) -> dict[str, float]:
        """Seconds of a step, and seconds of all processors."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        answers = []
        for process in self._processes:
            assert process.stdout is not None
            answers.append([float(number) for number in process.stdout.readline().split()])
        seconds, worked = zip(*answers, strict=True)
        return {"s a step": max(seconds), "processors' s a step": sum(worked)}

    def end(self) -> None:
        """Let all processes end."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self._processes:
            process.wait()


def compare(name: str, given: argparse.Namespace) -> None:
    """Print the table of one encoder."""
    here = Path(__file__).parents[1]
    wanted = {"ours": (given.processes, here), "DDP": (given.processes, here), "alone": (1, here)}
    if given.against is not None:
        wanted["against"] = (given.processes, given.against)
    shapes = json.dumps(SHAPES[name])
    sides = {side: Side(side, shapes, count, given.steps, folder) for side, (count, folder) in wanted.items()}
    figures: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    try:
        for side in sides.values():
            side.turn()
        for number in range(given.rounds):
            for chosen in in_turn(sides, number):
                figures[chosen].append(sides[chosen].turn())
    finally:
        for side in sides.values():
            side.end()
    print(f"{name}, {given.processes} processes, {given.rounds} rounds of {given.steps} steps")
    for chosen in sides:
        if chosen != "ours":
            print_ratios({"ours": figures["ours"], chosen: figures[chosen]}, 22)
    sys.stdout.flush()


def main() -> None:
    """Measure all encoders."""
    parser = parser_of(__doc__, rounds=8)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8, help="of a turn (default: 8)")
    parser.add_argument("--against", type=Path, help="another checkout of this project")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(json.loads(given.serve), given.side, given.steps)
        return
    for name in SHAPES:
        compare(name, given)


if __name__ == "__main__":
    main()
