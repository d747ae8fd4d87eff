"""What is trained: an encoder of XLM-R base's shapes with random weights, and rows as long as news articles.

Worker: ``python -m benchmarks.gpu.material '{"encoder": ..., "data": ..., "folder": ..., "shapes": ..., ...}'``
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks.gpu.results import arguments, measure
from benchmarks.transfer import SHAPES, build
from xglue_harness.benchmark import TASKS

REHEARSED = {**SHAPES["xlm-r-base"], "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
             "intermediate_size": 128}  # fmt: skip
"""Shapes for a machine without a GPU, where only the course of things can be seen."""

WORDS = 220
"""Words of a long text: more than 256 subwords of any tokenizer that knows English in parts."""


def long_texts(texts: Iterator[str], rows: int, words: int = WORDS) -> list[str]:
    """Texts of so many words each, made of shorter ones in their order.

    Args:
        texts: short ones, as many as it takes.
        rows: how many long ones.
        words: of each.
    """
    long, text = [], []
    while len(long) < rows:
        text += next(texts).split()
        if len(text) >= words:
            long.append(" ".join(text[:words]))
            text = []
    return long


def write_long(data: str, folder: Path, rows: int) -> Mapping[str, int]:
    """Write a training set of NC in the official layout, from the text of XNLI's or of POS's."""
    from xglue_harness.data import open_source

    source = open_source(data)
    try:
        short: list[str] = source.load(TASKS["xnli"], "train", "en").dataset["premise"]
    except Exception:
        short = [" ".join(words) for words in source.load(TASKS["pos"], "train", "en").dataset["words"]]
    labels = cycle(TASKS["nc"].labels)
    lines = [
        f"{' '.join(text.split()[:8])}\t{text}\t{label}\n"
        for text, label in zip(long_texts(cycle(short), rows), labels, strict=False)
    ]
    target = folder / "NC" / "xglue.nc.en.train"
    target.parent.mkdir(parents=True)
    target.write_text("".join(lines), encoding="utf-8")
    return {"rows": len(lines)}


def main() -> None:
    """Write both."""
    given = arguments()
    folder = Path(given["folder"])

    def encoder() -> tuple[Mapping[str, Any], str]:
        sizes = {"xlm-r-base": SHAPES["xlm-r-base"], "rehearsed": REHEARSED}[given["shapes"]]
        build(sizes, given["encoder"], folder / "shapes")
        return {"shapes": sizes}, given["shapes"]

    measure("material/long texts", lambda: (write_long(given["data"], folder / "long", given["rows"]), ""))
    measure("material/encoder", encoder)


if __name__ == "__main__":
    main()
