"""The store: one lock a key, whole entries, and commands to look at it and to make room."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from xglue_harness import cli
from xglue_harness.errors import StoreError
from xglue_harness.transfer.files import read_tensors, write_json, write_tensors
from xglue_harness.transfer.store import Store, code_sha256, content_key, read_entry, store_root

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = {"recipe": {"task": "pos", "learning_rate": 1e-4, "epochs": 3, "seed": 1}}


def _entry(store, key, value=1.0):
    file = store.working_folder(key) / "epoch-3.safetensors"
    sha256 = write_tensors(file, {"weight": torch.full((8,), value)})
    (file.parent / "checkpoint-5.safetensors").write_bytes(b"left over")
    return store.finish(key, "me/encoder", IDENTITY, {"steps": 3}, {3.0: (file.name, sha256)})


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("XGLUE_STORE", str(tmp_path / "store"))
    return Store()


def _command(*arguments, status=0, **kwargs):
    result = CliRunner().invoke(cli.app, ["store", *arguments], **kwargs)
    assert result.exit_code == status, result.output
    return result.output


def test_the_store_lies_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("XGLUE_STORE", str(tmp_path / "mine"))
    assert store_root() == tmp_path / "mine"
    monkeypatch.delenv("XGLUE_STORE")
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))
    assert store_root() == tmp_path / "cache" / "store"


def test_an_entry_is_found_as_it_was_put_and_without_left_overs(store):
    put = _entry(store, "a" * 32)
    found = store.find("a" * 32)
    assert found == put
    assert torch.equal(found.read(3.0)["weight"], torch.ones(8))
    assert sorted(path.name for path in found.folder.iterdir()) == ["entry.json", "epoch-3.safetensors"]
    assert store.find("b" * 32) is None


def test_the_key_is_that_of_the_content():
    assert content_key({"a": 1, "b": [2.5]}) == content_key({"b": [2.5], "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 2})
    assert len(content_key({})) == 32


def test_the_code_that_trains_is_part_of_what_decides(tmp_path):
    copy = tmp_path / "package"
    shutil.copytree(ROOT / "xglue_harness", copy, ignore=shutil.ignore_patterns("sample", "__pycache__"))
    assert code_sha256(copy) == code_sha256()
    for file, changes in (("cli.py", False), ("transfer/learner.py", True), ("encoders/inputs.py", True)):
        code_sha256.cache_clear()
        before = code_sha256(copy)
        (copy / file).write_text((copy / file).read_text() + "# changed")
        code_sha256.cache_clear()
        assert (code_sha256(copy) != before) is changes


@pytest.mark.parametrize("damage", ["weights", "manifest", "missing", "truncated"])
def test_a_damaged_entry_is_not_found_and_named(damage, store, caplog):
    folder = _entry(store, "a" * 32).folder
    weights, manifest = folder / "epoch-3.safetensors", folder / "entry.json"
    if damage == "weights":
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    elif damage == "manifest":
        manifest.write_text(manifest.read_text().replace("me/encoder", "me/Encoder"))
    elif damage == "missing":
        weights.unlink()
    else:
        manifest.write_text(manifest.read_text()[:-30])
    named = weights if damage in ("weights", "missing") else manifest
    assert store.find("a" * 32) is None
    assert str(named) in caplog.text
    output = _command("verify", status=1)
    assert str(named) in output
    assert "1 entries, 1 problems" in output
    _command("prune", "--damaged", "--yes")
    assert store.folders("entries") == []


def test_a_damaged_entry_gives_way_to_a_new_one(store):
    (_entry(store, "a" * 32).folder / "entry.json").unlink()
    assert _entry(store, "a" * 32, 2.0).read(3.0)["weight"][0] == 2.0


def test_files_are_whole_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    with pytest.raises(StoreError, match="cannot write"):
        write_tensors(tmp_path / "file.json" / "below", {"a": torch.zeros(1)})
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.json"]


TWO = """
import sys
from pathlib import Path
from tests.transfer.test_finetune import _finetune
from xglue_harness.transfer.store import Store
print("ready", flush=True)
sys.stdin.readline()
print(_finetune(Store(Path(sys.argv[1]))).session.trained_steps)
"""


@pytest.mark.processes
def test_two_processes_on_one_recipe_train_once(tmp_path):
    from tests.transfer.test_finetune import _finetune

    command, pipe = [sys.executable, "-c", TWO, str(tmp_path)], subprocess.PIPE
    other = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
    assert other.stdout.readline() == "ready\n"
    other.stdin.write("go\n")
    other.stdin.flush()
    here = _finetune(Store(tmp_path)).session.trained_steps
    assert sorted([here, int(other.communicate()[0])]) == [0, 15]


@pytest.mark.processes
def test_a_process_that_waits_says_so_and_a_killed_ones_lock_is_free(store, caplog):
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys, time; from xglue_harness.transfer.store import Store\n"
         "with Store().locked('k' * 32):\n    print('held', flush=True); time.sleep(60)"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "held\n"
    folder = store.working_folder("k" * 32)
    folder.mkdir(parents=True)
    assert not store.remove_unused(folder)
    assert folder.exists()
    threading.Timer(1.0, holder.kill).start()
    with store.locked("k" * 32):
        pass
    holder.wait()
    assert f"another process trains {'k' * 32}; waiting for it" in caplog.text
    assert store.remove_unused(folder)
    assert not store.remove_unused(folder)


def test_ls_and_du_show_what_is_kept(store):
    assert "the store is empty" in _command("ls")
    _entry(store, "a" * 32)
    write_json(store.working_folder("b" * 32) / "progress.json", {"name": "me/other", "recipe": {"task": "nc"}})
    output = _command("ls")
    for text in ("aaaaaaaaaaaa", "pos", "me/encoder", "finished", "bbbbbbbbbbbb", "me/other", "unfinished"):
        assert text in output
    rows = json.loads(_command("ls", "--json"))
    assert [(row["key"][0], row["state"], row["task"]) for row in rows] == [
        ("a", "finished", "pos"),
        ("b", "unfinished", "nc"),
    ]
    assert rows[0]["bytes"] == sum(path.stat().st_size for path in store.entry_folder("a" * 32).iterdir())
    output = _command("du")
    assert str(store.root) in output
    assert "finished:    1 of" in output
    assert "0 problems" in _command("verify")


def test_prune_removes_what_it_is_told_to(store):
    for place, key in enumerate("abcd"):
        folder = _entry(store, key * 32).folder
        os.utime(folder / "entry.json", (time.time() - 86400 * 10 * place,) * 2)

    def left():
        return "".join(folder.name[0] for folder in store.folders("entries"))

    assert "say what to remove" in str(CliRunner().invoke(cli.app, ["store", "prune"]).exception)
    assert "no entry's key begins with 'zz'" in str(CliRunner().invoke(cli.app, ["store", "prune", "zz"]).exception)
    _command("prune", "--all", "--dry-run")
    _command("prune", "--all", input="n\n", status=1)
    assert left() == "abcd"
    _command("prune", "bbb", "--yes")
    assert left() == "acd"
    _command("prune", "--older-than", "25", "--yes")
    assert left() == "ac"
    size = sum(path.stat().st_size for path in store.entry_folder("a" * 32).iterdir())
    _command("prune", "--keep-gb", str(size * 1.5 / 1e9), "--yes")
    assert left() == "a"
    _command("prune", "--all", "--yes")
    assert left() == ""
    assert store.folders("trash") == []


def test_what_a_killed_prune_left_is_removed_by_the_next(store):
    left = store.root / "trash" / "x"
    write_json(left / "entry.json", {})
    assert "trash:" in _command("du")
    _command("prune", "--all", "--yes")
    assert store.folders("trash") == []


def test_an_entry_that_was_repaired_meanwhile_stays(store):
    folder = _entry(store, "a" * 32).folder
    assert not store.remove_unused(folder, still=lambda _: False)
    assert folder.exists()


def test_left_overs_of_a_killed_run_go_with_the_next_use(store):
    folder = _entry(store, "a" * 32).folder
    (folder / "checkpoint-9.safetensors").write_bytes(b"left over")
    assert store.find("a" * 32)
    assert not (folder / "checkpoint-9.safetensors").exists()


def test_an_entry_that_vanishes_is_one_error(store):
    entry = _entry(store, "a" * 32)
    store.remove(entry.folder)
    with pytest.raises(StoreError, match="was it pruned"):
        entry.read(3.0)


def test_tied_weights_are_written_each_for_itself(tmp_path):
    shared = torch.arange(4.0)
    write_tensors(tmp_path / "x.safetensors", {"a": shared, "b": shared})
    assert torch.equal(read_tensors(tmp_path / "x.safetensors")["b"], shared)


def test_who_can_read_an_entry_can_read_its_weights(store):
    """safetensors 0.8 writes files that only their owner can read; a store may be a group's."""
    folder = _entry(store, "a" * 32).folder
    assert (folder / "epoch-3.safetensors").stat().st_mode == (folder / "entry.json").stat().st_mode


def test_using_an_entry_makes_it_recent(store):
    folder = _entry(store, "a" * 32).folder
    os.utime(folder / "entry.json", (1, 1))
    store.find("a" * 32)
    assert (folder / "entry.json").stat().st_mtime > time.time() - 60


def test_a_manifest_of_another_format_is_refused(store):
    folder = _entry(store, "a" * 32).folder
    manifest = json.loads((folder / "entry.json").read_text())
    (folder / "entry.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(StoreError, match="has format 99, not 1"):
        read_entry(folder)


def test_the_schema_is_printed_as_json():
    result = CliRunner().invoke(cli.app, ["schema"])
    assert json.loads(result.output)["title"] == "xglue-harness run record"
