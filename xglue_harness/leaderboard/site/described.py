"""All backbones that are described, with or without results: the table, and the JSON behind it."""

from __future__ import annotations

from typing import Any

from xglue_harness.leaderboard.site.cells import Cell, Head, Table, day_cell, facets_of, family_cell, name_cell
from xglue_harness.leaderboard.site.origin import Origin
from xglue_harness.leaderboard.site.paths import BACKBONES_JSON
from xglue_harness.leaderboard.site.words import licence_in_words
from xglue_harness.leaderboard.validation.validate import ValidatedTree


def backbones_table(validated: ValidatedTree, origin: Origin) -> Table:
    """A line for each backbone.

    Args:
        validated: the tree.
        origin: when its files came.
    """
    counts = _counts(validated)
    dated = bool(origin.dates)
    heads = (
        Head("backbone", kind=""),
        Head("family", kind=""),
        Head("encoder, M", "parameters of the encoder with its embeddings, which is what is fine-tuned, in millions"),
        Head("whole, M", "parameters of the checkpoint as it is published, in millions"),
        Head("layers"),
        Head("languages", "of the benchmark's 19, seen in pretraining"),
        Head("licence", kind=""),
        Head("results", "runs: one seed on one task"),
        *(Head("newest result", "day on which it came here", kind=""),) * dated,
        *(Head("described", "day of the last change of its description", kind=""),) * dated,
    )
    rows = tuple(
        (
            name_cell(backbone),
            family_cell(backbone.family),
            _count(backbone.parameters.encoder / 1e6, f"{backbone.parameters.encoder / 1e6:,.1f}"),
            _count(backbone.parameters.all / 1e6, f"{backbone.parameters.all / 1e6:,.1f}"),
            _count(backbone.layers),
            _count(len(backbone.pretraining.languages)),
            Cell(licence_in_words(backbone.licence), kind=""),
            _count(counts[backbone.name]),
            *(day_cell(days[1] if (days := origin.results(backbone.name)) else None),) * dated,
            *(day_cell(origin.described(backbone.name)),) * dated,
        )
        for backbone in validated.backbones.values()
    )
    facets = tuple(facets_of(backbone, backbone.family) for backbone in validated.backbones.values())
    return Table("Backbones that are described", heads, rows, True, facets=facets)


def _count(value: float, text: str | None = None) -> Cell:
    return Cell(text or str(value), BACKBONES_JSON, order=value, value=value)


def _counts(validated: ValidatedTree) -> dict[str, int]:
    """Runs of each backbone."""
    counts = dict.fromkeys(validated.backbones, 0)
    for item in validated.results:
        if item.result.backbone in counts:  # the table may be of one track
            counts[item.result.backbone] += 1
    return counts


def backbones_json(validated: ValidatedTree, origin: Origin) -> dict[str, Any]:
    """What the YAML files say, with the number of results of each.

    Args:
        validated: the tree.
        origin: when its files came.
    """
    counts = _counts(validated)
    return {
        "example": validated.example,
        "backbones": {
            name: {
                **backbone.model_dump(mode="json"),
                "parameters_in_millions": {
                    what: round(number / 1e6, 6) for what, number in backbone.parameters.model_dump().items()
                },
                "languages_seen": len(backbone.pretraining.languages),
                "results": counts[name],
                "described": origin.described(name),
                "results_came": origin.results(name),
            }
            for name, backbone in validated.backbones.items()
        },
    }
