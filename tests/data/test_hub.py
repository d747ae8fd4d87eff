"""Ports on the Hub, tested with local folders of the same shape (no network)."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from xglue_harness.benchmark import TASKS, task
from xglue_harness.data import open_source
from xglue_harness.data.hub import HubSource
from xglue_harness.data.hub_datasets import COPY, KNOWN, HubDataset
from xglue_harness.errors import DataError

XNLI, PAWSX, NER, POS = (task(name) for name in ("xnli", "pawsx", "ner", "pos"))
FACEBOOK = KNOWN["xnli"][0]
ROWS = [{"premise": f"p{n}", "hypothesis": f"h{n}", "label": n % 3} for n in range(5)]


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "huggingface")
    # Set as well as in the environment, which both read only when they are imported.
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def local(folder: Path, rows: list[dict[str, Any]], name: str = "de/validation.jsonl") -> str:
    write_jsonl(folder / "port" / name, rows)
    return str(folder / "port")


def refusal(folder: Path, spec: str, rows: list[dict[str, Any]]) -> str:
    with pytest.raises(DataError) as caught:
        open_source({spec: local(folder, rows)}).load(task(spec), "dev", "de")
    return str(caught.value)


def test_jsonl_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = open_source({"xnli": local(tmp_path, ROWS)})
    with caplog.at_level(logging.WARNING):
        loaded = source.load(XNLI, "dev", "de")
    assert loaded.dataset[:] == {
        "premise": ["p0", "p1", "p2", "p3", "p4"],
        "hypothesis": ["h0", "h1", "h2", "h3", "h4"],
        "label": [0, 1, 2, 0, 1],
    }
    assert loaded.dataset.features["label"].dtype == "int64"
    assert "5 rows in de/validation" in caplog.text.replace("de/dev", "de/validation")
    assert "the official data has 2490" in caplog.text
    assert list(loaded.files) == ["XNLI/de.dev"]
    assert source.available(XNLI, "dev") == ("de",)
    assert source.content(XNLI, "dev", "de") is None, "Parquet is no official file"
    assert (source.name, source.is_sample) == ("hub", False)
    assert f"xnli: {tmp_path}/port" in source.description


def test_parquet_folder_with_named_classes_in_another_order(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {
            "id": datasets.Value("int32"),
            "sentence1": datasets.Value("string"),
            "sentence2": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["same", "different"]),
        }
    )
    rows = {"id": [1, 2], "sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": [0, 1]}
    folder = tmp_path / "port" / "fr"
    folder.mkdir(parents=True)
    datasets.Dataset.from_dict(rows, features=features).to_parquet(folder / "test-00000-of-00001.parquet")
    dataset = open_source({"pawsx": str(tmp_path / "port")}).load(PAWSX, "test", "fr").dataset
    assert dataset[:] == {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": [1, 0]}


def test_configurations_of_a_readme(tmp_path: Path) -> None:
    folder = Path(local(tmp_path, ROWS, "data/german.jsonl"))
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: de\n  data_files:\n  - split: test\n    path: data/german.jsonl\n---\n"
    )
    source = open_source({"xnli": str(folder)})
    assert source.available(XNLI) == ("de",)
    assert len(source.load(XNLI, "test", "de").dataset) == 5


def test_labels_may_be_names_and_tasks_may_tag(tmp_path: Path) -> None:
    named = [{"premise": "p", "hypothesis": "h", "label": "contradictory"}]
    assert open_source({"xnli": local(tmp_path, named)}).load(XNLI, "dev", "de").dataset["label"][:] == [2]
    tagged = [{"words": ["a", "b c"], "ner": ["O", "I-PER"]}, {"words": ["d"], "ner": ["B-LOC"]}]
    dataset = open_source({"ner": local(tmp_path / "ner", tagged)}).load(NER, "dev", "de").dataset
    assert dataset[:] == {"words": [["a", "b c"], ["d"]], "ner": [[0, 2], [5]]}


def test_files_follow_the_content(tmp_path: Path) -> None:
    first = open_source({"xnli": local(tmp_path / "a", ROWS)}).load(XNLI, "dev", "de").files
    same = open_source({"xnli": local(tmp_path / "b", ROWS)}).load(XNLI, "dev", "de").files
    other = open_source({"xnli": local(tmp_path / "c", ROWS[:4])}).load(XNLI, "dev", "de").files
    assert first == same
    assert list(first) == list(other)
    assert first != other


def test_bad_rows(tmp_path: Path) -> None:
    row = {"premise": "p", "hypothesis": "h", "label": 0}
    at = "hub:port/de/dev: row 1:"
    assert refusal(tmp_path / "1", "xnli", [row, {**row, "label": -1}]).startswith(
        f"{at} label -1; expected 0 to 2 or one of"
    )
    assert refusal(tmp_path / "2", "xnli", [row, {**row, "label": 3}]).startswith(f"{at} label 3; expected 0 to 2")
    assert refusal(tmp_path / "3", "xnli", [row, {**row, "premise": None}]).startswith(f"{at} a text that is no string")
    found = refusal(tmp_path / "4", "xnli", [{"text": "p", "label": 0}])
    assert (
        found
        == "hub:port/de/dev: no column premise, hypothesis; expected premise, hypothesis, label, found text, label"
    )
    tags = {"words": ["a"], "ner": ["O"]}
    assert "words and labels do not match" in refusal(
        tmp_path / "5", "ner", [tags, {"words": ["a", "b"], "ner": ["O"]}]
    )
    assert "a word that is empty" in refusal(tmp_path / "6", "ner", [tags, {"words": [""], "ner": ["O"]}])


def test_unknown_class_names(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {
            "premise": datasets.Value("string"),
            "hypothesis": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["yes"]),
        }
    )
    folder = tmp_path / "port" / "de"
    folder.mkdir(parents=True)
    dataset = datasets.Dataset.from_dict({"premise": ["p"], "hypothesis": ["h"], "label": [0]}, features=features)
    dataset.to_parquet(folder / "test.parquet")
    with pytest.raises(DataError, match="unknown class yes; expected entailment, neutral, contradiction"):
        open_source({"xnli": str(tmp_path / "port")}).load(XNLI, "test", "de")


def test_a_language_that_the_port_lacks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot load fr/test of .*/port: .*; expected one configuration a language"):
        open_source({"xnli": local(tmp_path, ROWS)}).load(XNLI, "test", "fr")
    with pytest.raises(DataError, match="cannot load de/test of "):
        open_source({"xnli": local(tmp_path, ROWS)}).load(XNLI, "test", "de")


def test_no_network_is_a_clear_error() -> None:
    with pytest.raises(
        DataError, match=r"cannot load de/test of facebook/xnli@b8dd5d7af51114dbda02c0e3f6133f332186418e: "
    ):
        HubSource({"xnli": "facebook/xnli"}).load(XNLI, "test", "de")
    with pytest.raises(DataError, match=r"cannot load de/test of someone/xnli@v1: "):
        HubSource({"xnli": "someone/xnli@v1"}).load(XNLI, "test", "de")
    with pytest.raises(DataError, match=r"cannot load someone/xnli@v1: "):
        HubSource({"xnli": "someone/xnli@v1"}).available(XNLI)


def test_known_repositories_are_pinned_to_commits_and_cover_the_languages() -> None:
    for spec in TASKS.values():
        assert all(port.is_immutable and port.is_known for port in KNOWN[spec.name])
        assert KNOWN[spec.name][-1].repo_id == COPY
        expected = tuple(lang for lang in spec.languages if (spec.name, lang) != ("pos", "pt"))
        assert open_source(COPY).available(spec) == expected, "the old loader had no POS in Portuguese"
        assert open_source(COPY).available(spec, "train") == ("en",)
    assert HubSource({"xnli": "facebook/xnli"}).available(XNLI) == XNLI.languages


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"xnl": "a/b@c"}, "data: no XGLUE task 'xnl'; expected one of nc, xnli, pawsx"),
        (
            {"xnli": "someone/xnli"},
            "data: xnli: 'someone/xnli' is not a folder and names no revision; expected 'repo/id@revision' (best a "
            "commit, for results that can be repeated), the path of a folder, or one of facebook/xnli, hgissbkh/xglue",
        ),
        ({"xnli": "facebook/xnli@"}, "names no revision"),
        ({"ner": "facebook/xnli"}, "or one of hgissbkh/xglue"),
    ],
)
def test_bad_choices_of_repositories(data: dict[str, str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        open_source(data)
    assert message in str(caught.value)


class FakeHub:
    """Stands for ``datasets.load_dataset``: a data set of so many rows, and what was asked for."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.names: list[str] | None = None
        self.asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        import datasets

        self.asked.append((args, kwargs))
        found = datasets.Dataset.from_dict(
            {column: [f"{column}{n}" for n in range(self.rows)] for column in ("premise", "hypothesis")}
            | {"label": [n % len(self.names or "abc") for n in range(self.rows)]}
        )
        return found.cast_column("label", datasets.ClassLabel(names=self.names)) if self.names else found


def test_pinned_port_loads_one_file_and_is_then_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub(2490)
    monkeypatch.setattr("datasets.load_dataset", hub)
    named = {"xnli": "facebook/xnli"}
    first, second = (HubSource(named).load(XNLI, "dev", "de") for _ in range(2))
    assert hub.asked == [
        (
            ("parquet",),
            {
                "data_files": {"validation": f"hf://datasets/{FACEBOOK}/de/validation-*.parquet"},
                "split": "validation",
            },
        )
    ]
    assert first.files == second.files
    assert list(first.files) == ["XNLI/de.dev"]
    assert HubSource({"xnli": str(FACEBOOK)}).description == HubSource(named).description
    assert len(second.dataset) == 2490


def test_pinned_port_with_other_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.load_dataset", FakeHub(2489))
    with pytest.raises(
        DataError, match=r"facebook/xnli@\w{40}: 2489 rows in de/dev; the official data has 2490: this is not"
    ):
        HubSource({"xnli": "facebook/xnli"}).load(XNLI, "dev", "de")


@pytest.mark.parametrize(
    ("spec", "split", "language", "pattern"),
    [
        (XNLI, "train", "en", "xnli/train-*.parquet"),
        (PAWSX, "test", "fr", "paws-x/test.fr-*.parquet"),
        (POS, "dev", "th", "pos/validation.th-*.parquet"),
    ],
)
def test_the_copy_is_read_where_its_splits_are(spec: Any, split: str, language: str, pattern: str) -> None:
    assert KNOWN[spec.name][-1].parquet(spec, split, language) == f"hf://datasets/{KNOWN['ner'][0]}/{pattern}"


def test_the_copy_is_held_to_the_official_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its columns were never seen: numbers without names, or other names, might be other classes."""
    hub = FakeHub(2490)
    monkeypatch.setattr("datasets.load_dataset", hub)
    source = open_source(COPY)
    with pytest.raises(DataError, match=r"classes without names; the official data have entailment, neutral, contr"):
        source.load(XNLI, "dev", "de")
    hub.names = ["entailment", "contradiction"]
    with pytest.raises(DataError, match=r"classes entailment, contradiction; the official data have entailment, neu"):
        source.load(XNLI, "dev", "de")
    hub.names = ["contradiction", "entailment", "neutral"]
    assert source.load(XNLI, "dev", "de").dataset["label"][:3] == [2, 0, 1]
    assert "xnli: hgissbkh/xglue@de1926389545bc73d13a5b850f2596bdaf463f72" in source.description
    assert "microsoft" not in source.description


def test_a_users_branch_is_loaded_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub(3)
    monkeypatch.setattr("datasets.load_dataset", hub)
    source = HubSource({"xnli": "someone/xnli@main"})
    first = source.load(XNLI, "test", "de")
    hub.rows = 4
    assert source.load(XNLI, "test", "de").files != first.files
    assert hub.asked[0] == (("someone/xnli", "de"), {"revision": "main", "split": "test"})
    assert len(hub.asked) == 2


def test_what_a_port_is() -> None:
    assert HubDataset("/folder").is_local
    assert str(HubDataset("/folder")) == "/folder"
    assert not HubDataset("a/b", "main").is_immutable
    assert str(HubDataset("a/b", "main")) == "a/b@main"
