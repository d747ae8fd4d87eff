"""What is built for a release: what lies in it, what it says of itself, and where the links of its README lead."""

from __future__ import annotations

import email
import importlib.metadata
import importlib.util
import re
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import xglue_harness
from xglue_harness.cli import app as cli

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="no checkout")


def _below(folder: str, root: Path = ROOT) -> set[str]:
    return {path.relative_to(root / folder).as_posix() for path in (root / folder).rglob("*") if path.is_file()}


def _wheel(root: Path, folder: Path) -> zipfile.ZipFile:
    from hatchling.builders.wheel import WheelBuilder

    [built] = WheelBuilder(str(root)).build(directory=str(folder), versions=["standard"])
    return zipfile.ZipFile(built)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    with _wheel(ROOT, tmp_path_factory.mktemp("wheel")) as file:
        yield file


@pytest.fixture(scope="module")
def metadata(wheel):
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(wheel.read(name))


def test_the_wheel_holds_packages_types_tasks_and_the_leaderboard_and_nothing_else(wheel):
    found = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in found} == {"xglue_harness", "xglue_analysis", "xglue_harness.pth"}
    assert {"xglue_harness/py.typed", "xglue_analysis/py.typed"} <= found
    for folder, place in (("tasks", "tasks"), ("recipes", "recipes"), ("leaderboard", "contributed")):
        inside = {name.removeprefix(f"xglue_harness/{place}/") for name in found if f"/{place}/" in name}
        assert inside == _below(folder), place
    code = {f"xglue_harness/{name}" for name in _below("xglue_harness") if name.endswith(".py")}
    assert code == {name for name in found if name.endswith(".py") and name.startswith("xglue_harness/")}
    assert not [name for name in found if "__pycache__" in name]


def test_an_installed_wheel_finds_its_tasks_and_its_leaderboard(wheel, tmp_path, monkeypatch):
    wheel.extractall(tmp_path)
    resources = _module(tmp_path / "xglue_harness" / "resources.py")
    monkeypatch.setitem(sys.modules, "xglue_harness.resources", resources)
    paper = _module(tmp_path / "xglue_harness" / "published" / "paper.py")
    assert resources.tasks_folder() == tmp_path / "xglue_harness" / "tasks"
    assert resources.recipes_folder() == tmp_path / "xglue_harness" / "recipes"
    assert paper.published_tree() == tmp_path / "xglue_harness" / "contributed"
    assert paper.tables()["table4"]


def test_the_sdist_makes_the_same_wheel(wheel, tmp_path):
    from hatchling.builders.sdist import SdistBuilder

    [built] = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(built) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = Path(built.removesuffix(".tar.gz"))
    assert {"README.md", "CONTRIBUTING.md", "LICENSE", "constraints.txt", "tox.ini", ".gitignore"} <= {
        path.name for path in unpacked.iterdir()
    }
    assert _below("tests", unpacked) >= {"test_package.py", "conftest.py"}
    with _wheel(unpacked, tmp_path / "again") as again:
        assert {name: again.read(name) for name in again.namelist()} == {
            name: wheel.read(name) for name in wheel.namelist()
        }


def test_the_description_is_the_readme_and_all_of_its_links_lead_somewhere(metadata):
    text = metadata.get_payload(decode=True).decode()
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert len(links) > 1
    assert [link for link in links if not link.startswith("https://")] == []
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in re.findall(r"\]\(((?!https:)[^)]*)\)", readme):
        assert (ROOT / path).exists()
        assert path in text
    assert all(url.partition(", ")[2].startswith("https://") for url in metadata.get_all("Project-URL"))


def _module(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (None, "see docs (`docs/a.md`), `b.py`, [paper](https://x.org/y), [top](#top)"),
        (
            "https://x.org/blob/v1",
            "see [docs](https://x.org/blob/v1/docs/a.md), [`b.py`](https://x.org/blob/v1/b.py), "
            "[paper](https://x.org/y), [top](#top)",
        ),
    ],
)
def test_links_to_files_lead_to_the_repository_or_name_the_file(place, expected):
    text = "see [docs](docs/a.md), [`b.py`](b.py), [paper](https://x.org/y), [top](#top)"
    assert _module(ROOT / "hatch_build.py").without_relative_links(text, place) == expected


def test_the_version_is_that_of_the_distribution(metadata, capsys):
    assert xglue_harness.__version__ == metadata["Version"] == importlib.metadata.version("xglue-harness")
    with pytest.raises(AttributeError, match="no attribute 'version'"):
        xglue_harness.version  # noqa: B018
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert not end.value.code
    packages = ("xglue-harness", "lm-eval", "torch", "transformers")
    assert capsys.readouterr().out.splitlines() == [f"{name} {importlib.metadata.version(name)}" for name in packages]
