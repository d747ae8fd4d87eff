"""Speed of the analysis against the machine's matmul and against other implementations, all in turn.

python -m benchmarks.analysis
python -m benchmarks.analysis --rounds 1 --skip large

CKA of 13 x 13 layers with n=1,000, d=1,024 and with n=10,000, d=768, as multiples of the time of the matrix products
that a grid needs, measured beside it, and of what ckatorch and repsim take where they are installed (from one pair of
layers, times 169: neither has a grid). Then the singular values of the 72 matrices of mBART-large's encoder
against scipy's, in float64, with the largest relative difference. And `compare_languages` of three languages, with
every measure beside its null and without (multilingual-e5-small, 500 sentences:
6.3 s calibrated and 1.1 s not before permutations were computed together, 1.4 s and 0.7 s since).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import torch

from benchmarks.rounds import clock, parser_of, spread
from benchmarks.workload import write_figures
from xglue_analysis import cka_grid, compare_languages, singular_values
from xglue_analysis.cka import cheaper

LAYERS = 13
SIZES = {"small": (1000, 1024), "large": (10_000, 768)}
SHAPES = [*[(1024, 1024)] * 4, (4096, 1024), (1024, 4096)]


def products(n: int, d: int) -> Callable[[], Any]:
    """The matrix products that a grid needs at the least: on its cheaper side, without symmetry, one after another."""
    x = torch.randn(n, d)
    if cheaper(n, [d] * LAYERS, [d] * LAYERS) == "gram":
        held = torch.randn(LAYERS, n * n)

        def run() -> None:
            for _ in range(2 * LAYERS):
                x @ x.T
            held @ held.T

        return run

    def features() -> None:
        for _ in range(LAYERS * LAYERS + 2 * LAYERS):
            x.T @ x

    return features


def peers(x: torch.Tensor, y: torch.Tensor) -> dict[str, Callable[[], Any]]:
    """Other implementations, one pair of layers each."""
    others: dict[str, Callable[[], Any]] = {}
    try:
        from ckatorch.core import cka_base

        others["ckatorch"] = lambda: cka_base(x, y, unbiased=True)
    except ImportError:
        print("ckatorch is not installed")
    try:
        from repsim import cka as cka_of_repsim

        others["repsim"] = lambda: cka_of_repsim([x.numpy(), y.numpy()], "linear", "gretton")
    except ImportError:
        print("repsim is not installed")
    return others


def time_cka(size: str, rounds: int) -> dict[str, Any]:
    """Ours, the products and the peers in turn."""
    n, d = SIZES[size]
    torch.manual_seed(0)
    xs, ys = ([torch.randn(n, d) for _ in range(LAYERS)] for _ in range(2))
    bound, others = products(n, d), peers(xs[0], ys[0]) if size == "small" else {}
    cka_grid(xs, ys)
    times: dict[str, list[float]] = {name: [] for name in ("ours", "products", *others)}
    for _ in range(rounds):
        times["ours"].append(clock(lambda: cka_grid(xs, ys))[0])
        times["products"].append(clock(bound)[0])
        for name, act in others.items():
            times[name].append(LAYERS * LAYERS * clock(act)[0])
    over = [ours / least for ours, least in zip(times["ours"], times["products"], strict=True)]
    print(f"n={n} d={d}: ours {statistics.median(times['ours']):.2f} s, {spread(over)} times the products", flush=True)
    for name in others:
        ahead = [theirs / ours for theirs, ours in zip(times[name], times["ours"], strict=True)]
        print(f"  {name}: {statistics.median(times[name]):.1f} s for all pairs, ours {spread(ahead)} times as fast")
    return {"n": n, "d": d, "side": cka_grid(xs[:1], ys[:1]).side, "seconds": times}


def time_svd(layers: int, rounds: int) -> dict[str, Any]:
    """Ours and scipy's in turn."""
    generator = torch.Generator().manual_seed(0)
    matrices = [torch.randn(*shape, generator=generator) * 0.02 for _ in range(layers) for shape in SHAPES]
    precise = [matrix.double().numpy() for matrix in matrices]
    times: dict[str, list[float]] = {"ours": [], "scipy": []}
    worst = 0.0
    for _ in range(rounds):
        seconds, ours = clock(lambda: [singular_values(matrix) for matrix in matrices])
        times["ours"].append(seconds)
        seconds, theirs = clock(lambda: [scipy.linalg.svdvals(matrix) for matrix in precise])
        times["scipy"].append(seconds)
        for a, b in zip(ours, theirs, strict=True):
            worst = max(worst, float(np.abs(a.numpy() / b - 1).max()))
    ahead = [theirs / ours for theirs, ours in zip(times["scipy"], times["ours"], strict=True)]
    print(
        f"singular values of {len(matrices)} matrices: ours {statistics.median(times['ours']):.1f} s, "
        f"{spread(ahead)} times as fast as scipy, largest relative difference {worst:.1e}"
    )
    return {"matrices": len(matrices), "seconds": times, "largest_relative_difference": worst}


def time_languages(n: int, d: int, rounds: int) -> dict[str, Any]:
    """Three languages in two layers, calibrated and not, in turn."""
    generator = torch.Generator().manual_seed(0)
    text = torch.randn(2, n, d, generator=generator)
    states = {name: text + torch.randn(2, n, d, generator=generator) for name in ("en", "de", "hi")}
    times: dict[str, list[float]] = {"plain": [], "calibrated": []}
    for _ in range(rounds):
        times["plain"].append(clock(lambda: compare_languages(states))[0])
        times["calibrated"].append(clock(lambda: compare_languages(states, calibrate=True))[0])
    over = [long / short for long, short in zip(times["calibrated"], times["plain"], strict=True)]
    print(f"languages, n={n} d={d}: calibrated {spread(over)} times as long as not", flush=True)
    return {"n": n, "d": d, "seconds": times}


def main() -> None:
    """Run all and print."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--svd-layers", type=int, default=12, help="layers of mBART-large's encoder")
    parser.add_argument("--skip", nargs="*", choices=["small", "large", "svd", "languages"], default=[])
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    for size in SIZES:
        if size not in given.skip:
            figures[f"cka_{size}"] = time_cka(size, given.rounds if size == "small" else 1)
    if "svd" not in given.skip:
        figures["svd"] = time_svd(given.svd_layers, given.rounds)
    if "languages" not in given.skip:
        figures["languages"] = time_languages(500, 384, given.rounds)
    if given.json:
        write_figures(given.json, "analysis", figures, torch.device("cpu"))


if __name__ == "__main__":
    main()
