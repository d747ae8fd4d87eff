"""lm_eval with no data given: the archive comes from the Hub, and a folder with the same rows shares the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.hub import COMMIT, FakeHub, as_official, serving, use
from tests.helpers.layout import pack, write_task
from xglue_harness.benchmark import task

LEAF = "xglue_ner_zs_de"


def test_the_main_command_needs_nothing_before_it(
    evaluate: Any, own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    write_task(folder, task("ner"))
    with serving(FakeHub(pack(tmp_path / "x.tar.gz", folder).read_bytes())) as hub:
        hub.gate.set()
        as_official(monkeypatch, hub.sha256, len(hub.content))
        use(monkeypatch, hub.url, str(tmp_path / "hub"))
        found = evaluate([LEAF], {"data": None})
        again = evaluate([LEAF], {"data": str(folder)})
    assert hub.ranges == [""]
    record, other = (results["configs"][LEAF]["metadata"]["xglue"] for results in (found, again))
    assert record["SAMPLE"] is False
    assert record["data"]["source"] == "hub"
    assert record["data"]["description"].startswith(f"microsoft/xglue@{COMMIT}, xglue_full_dataset.tar.gz (sha256 ")
    assert set(record["data"]["files"]) == {"NER/en.train", "NER/de.test"}
    assert other["data"]["source"] == "folder"
    assert {key: other["data"][key] for key in ("fingerprint", "files")} == {
        key: record["data"][key] for key in ("fingerprint", "files")
    }
    assert other["training"]["store_key"] == record["training"]["store_key"]
    assert len(list((own_store / "entries").iterdir())) == 1
    assert found["results"][LEAF]["f1,none"] == again["results"][LEAF]["f1,none"]
