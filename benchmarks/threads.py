"""How threads should wait for one another: a training step under each policy, on an idle and on a busy machine.

python -m benchmarks.threads
python -m benchmarks.threads --rounds 12 --busy 4

Each policy has a process of its own, for OpenMP reads its variables when torch is loaded. The processes take turns, so
that each round has a ratio to the policy of this package; "busy" is beside as many endless loops as there are cores.
An idle machine is yours to provide: the benchmark only prints the load that it finds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benchmarks.rounds import in_turn, middle, parser_of, spread
from xglue_harness.threads import COUNTS, SPIN, WAITING, limits

POLICIES: dict[str, dict[str, str]] = {
    "ours": SPIN,
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "torch's default": {},
    "spin 20000": {"GOMP_SPINCOUNT": "20000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
"""Ours first: the others are given as ratios to it."""

SHAPES = {
    "the demonstration's encoder": {"width": 96, "layers": 2, "heads": 4, "batch": 16, "length": 24},
    "12 layers of 384, as multilingual-e5-small": {"width": 384, "layers": 12, "heads": 12, "batch": 8, "length": 32},
}


def serve(shapes: Mapping[str, int], seconds: float) -> None:
    """Train random weights on random subwords; for each line that is read, print the seconds of a step."""
    import torch
    from transformers import BertConfig, BertModel

    from xglue_harness.encoders.cpu_kernels import training_kernels
    from xglue_harness.encoders.heads import TransferModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=1000, hidden_size=shapes["width"], num_hidden_layers=shapes["layers"],
        num_attention_heads=shapes["heads"], intermediate_size=4 * shapes["width"],
    )  # fmt: skip
    model = TransferModel(BertModel(config, add_pooling_layer=False), 3, tagging=False, pooling="first").train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    ids = torch.randint(1000, (shapes["batch"], shapes["length"]))
    mask, labels = torch.ones_like(ids), torch.randint(3, (shapes["batch"],))

    def step() -> None:
        with training_kernels(ids.device):
            model(ids, mask, labels=labels)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    for _ in sys.stdin:
        began, steps = time.perf_counter(), 0
        while steps < 2 or time.perf_counter() - began < seconds:
            step()
            steps += 1
        print((time.perf_counter() - began) / steps, flush=True)


@contextmanager
def loops(count: int) -> Iterator[None]:
    """Other jobs: endless loops."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def compare(name: str, rounds: int, seconds: float, busy: int) -> None:
    """Print the table of one encoder."""
    unset = {key: value for key, value in os.environ.items() if key not in {*WAITING, *COUNTS}}
    command = [sys.executable, "-m", "benchmarks.threads", "--serve", json.dumps(SHAPES[name])]
    command += ["--seconds", f"{seconds}"]
    sides = {
        policy: subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**unset, **variables}
        )
        for policy, variables in POLICIES.items()
    }

    def turn(side: subprocess.Popen[str]) -> float:
        assert side.stdin is not None
        assert side.stdout is not None
        side.stdin.write("\n")
        side.stdin.flush()
        return float(side.stdout.readline())

    try:
        for side in sides.values():
            turn(side)
        for beside in (0, busy):
            with loops(beside):
                load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
                times: dict[str, list[float]] = {policy: [] for policy in sides}
                for number in range(rounds):
                    for policy in in_turn(sides, number):
                        times[policy].append(turn(sides[policy]))
            print(f"{name}, beside {beside} endless loops, {rounds} rounds; load of the last minute {load:.1f}")
            ours = times[next(iter(times))]
            for policy, values in times.items():
                ratio = spread(a / b for a, b in zip(values, ours, strict=True))
                print(
                    f"  {policy:16} {1000 * middle(values)[0]:9.1f} ms a step (least {1000 * min(values):.1f}); "
                    f"ratio to ours {ratio}, of the least "
                    f"{min(values) / min(ours):.2f}",
                    flush=True,
                )
    finally:
        for side in sides.values():
            side.communicate()


def main() -> None:
    """Measure all encoders."""
    parser = parser_of(__doc__, rounds=8)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn, at least")
    parser.add_argument("--busy", type=int, default=limits()["cores here"], help="endless loops of the busy machine")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(json.loads(given.serve), given.seconds)
        return
    for name in SHAPES:
        compare(name, given.rounds, given.seconds, given.busy)


if __name__ == "__main__":
    main()
