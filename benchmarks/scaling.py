"""How our cost grows with the training set and with the languages, and whether it does so linearly.

python -m benchmarks.scaling --encoder FacebookAI/xlm-roberta-base --data xglue_full_dataset.tar.gz
python -m benchmarks.scaling --encoder DIR --data sample --rows 24 --eval-rows 10 --rounds 5 --json scaling.json

One epoch on 1, 2, 4 and 8 times as many rows (drawn at random from the first 8 times as many, each choice containing
the smaller ones), and the test sets of 1, 3, 9 and 18 languages with the same number of rows each, in this order, round
after round in one process: medians over the rounds, and of each round's ratio to the smallest of the same round. What
should stay the same is the time of a real (not padding) subword: of training steps alone, and of evaluation with its
tokenising. All tokenising is timed with empty caches, that of the training set also in a second training on the same
rows with another seed.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict

from tqdm import tqdm

from benchmarks.rounds import middle, spread
from benchmarks.workload import WARM_UP, Setting, command_line, default_device, load, write_figures
from xglue_harness.benchmark import SOURCE_LANGUAGE

TIMES, LANGUAGES = (1, 2, 4, 8), (1, 3, 9, 18)
Sizes = dict[int, list[dict[str, float]]]
"""Figures of every round, by size."""


def measure(setting: Setting, rounds: int) -> dict[str, Sizes]:
    """Figures of trainings by rows, of evaluations by languages, and of tokenising by rows."""
    from benchmarks.engine import Ours

    train, tests = load(setting)
    train = train.shuffle(seed=setting.seed, keep_in_memory=True).flatten_indices(keep_in_memory=True)
    rows = [setting.rows // TIMES[-1] * times for times in TIMES]
    if len(train) < rows[-1]:
        raise SystemExit(f"the data have {len(train)} training rows, {rows[-1]} are needed: lower --rows")
    names = sorted(tests, key=lambda language: language != SOURCE_LANGUAGE)
    counts = sorted({min(count, len(names)) for count in LANGUAGES})
    ours = Ours(setting)
    figures: dict[str, Sizes] = {
        "training": {count: [] for count in rows},
        "evaluation": {count: [] for count in counts},
        "tokenising": {rows[-1]: []},
    }
    ours.train(train.select(range(min(len(train), WARM_UP * setting.batch_size))), 1)
    ours.evaluate({name: tests[name].select(range(1)) for name in names})
    with tqdm(total=rounds * (len(rows) + len(counts) + 1), unit="run") as bar:
        for _ in range(rounds):
            for count in rows:
                bar.set_description(f"training on {count} rows")
                trained = ours.train(train.select(range(count)), 1)
                figures["training"][count].append(_figures(trained.seconds, trained.real_tokens) | asdict(trained))
                bar.update()
            for count in counts:
                bar.set_description(f"evaluating {count} languages")
                evaluated = ours.evaluate({name: tests[name] for name in names[:count]})
                seconds = evaluated.tokenising_seconds + evaluated.seconds
                figures["evaluation"][count].append(_figures(seconds, ours.evaluated_tokens) | asdict(evaluated))
                bar.update()
            bar.set_description(f"tokenising {rows[-1]} rows")
            one_step = 1 / setting.steps(rows[-1], 1)
            first = ours.train(train.select(range(rows[-1])), one_step).tokenising_seconds
            second = ours.train(train.select(range(rows[-1])), one_step, seed=setting.seed + 1, anew=False)
            figures["tokenising"][rows[-1]].append({"first": first, "second": second.tokenising_seconds})
            bar.update()
    return figures


def _figures(seconds: float, tokens: int) -> dict[str, float]:
    return {"total": seconds, "tokens": tokens, "us": 1e6 * seconds / tokens}


def ratios(sizes: Sizes) -> dict[int, tuple[float, float, float]]:
    """Time of a subword by that of the smallest size in the same round: median, least and largest, by size."""
    base = sizes[min(sizes)]
    return {
        size: middle(one["us"] / other["us"] for one, other in zip(rounds, base, strict=True))
        for size, rounds in sizes.items()
    }


def print_sizes(what: str, unit: str, sizes: Sizes) -> None:
    """Print one line a size, and the largest deviation from linear."""
    print(f"{what}\n{unit:>10}{'real tokens':>13}{'total s':>10}{f's/{unit[:-1]}':>12}{'us/token':>10}  ratio")
    by_size = ratios(sizes)
    for size, rounds in sizes.items():
        middles = {name: statistics.median(one[name] for one in rounds) for name in ("tokens", "total", "us")}
        ratio, least, largest = by_size[size]
        print(
            f"{size:10}{middles['tokens']:13.0f}{middles['total']:10.3f}{middles['total'] / size:12.4f}"
            f"{middles['us']:10.2f}  {ratio:.2f} ({least:.2f} to {largest:.2f})"
        )
    size, (ratio, _, _) = max(by_size.items(), key=lambda item: abs(item[1][0] - 1))
    print(f"largest deviation from linear: {ratio - 1:+.1%}, at {size} {unit}\n")


def print_tokenising(sizes: Sizes) -> None:
    """Print how long tokenising took the first and the second time."""
    [(rows, rounds)] = sizes.items()
    first, second = (statistics.median(one[name] for one in rounds) for name in ("first", "second"))
    ratio = spread(one["second"] / one["first"] for one in rounds)
    print(f"Tokenising {rows} rows: first {first:.3f} s, second {second:.3f} s, ratio {ratio}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the tables."""
    parser = command_line(__doc__)
    parser.add_argument("--rows", type=int, default=320, help="the smallest number of training rows (default: 320)")
    parser.add_argument("--eval-rows", type=int, default=200, help="test rows of each language (default: 200)")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    setting = Setting.of(given, rows=given.rows * TIMES[-1])
    figures = measure(setting, given.rounds)
    print(f"{setting.spec.title}, {given.precision}, {given.rounds} rounds; {given.eval_rows} test rows a language\n")
    print_sizes("Training", "rows", figures["training"])
    print_sizes("Evaluation, with tokenising", "languages", figures["evaluation"])
    print_tokenising(figures["tokenising"])
    if given.json:
        write_figures(given.json, "scaling", {"setting": asdict(setting), **figures}, default_device())


if __name__ == "__main__":
    main()
