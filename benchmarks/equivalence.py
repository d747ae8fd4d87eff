"""Do trimming and length-grouped batches change what is learned? The same fine-tuning with and without them.

python -m benchmarks.equivalence --encoder FacebookAI/xlm-roberta-base --data xglue_full_dataset.tar.gz
python -m benchmarks.equivalence --encoder DIR --data sample --rows 96 --seeds 1 2

The reference trains the whole embedding table, on batches drawn at random. Printed are, for each seed, the score (mean
over the languages of the share of right classes, in percent), the loss and the speed of both, and their difference.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any
from unittest.mock import patch

import torch
from tqdm import tqdm

from benchmarks.engine import Ours
from benchmarks.workload import Setting, command_line, default_device, load, write_figures


def random_batches(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """The batches of an epoch without regard to length; as `epoch_batches` of ``xglue_harness.encoders.batching``."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order: list[int] = torch.randperm(len(lengths), generator=generator).tolist()
    return [order[at : at + batch_size] for at in range(0, len(order), batch_size)]


def score(setting: Setting, seed: int, *, plain: bool) -> dict[str, Any]:
    """Fine-tune with one seed and evaluate; ``plain``: all rows of the table, random batches."""
    with ExitStack() as stack:
        if plain:
            run = "xglue_harness.training.trainer"
            stack.enter_context(patch(f"{run}.why_not_trimmable", lambda *_: "the reference of a benchmark"))
            stack.enter_context(patch(f"{run}.epoch_batches", random_batches))
        side = Ours(setting)
        train, tests = load(setting)
        trained = side.train(train, setting.epochs, seed=seed)
        return {**asdict(trained), "score": 100 * side.evaluate(tests).accuracy}


def main() -> None:
    """Run both in turn for each seed and print a table."""
    parser = command_line(__doc__)
    parser.add_argument("--rows", type=int, default=2500, help="training rows")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--eval-rows", type=int, help="rows of each language's test set; by default all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    given = parser.parse_args()
    setting = Setting.of(given)
    runs: list[dict[str, Any]] = []
    for seed in tqdm(given.seeds, desc="seeds"):
        ours, plain = score(setting, seed, plain=False), score(setting, seed, plain=True)
        runs.append({"seed": seed, "ours": ours, "plain": plain})
        if given.json:
            figures = {"setting": asdict(setting), "seeds": runs}
            write_figures(given.json, "equivalence", figures, default_device())
        for name, side in (("ours", ours), ("plain", plain)):
            speed, padding = side["real_tokens"] / side["seconds"], side["padded_tokens"] / side["real_tokens"]
            print(
                f"seed {seed} {name:6} score {side['score']:.2f}  loss {side['losses'][1]:.4f}  "
                f"{speed:.0f} real tokens/s  padded/real {padding:.3f}",
                flush=True,
            )
        print(f"seed {seed} difference {ours['score'] - plain['score']:+.2f} points", flush=True)
    for name in ("ours", "plain"):
        scores = [entry[name]["score"] for entry in runs]
        spread = statistics.stdev(scores) if len(scores) > 1 else float("nan")
        print(f"{name:6} mean {statistics.mean(scores):.2f}, standard deviation over seeds {spread:.2f}")


if __name__ == "__main__":
    main()
