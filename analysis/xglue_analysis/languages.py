"""How alike one encoder represents the languages: three measures on translations, none of which settles it alone.

CKA forgives any rotation, which a classifier on top does not (Del and Fishel 2022); neuron-wise correlation forgives
none; search for the translation looks at single sentences. Report all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from tqdm import tqdm

from xglue_analysis.alignment import anc, retrieval
from xglue_analysis.arrays import Array, tensor
from xglue_analysis.cka import cka_grid, null_deviation
from xglue_analysis.comparison import known
from xglue_analysis.errors import AnalysisError
from xglue_analysis.resampling import PAIRWISE_LIMIT, Pairwise

NEIGHBOURS = 10
"""Neighbours of CSLS, as Conneau et al. 2018 have them; fewer where there are fewer sentences."""


def compare_languages(
    states: Mapping[str, Array],
    *,
    permutations: int = 100,
    replicates: int = 200,
    seed: int = 0,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """One row for each layer and ordered pair of languages.

    - ``cka``, ``low``, ``high``, ``null_sd``, ``null_p95``, ``cka_biased``, ``null_mean_biased``: as in
      `comparison.compare`.
    - ``anc``, ``anc_signed``, ``anc_null``: as in `alignment.anc`; ``constant``: neurons that do not vary.
    - ``p1_cosine``, ``p1_csls``: share of sentences of ``language_a`` that find their translation in ``language_b``;
      chance is ``1 / n``.

    Args:
        states: for each language ``[layers + 1, n, d]``, sentence i of one being the translation of i of every other.
        permutations: for the null.
        replicates: of the bootstrap.
        seed: of both.
        progress: show bars.

    Raises:
        AnalysisError: for fewer than two languages, different shapes, or as `cka.cka_grid`.
    """
    if not isinstance(states, Mapping):
        raise AnalysisError(f"states of type {type(states).__name__}: give a mapping from languages to [layers, n, d]")
    states = {language: tensor(layers, f"states of {language}") for language, layers in states.items()}
    shapes = {language: tuple(layers.shape) for language, layers in states.items()}
    if len(states) < 2 or len(set(shapes.values())) != 1:
        raise AnalysisError(f"give two languages at least, with the same sentences and layers; there are {shapes}")
    if len(next(iter(shapes.values()))) != 3:
        raise AnalysisError(f"states of {shapes}: give [layers, n, d] for each language")
    names = list(states)
    layers, n, d = next(iter(shapes.values()))
    rows: list[dict[str, Any]] = []
    for layer in tqdm(range(layers), desc="layers", disable=not progress):
        at = [states[name][layer] for name in names]
        columns = _cka(at, permutations, replicates, seed)
        for i, a in enumerate(names):
            for j, b in enumerate(names[i + 1 :], start=i + 1):
                correlation = anc(at[i], at[j])
                cosine, csls = retrieval(at[i], at[j]), retrieval(at[i], at[j], csls=min(NEIGHBOURS, n - 1))
                shared = {
                    "layer": layer,
                    "n": n,
                    "d": d,
                    **{name: known(values[i, j]) for name, values in columns.items()},
                    "anc": known(torch.tensor(correlation.absolute)),
                    "anc_signed": known(torch.tensor(correlation.signed)),
                    "anc_null": correlation.null,
                    "constant": correlation.constant,
                }
                there = {"p1_cosine": cosine.forward, "p1_csls": csls.forward}
                back = {"p1_cosine": cosine.backward, "p1_csls": csls.backward}
                rows.append({"language_a": a, "language_b": b, **shared, **there})
                rows.append({"language_a": b, "language_b": a, **shared, **back})
    return rows


def _cka(at: list[torch.Tensor], permutations: int, replicates: int, seed: int) -> dict[str, torch.Tensor]:
    """Matrices languages × languages; above the diagonal all of them hold."""
    grid = cka_grid(at)
    n, empty = grid.n, torch.full((len(at), len(at)), torch.nan)
    columns = dict.fromkeys(("cka", "low", "high", "null_sd", "null_p95", "cka_biased", "null_mean_biased"), empty)
    columns.update(cka=grid.debiased, cka_biased=grid.biased, null_sd=torch.full_like(empty, null_deviation(n)))
    if n <= PAIRWISE_LIMIT:
        pairwise = Pairwise(at)
        null = pairwise.null(permutations=permutations, seed=seed)
        above = [(i, j) for i in range(len(at)) for j in range(i + 1, len(at))]
        interval = pairwise.bootstrap(replicates=replicates, seed=seed, pairs=above)
        columns.update(low=interval.low, high=interval.high)
        columns.update(null_p95=null.debiased_p95, null_mean_biased=null.biased_mean)
    return columns
