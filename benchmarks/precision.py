"""Fine-tuning and evaluation in bf16 against fp32, both ours, in turn, each in its own process.

python -m benchmarks.precision --encoder intfloat/multilingual-e5-small --data xglue_full_dataset.tar.gz
python -m benchmarks.precision --encoder DIR --data DIR --task xnli --rows 320 --eval-rows 40 --rounds 5

Same rows, batches, steps and seed; what is timed is as in `benchmarks.transfer`. Printed are medians over the rounds,
and the median of the rounds' ratios of bf16 to fp32 with its range. First comes what `precision: auto` would choose on
this processor, and what it would choose by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

from tqdm import tqdm

from benchmarks.rounds import in_turn, print_difference, print_ratios
from benchmarks.workload import Setting, ask, command_line, default_device, load, write_figures

SIDES: tuple[Literal["bf16", "fp32"], ...] = ("bf16", "fp32")


def compare(setting: Setting, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Figures of both precisions, round by round; each goes first in every other round."""
    figures: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with tqdm(total=2 * rounds, unit="run") as bar:
        for number in range(rounds):
            for side in in_turn(SIDES, number):
                bar.set_description(f"round {number + 1} of {rounds}, {side}")
                answer = ask("benchmarks.engine", replace(setting, precision=side))["figures"]
                figures[side].append({name.replace(f"{side} peak", "peak"): value for name, value in answer.items()})
                bar.update()
    return figures


def chosen() -> dict[str, Any]:
    """What ``precision: auto`` is here, and what was measured for it (now, or by whoever asked first)."""
    from xglue_harness.records.provenance import hardware
    from xglue_harness.training.finetune import resolve_precision

    device = default_device()
    return {"auto": resolve_precision("auto", device), "products": hardware(device).get("bf16_products")}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both precisions in turn and print a table."""
    parser = command_line(__doc__)
    parser.add_argument("--rows", type=int, default=640, help="training rows, the first ones (default: 640)")
    parser.add_argument("--eval-rows", type=int, help="rows of each language's test set; 0: none (default: all)")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    setting, auto = Setting.of(given), chosen()
    load(setting)  # which parses the files once, for all processes
    print(f"precision auto is {auto['auto']}: products in bf16 are {auto['products'] or 'not measured'}")
    figures = compare(setting, given.rounds)
    print(f"{setting.spec.title}, {given.rounds} rounds")
    print_ratios(figures, 33)
    print_difference(figures, "loss, mean of last steps")
    if given.json:
        facts = {"setting": asdict(setting), "auto": auto, "rounds": figures}
        write_figures(given.json, "precision", facts, default_device())


if __name__ == "__main__":
    main()
