"""How often unrelated representations pass for similar: false positives of every calibrated measure.

    python -m benchmarks.null_rates --simulations 1000

Each simulation draws two clouds that have nothing to do with each other, so a measure at level 0.05 passes in 5% of
them at most. ``separability`` draws languages that do not differ.
"""

from __future__ import annotations

import argparse

import torch
from tqdm import tqdm

from xglue_analysis.alignment import anc, retrieval
from xglue_analysis.calibration import calibrate
from xglue_analysis.cka import cka
from xglue_analysis.neighbours import mexa, mutual_knn
from xglue_analysis.separability import separability

MEASURES = {
    "cka": cka,
    "cka_biased": lambda x, y: cka(x, y, debiased=False),
    "anc": lambda x, y: anc(x, y).absolute,
    "p1_cosine": lambda x, y: retrieval(x, y).forward,
    "p1_csls": lambda x, y: retrieval(x, y, csls=4).forward,
    "mutual_knn": lambda x, y: mutual_knn(x, y, 4),
    "mexa": mexa,
}


def main() -> None:
    """Print a row for each measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--permutations", type=int, default=19)
    parser.add_argument("--sentences", type=int, default=20)
    parser.add_argument("--width", type=int, default=6)
    arguments = parser.parse_args()
    print(f"{'measure':<14}{'p <= 0.05':>10}{'score > 0':>11}   of {arguments.simulations}")
    for name in (*MEASURES, "separability"):
        generator = torch.Generator().manual_seed(1)
        passed = above = 0
        for number in tqdm(range(arguments.simulations), desc=name, leave=False):
            shape = (2, arguments.sentences, arguments.width)
            x, y = torch.randn(shape, generator=generator, dtype=torch.float64)
            if name == "separability":
                text = torch.randn(shape[1:], generator=generator, dtype=torch.float64)
                states = {"en": text + x, "de": text + y}
                got = separability(states, permutations=arguments.permutations, seed=number).null
                assert got is not None
            else:
                got = calibrate(x, y, MEASURES[name], permutations=arguments.permutations, seed=number)
            passed += got.p <= 0.05
            above += got.score > 0
        print(f"{name:<14}{passed / arguments.simulations:>10.3f}{above / arguments.simulations:>11.3f}")


if __name__ == "__main__":
    main()
