"""Where the pages and the JSON files of the site lie, from its root; a `Board`'s ``place`` says in which folder."""

from __future__ import annotations

from xglue_harness.leaderboard.contributions.results import TaskResult
from xglue_harness.leaderboard.ranking.rows import ALL
from xglue_harness.published.tracks import Track


def summary_path(place: str, backbone: str, task: str = ALL) -> str:
    """Where the means of a backbone over its seeds lie, from the site's root."""
    return f"data/summary/{place}/{backbone}/{task}.json"


def result_path(result: TaskResult) -> str:
    """Where the JSON of one seed lies, from the site's root."""
    return f"data/results/{result.path.as_posix()}"


def compare_path(place: str) -> str:
    """Where the differences of all pairs lie, from the site's root."""
    return f"data/compare/{place}.json"


def families_path(place: str) -> str:
    """Where the families' means and differences lie, from the site's root."""
    return f"data/families/{place}.json"


def gains_path(place: str, frozen: str) -> str:
    """Where what fine-tuning adds to frozen encoders lies, from the site's root."""
    return f"data/gains/{place}/{frozen}.json"


def reference_path(name: str) -> str:
    """Where published numbers lie, from the site's root."""
    return f"data/reference/{name}.json"


PUBLISHED_JSON = "data/published.json"
"""Where means of published numbers lie, from the site's root."""

PAPER_JSON = "data/paper.json"
"""Where ours, the paper's and the differences lie, from the site's root."""


def track_page(track: Track) -> str:
    """The page that ranks the backbones of a track."""
    return "index.html" if track == "main" else f"{track}.html"


def page_of(backbone: str) -> str:
    """The page of a backbone."""
    return f"backbone-{backbone}.html"


BACKBONES_JSON = "data/backbones.json"
"""Where the descriptions of the backbones lie, from the site's root."""
