"""seqeval 0.0.12, the one that XGLUE's shipped results follow: sentences to try, and its scores of them.

``python -m tests.helpers.seqeval0 FOLDER`` writes ``tests/seqeval0.json`` anew, ``FOLDER`` being the unpacked
``seqeval-0.0.12.tar.gz`` of PyPI. It needs nothing but numpy, and is not installed: the project needs another one.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from xglue_harness.benchmark import TASKS

Corpus = tuple[list[list[str]], list[list[str]]]
"""Gold and predicted sentences, each ``[sentences][words]``."""

SDIST_SHA256 = "9c7764b88b6d1430ab59de63efddf19495fca82159920fd11e362a405f8fc378"
GOLDEN = Path(__file__).resolve().parents[1] / "seqeval0.json"

NER, UPOS = TASKS["ner"].labels, TASKS["pos"].labels
ODD = ("X", "SCONJ", "CCONJ", "SYM", "INTJ", "NOUN")
"""Tags whose first letter stands for something in seqeval, or that share all letters but the first."""
ANYTHING = (
    *(*UPOS, "O", "B", "I", "E", "S", "B-PER", "E-PER", "S-PER", "X-PER", "PER", "b-PER", "\ufeffB-PER"),
    *("I-", "B-PER-X", "B-A-B", "O-PER", ".", "-", "--", "Ö-É"),
)
SETS = (NER, UPOS, ODD, ANYTHING, ("X",), ("O",), ("S", "I-A", "O"))

_PROGRAM = """
import json, sys
from seqeval.metrics import f1_score, precision_score
print(json.dumps([[f1_score(g, p), precision_score(g, p)] for g, p in json.load(sys.stdin)]))
"""


def corpora(count: int, seed: int) -> list[Corpus]:
    """Random sentences, some of them empty, whose labels are mostly predicted right."""
    draw = random.Random(seed)
    found = []
    for number in range(count):
        labels = SETS[number % len(SETS)]
        gold = [[draw.choice(labels) for _ in range(draw.randint(0, 7))] for _ in range(draw.randint(1, 5))]
        found.append((gold, [[draw.choice(labels) if draw.random() < 0.4 else t for t in row] for row in gold]))
    return found


def scores(folder: Path, given: Sequence[Corpus]) -> list[list[float]]:
    """F1 and precision of each corpus by the seqeval that lies in a folder, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", _PROGRAM]
    done = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, env=environment, cwd=folder, check=True
    )
    found: list[list[float]] = json.loads(done.stdout)
    return found


def write(folder: Path) -> None:
    """Write the golden figures."""
    given = corpora(210, seed=12)
    lines = [
        json.dumps({"gold": gold, "predicted": predicted, "f1": f1, "precision": precision})
        for (gold, predicted), (f1, precision) in zip(given, scores(folder, given), strict=True)
    ]
    GOLDEN.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
