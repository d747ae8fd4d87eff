"""Tracks of the leaderboard: backbones that are ranked and contrasted with each other, and with no others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Track = Literal["main", "controlled"]
"""Backbones as they were published; those of one study, pretrained on equal data."""


@dataclass(frozen=True)
class Study:
    """Whose checkpoints a track holds, and no others.

    Attributes:
        repository: on GitHub.
        commit: of it.
        paper: its address.
        pairs: names of backbones whose difference answers the study's question: of one shape and on equal data, so that
            they differ in the objective.
    """

    repository: str
    commit: str
    paper: str
    pairs: tuple[tuple[str, str], ...]


LM_VS_MT = Study(
    repository="Helsinki-NLP/lm-vs-mt",
    commit="d44630bb185aaba29eb233b148823253ed4ea819",
    paper="https://arxiv.org/abs/2407.15489",
    pairs=(("lm-vs-mt-2-mt", "lm-vs-mt-2-lm"), ("lm-vs-mt-tlm", "lm-vs-mt-clm")),
)
"""Li, Ji, Mickus, Segonne and Tiedemann 2024, arXiv:2407.15489."""

STUDIES: Mapping[Track, Study | None] = {"main": None, "controlled": LM_VS_MT}
"""All tracks, in the order of pages; ``None``: open to every backbone but those of a study."""


def track_problem(track: Track, repository: str | None, commit: str | None) -> str | None:
    """What is wrong with a backbone's track; ``None``: nothing.

    Args:
        track: that it is said to be in.
        repository: that its checkpoint was converted from; ``None``: from none.
        commit: of the repository.
    """
    if (study := STUDIES[track]) is not None and (repository, commit) != (study.repository, study.commit):
        named = f"names {repository} at {commit}" if repository else "is null"
        return (
            f"{track} holds checkpoints that were converted from {study.repository} at {study.commit}, and no others; "
            f"converted_from {named}"
        )
    home = next((name for name, other in STUDIES.items() if other is not None and other.repository == repository), None)
    if home not in (None, track):
        return f"a checkpoint of {repository} belongs into the track {home}, where the others of its study are"
    return None
