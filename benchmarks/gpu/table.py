"""What was measured, beside what was wanted: as lines for a terminal, and as a page."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu.results import Result

Results = Mapping[str, Result]

BEST = ("Trainer at its best", "Trainer compiled", "Trainer with cuDNN", "Trainer")
"""The fastest of these is the `Trainer` at its best."""
OURS = ("ours", "ours compiled")
"""The fastest of these is ours at its best."""


@dataclass(frozen=True)
class Target:
    """A figure that the card should reach.

    Attributes:
        name: of the figure.
        least: what it should be at least.
        unit: behind the number.
        figure: takes it out of the results; ``None`` where it was not measured.
    """

    name: str
    least: float
    unit: str
    figure: Callable[[Results], float | None]


def by_key(results: Sequence[Result]) -> dict[str, Result]:
    """Results by key; of several with one key the last that came to something."""
    found: dict[str, Result] = {}
    for result in results:
        if result.status not in ("error", "left out") or result.key not in found:
            found[result.key] = result
    return found


def figure(results: Results, key: str, name: str) -> float | None:
    """One number of a result, if it was measured."""
    result = results.get(key)
    value = result.figures.get(name) if result is not None and result.status == "measured" else None
    return float(value) if isinstance(value, (int, float)) else None


def _fastest(results: Results, workload: str, sides: Sequence[str], name: str) -> float | None:
    values = (figure(results, f"speed/shapes/bf16/{workload}/{side}", name) for side in sides)
    return max((value for value in values if value is not None), default=None)


def ratio(
    workload: str, sides: Sequence[str], name: str, ours: Sequence[str] = ("ours",)
) -> Callable[[Results], float | None]:
    """The fastest of our sides to the fastest of some others."""

    def taken(results: Results) -> float | None:
        mine, others = _fastest(results, workload, ours, name), _fastest(results, workload, sides, name)
        return mine / others if mine is not None and others else None

    return taken


def peak_share(workload: str) -> Callable[[Results], float | None]:
    """Percent of the measured bf16 peak that our training reaches at its best."""

    def taken(results: Results) -> float | None:
        reached = _fastest(results, workload, OURS, "TFLOP/s")
        peak = figure(results, "facts/bf16 products", "TFLOP/s")
        return 100 * reached / peak if reached is not None and peak else None

    return taken


def device_share(workload: str) -> Callable[[Results], float | None]:
    """Percent of a step in which the device works: device time of the trace, by the time of a step without it."""

    def taken(results: Results) -> float | None:
        share = figure(results, f"profile/{workload}/ours", "device works of wall")
        return None if share is None else 100 * min(1.0, share)

    return taken


def _tokens(workload: str, least: float, least_best: float) -> list[Target]:
    name = f"training, {workload}-like: ours to the Trainer's"
    return [
        Target(f"{name} default", least, "times", ratio(workload, ("Trainer",), "real tokens/s")),
        Target(f"{name} best", least_best, "times", ratio(workload, BEST, "real tokens/s", OURS)),
    ]


TARGETS = [
    *_tokens("XNLI", 5, 3),
    *_tokens("POS", 5, 3),
    *_tokens("NC", 2, 1.3),
    Target("share of the measured bf16 peak, XNLI-like", 25, "%", peak_share("XNLI")),
    Target("share of the measured bf16 peak, NC-like", 50, "%", peak_share("NC")),
    Target("share of a step in which the device works, XNLI-like", 90, "%", device_share("XNLI")),
    Target("share of a step in which the device works, NC-like", 90, "%", device_share("NC")),
    Target("evaluation, XNLI: ours to Trainer.predict", 5, "times", ratio("XNLI", ("Trainer",), "rows/s evaluated")),
    Target("evaluation, POS: ours to Trainer.predict", 5, "times", ratio("POS", ("Trainer",), "rows/s evaluated")),
]


def target_rows(results: Results) -> list[tuple[str, str, str, str]]:
    """Name, wanted, measured, and whether it was reached, of all targets."""
    rows = []
    for target in TARGETS:
        value = target.figure(results)
        measured = "not measured" if value is None else f"{value:.2f} {target.unit}"
        verdict = "" if value is None else ("reached" if value >= target.least else "MISSED")
        rows.append((target.name, f"{target.least:g} {target.unit}", measured, verdict))
    checks = [result for key, result in results.items() if key.startswith("checks/")]
    counts = {
        status: sum(result.status == status for result in checks) for status in ("ok", "FAILED", "error", "left out")
    }
    told = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    rows.append(
        ("all checks", "ok", told or "not run", "reached" if checks and counts["ok"] == len(checks) else "MISSED")
    )
    seeds = seed_rows(results)
    if seeds:
        within = all(row[-1] == "within" for row in seeds)
        rows.append(("seeds: card in bf16 against CPU in fp32", "within seed noise", f"{len(seeds)} languages",
                     "reached" if within else "MISSED"))  # fmt: skip
    return rows


def seed_rows(results: Results, precision: str = "bf16") -> list[tuple[str, str, str, str]]:
    """Language, CPU, card, and whether the means differ by no more than the larger range of the seeds."""
    here, there = results.get("seeds/cpu fp32"), results.get(f"seeds/cuda {precision}")
    if here is None or there is None or here.status != "measured" or there.status != "measured":
        return []
    rows = []
    for language, cpu in here.figures["accuracy"].items():
        card = there.figures["accuracy"][language]
        noise = max(max(cpu) - min(cpu), max(card) - min(card))
        apart = abs(statistics.mean(card) - statistics.mean(cpu))
        rows.append((language, _mean(cpu), _mean(card), "within" if apart <= noise else f"APART by {apart:.2f}"))
    return rows


def _mean(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def speed_rows(results: Results) -> list[tuple[str, ...]]:
    """Encoder, precision, workload and side, and their figures."""
    names = ("steps/s", "real tokens/s", "peak memory GB", "s of start-up", "s of recording", "rows/s evaluated")
    rows = []
    for key, result in results.items():
        if key.startswith("speed/") and result.status == "measured":
            values = (result.figures.get(name) for name in names)
            cells = ("" if value is None else f"{value:,.1f}" for value in values)
            right = result.figures.get("accuracy")
            told = "" if right is None else f"{100 * right:.1f}"
            rows.append((*key.split("/", 1)[1].split("/", 3), *cells, told, str(result.figures.get("mode", ""))[:40]))
    return rows


def profile_rows(results: Results) -> list[tuple[str, ...]]:
    """Workload and side; ms a step by kind of kernel; gaps, kernels and launches."""
    rows = []
    for key, result in results.items():
        if key.startswith("profile/") and result.status == "measured":
            told = result.figures
            kinds = ", ".join(f"{kind} {ms:.2f}" for kind, ms in told["ms by kind"].items() if ms >= 0.005)
            _, workload, side = key.split("/", 2)
            cells = (
                _cell(told, name) for name in ("wall ms", "host ms", "device ms", "gaps ms", "kernels", "launches")
            )
            rows.append((workload, side, *cells, kinds))
    return rows


def together_rows(results: Results) -> list[tuple[str, ...]]:
    """Trainings at once, steps a second of all, and the ratio to one alone."""
    alone = figure(results, "together/1", "steps/s together")
    rows = []
    for key, result in results.items():
        value = figure(results, key, "steps/s together")
        if key.startswith("together/") and value is not None:
            rows.append((key.split("/")[1], f"{value:.1f}", f"{value / alone:.2f}" if alone else "", result.note[:40]))
    return rows


def _cell(figures: Mapping[str, Any], name: str) -> str:
    value = figures.get(name)
    return "" if value is None else f"{value:.2f}"


def tables(results: Results) -> Iterator[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """Title, head and rows of each table that has rows."""
    facts = [(key.split("/")[1], _short(result)) for key, result in results.items() if key.startswith("facts/")]
    checks = [(key.split("/", 1)[1], result.status, _short(result)) for key, result in results.items()
              if key.startswith("checks/")]  # fmt: skip
    missing = [(key, result.status, result.note) for key, result in results.items()
               if result.status in ("error", "left out") and not key.startswith("checks/")]  # fmt: skip
    every: list[tuple[str, tuple[str, ...], Sequence[tuple[str, ...]]]] = [
        ("Facts", ("fact", "figures"), facts),
        ("Checks", ("check", "", "figures"), checks),
        ("POS by language, percent of right words: mean over seeds (least to most)",
         ("language", "CPU, fp32", "card, bf16", "difference of the means"), seed_rows(results)),
        ("The same, card in fp32", ("language", "CPU, fp32", "card, fp32", "difference of the means"),
         seed_rows(results, "fp32")),
        ("Speed", ("encoder", "precision", "rows like", "side", "steps/s", "real tokens/s", "peak GB", "start-up s",
                   "recording s", "rows/s evaluated", "right %", "mode"), speed_rows(results)),
        ("Where a step's time goes, ms", ("rows like", "side", "wall", "host", "device", "gaps", "kernels", "launches",
                                          "kernels by kind"), profile_rows(results)),
        ("Trainings together on one card", ("trainings", "steps/s of all", "to one alone", "mode"),
         together_rows(results)),
        ("Targets", ("figure", "wanted", "measured", ""), target_rows(results)),
        ("Not measured", ("what", "", "why"), missing),
    ]  # fmt: skip
    for title, head, rows in every:
        if rows:
            yield title, head, list(rows)


def _short(result: Result) -> str:
    """A result's note, or its plain figures, in a line."""
    plain = [f"{name} {_number(value)}" for name, value in result.figures.items()
             if isinstance(value, (int, float, str)) and name != "traceback"]  # fmt: skip
    return "; ".join(filter(None, [result.note, *plain]))[:400]


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def text(results: Results) -> str:
    """All tables for a terminal."""
    lines: list[str] = []
    for title, head, rows in tables(results):
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
        lines += ["", title, *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                               for row in [head, *rows])]  # fmt: skip
    return "\n".join(lines).lstrip("\n")


def markdown(document: Mapping[str, Any], results: Results) -> str:
    """The page: on what and when it was measured, and all tables.

    Raises:
        ValueError: for a rehearsal, whose figures say nothing.
    """
    if document["rehearsal"]:
        raise ValueError("a rehearsal's figures are a CPU's: the page waits for a card")
    card = results["facts/card"].figures
    smi = card.get("nvidia-smi", {})
    versions = ", ".join(f"{name} {version}" for name, version in card["versions"].items() if version != "absent")
    lines = [
        "# On a GPU",
        "",
        f"Measured on {document['date']} with one {card['card']} ({card['memory GB']} GB, driver "
        f"{smi.get('driver_version', 'unknown')}, CUDA {card['cuda of torch']}), "
        f"{card['cores']} cores of {card['cpu']}, {versions}; "
        f"revision {card['revision'] or 'unknown'}, code {card['code']}.",
        "`python -m benchmarks.gpu --help` says what each figure is; it wrote this page, too (`--markdown`).",
    ]
    for title, head, rows in tables(results):
        lines += ["", f"## {title}", "", _row(head), _row(["---"] * len(head)), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
