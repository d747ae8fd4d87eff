"""What the documentation names is there: files, headings, and in the map every package and module."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = [
    path for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))) if path.exists()
]
FOLDERS = (ROOT, ROOT / "xglue_harness", ROOT / "analysis")
"""Where a path in code may begin."""
WRITTEN_BY_USERS = ("leaderboard/changes.yaml", "leaderboard/results/", "leaderboard/backbones/", ".tox/leaderboard/")

OF_OTHERS = ("xglue_evaluate.py",)

pytestmark = pytest.mark.skipif(not DOCS, reason="the documentation is not beside the tests")


def anchors(path: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def paths_in_code(text: str) -> list[str]:
    """The paths that stand in backticks and are files of code, or lie in a folder of this project."""
    spans = [span for span in re.findall(r"`([\w.<>*/-]+)`", text) if span not in OF_OTHERS]
    tops = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    return [
        span
        for span in spans
        if span.endswith(".py")
        or ("/" in span and span.split("/")[0] in tops and not span.startswith(WRITTEN_BY_USERS))
    ]


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.name)
def test_paths_in_code_are_there(page: Path) -> None:
    for path in paths_in_code(page.read_text(encoding="utf-8")):
        pattern = re.sub(r"<\w+>", "*", path).rstrip("/")
        assert any(any(folder.glob(pattern)) for folder in FOLDERS), path


def test_what_is_not_there_is_seen() -> None:
    assert paths_in_code("`docs/x.md`, `a.py`, `tasks/<task>/prompts.yml`, `word/TAG`, `n=1`") == [
        "docs/x.md",
        "a.py",
        "tasks/<task>/prompts.yml",
    ]
    assert "the-real-thing" in anchors(ROOT / "README.md")


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 1200


def test_every_page_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in DOCS if page.parent.name == "docs" and f"](docs/{page.name})" not in readme] == []


def test_the_map_has_every_package_and_module_in_the_order_of_the_layers() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## The map")[2]
    places = re.findall(r"^\| (`.*?`) \|", text.partition("Beside the package")[0], flags=re.MULTILINE)
    named = [name for place in places for name in re.findall(r"`([\w/]+(?:/|\.py))`", place)]
    package = ROOT / "xglue_harness"
    modules = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    assert set(named) == modules | {f"{path.parent.name}/" for path in package.glob("*/*.py")}
    contract = (
        (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition('"Imports run one way"')[2].partition("]")[0]
    )
    layers = re.findall(r"xglue_harness\.(\w+)", contract)
    assert [name.removesuffix("/").removesuffix(".py") for name in named] == layers[::-1]


def test_the_map_has_the_rooms_of_the_leaderboard() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {path.parent.name for path in (ROOT / "xglue_harness" / "leaderboard").glob("*/__init__.py")}
    assert rooms
    assert [room for room in rooms if f"`{room}/`" not in text] == []


def test_every_function_of_the_walk_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    walk = text.partition("## One row of text")[2].partition("\n## ")[0]
    names = [name for name in re.findall(r"`(\w+(?:\.\w+)+)`", walk) if not name.startswith("datasets.")]
    assert len(names) > 30
    for name in names:
        name = name if name.startswith("xglue_analysis.") else f"xglue_harness.{name}"
        assert callable(pkgutil.resolve_name(name)), name
