"""The real encoder fine-tuned on English with some seeds, scored in each language: on this process's device.

Worker: ``python -m benchmarks.gpu.seeds '{"key": ..., "setting": {...}, "epochs": 2, "seeds": [1, 2, 3]}'``
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.gpu.results import Result, arguments, measure, tell
from benchmarks.gpu.sides import OnDevice
from benchmarks.workload import Setting, load


def accuracies(tests: Mapping[str, Any], predicted: Mapping[str, Sequence[Any]], column: str) -> dict[str, float]:
    """Percent of right words, by language."""
    scores = {}
    for language, rows in tests.items():
        pairs = zip(rows[column], predicted[language], strict=True)
        right = [one == other for gold, guess in pairs for one, other in zip(gold, guess, strict=True)]
        scores[language] = 100 * sum(right) / len(right)
    return scores


def train(
    key: str, side: OnDevice, setting: Setting, epochs: float, seeds: Sequence[int]
) -> tuple[dict[str, Any], str]:
    """Scores of each language, a seed after the other; what is known is told after each."""
    rows, tests = load(setting)
    scores: dict[str, list[float]] = {language: [] for language in tests}
    seconds, losses = [], []
    for seed in seeds:
        began = time.monotonic()
        side.fine_tune(rows, epochs, seed=seed)
        _, predicted = side.predict(tests)
        for language, score in accuracies(tests, predicted, setting.spec.label_column).items():
            scores[language].append(score)
        seconds.append(time.monotonic() - began)
        losses.append(side.record.final_loss)
        figures = {"accuracy": scores, "seconds": seconds, "loss": losses, "steps": side.record.steps}
        figures["mode"] = side.record.mode
        note = f"{len(losses)} seeds, {side.device.type}, {setting.precision}, {side.record.mode}"
        tell(Result(key, "measured", figures, note))
    return figures, note


def main() -> None:
    """Train all seeds."""
    given = arguments()
    setting = Setting(**given["setting"])
    measure(given["key"], lambda: train(given["key"], OnDevice(setting), setting, given["epochs"], given["seeds"]))


if __name__ == "__main__":
    main()
