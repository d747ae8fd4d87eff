"""Where a tree comes from: the repository that it lies in, and when its files came there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from urllib.parse import urlsplit

from xglue_harness.errors import LeaderboardError

_SECONDS = 60


@dataclass(frozen=True)
class Origin:
    """Where a tree comes from.

    Attributes:
        repository: address of the repository on the web; ``None``: not known, and then no page links to it.
        dates: day (``YYYY-MM-DD``) of the last commit that touched a file, by its path below the tree; empty where the
            tree lies in no git repository, or in a shallow clone, which does not know.
        docs: address of the pages of documentation, or their path beside the site; ``None``: no page links to them.
    """

    repository: str | None = None
    dates: Mapping[str, str] = field(default_factory=dict)
    docs: str | None = None

    @property
    def newest(self) -> str | None:
        """Day of the last change of the tree."""
        return max(self.dates.values(), default=None)

    def described(self, backbone: str) -> str | None:
        """Day of the last change of a backbone's description."""
        return self.dates.get(f"backbones/{backbone}.yaml")

    def results(self, backbone: str, recipe: str | None = None) -> tuple[str, str] | None:
        """First and last day on which the results of a backbone came there; ``None``: not known, or there are none.

        Args:
            backbone: its name.
            recipe: only those under this recipe.
        """
        start = f"results/{backbone}/" if recipe is None else f"results/{backbone}/{recipe}/"
        days = [day for path, day in self.dates.items() if path.startswith(start)]
        return (min(days), max(days)) if days else None


def origin_of(tree: Path, repository: str | None = None, docs: str | None = None) -> Origin:
    """Where a tree comes from.

    Args:
        tree: its folder.
        repository: address of the repository; by default the ``Source`` of the installed package, if it has one.
        docs: address of the documentation, or its path beside the site.

    Raises:
        LeaderboardError: where an address is none of the web, and that of the documentation no path either.
    """
    if docs is not None and not _is_web(docs) and not re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", docs):
        raise LeaderboardError(
            f"--docs {docs}: expected an address of the web, or a path beside the site such as docs/"
        )
    address = repository or _source()
    if address is not None and not _is_web(address):
        raise LeaderboardError(f"--repository {address}: expected an address such as https://github.com/OWNER/NAME")
    return Origin(address.rstrip("/") if address else None, commit_dates(tree), docs)


def commit_dates(tree: Path) -> dict[str, str]:
    """Day of the last commit that touched each file of a tree, by its path below it; empty where git does not know."""
    if _git(tree, "rev-parse", "--is-shallow-repository") != "false\n":
        return {}
    log = _git(tree, "log", "--relative", "--format=%x01%cs", "--name-only", "-z", "--", ".")
    dates: dict[str, str] = {}
    for commit in (log or "").split("\x01")[1:]:  # the newest first
        day, _, names = commit.partition("\0")
        for name in names.lstrip("\n").split("\0"):
            if name:
                dates.setdefault(name, day.strip())
    return {name: day for name, day in dates.items() if (tree / name).is_file()}


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; ``None`` where it fails, takes too long, or is not installed."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout if done.returncode == 0 else None


def _source() -> str | None:
    try:
        urls = metadata("xglue-harness").get_all("Project-URL") or []
    except PackageNotFoundError:
        return None
    named = dict(line.split(", ", 1) for line in urls if ", " in line)
    return named.get("Source")


def _is_web(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme == "https" and bool(parts.hostname) and not any(own in address for own in " <>\"'\\\n\t")
