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

from xglue_harness.cli import app as cli
from xglue_harness.errors import StoreError
from xglue_harness.seal import DamagedFileError, sealed_json, unsealed_json
from xglue_harness.store.files import read_tensors, write_sealed, write_tensors
from xglue_harness.store.trainings import Store, content_key, read_entry, store_root
from xglue_harness.training.checkpoint import Progress

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = {"recipe": {"task": "pos", "learning_rate": 1e-4, "epochs": 3, "seed": 1}}
KEY = content_key(IDENTITY)


def _entry(store, identity=IDENTITY, value=1.0):
    key = content_key(identity)
    file = store.working_folder(key) / "epoch-3.safetensors"
    sha256 = write_tensors(file, {"weight": torch.full((8,), value)})
    (file.parent / "checkpoint-5.safetensors").write_bytes(b"left over")
    return store.finish(key, "me/encoder", identity, {"steps": 3}, {3.0: (file.name, sha256)})


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
    put = _entry(store)
    entry = store.find(KEY)
    assert entry == put
    assert torch.equal(entry.read(3.0)["weight"], torch.ones(8))
    assert sorted(path.name for path in entry.folder.iterdir()) == ["entry.json", "epoch-3.safetensors"]
    assert store.find("b" * 32) is None


def test_the_key_is_that_of_the_content():
    assert content_key({"a": 1, "b": [2.5]}) == content_key({"b": [2.5], "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 2})
    assert len(content_key({})) == 32


@pytest.mark.parametrize("damage", ["weights", "manifest", "missing", "truncated"])
def test_a_damaged_entry_is_not_found_and_named(damage, store, caplog):
    folder = _entry(store).folder
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
    assert store.find(KEY) is None
    assert str(named) in caplog.text
    output = _command("verify", status=1)
    assert str(named) in output
    assert "1 entries, 0 unfinished trainings, 1 problems" in output
    _command("prune", "--damaged", "--yes")
    assert store.folders("entries") == []


def test_a_damaged_entry_gives_way_to_a_new_one(store):
    (_entry(store).folder / "entry.json").unlink()
    assert _entry(store, value=2.0).read(3.0)["weight"][0] == 2.0


def test_files_are_whole_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    write_sealed(path, "k", {"a": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        write_sealed(path, "k", {"a": float("nan")})
    assert path.read_bytes() == sealed_json("k", {"a": 1})
    with pytest.raises(StoreError, match="cannot write"):
        write_tensors(tmp_path / "file.json" / "below", {"a": torch.zeros(1)})
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.json"]


TWO = """
import sys
from pathlib import Path
from tests.training.test_finetune import _finetune
from xglue_harness.store.trainings import Store
print("ready", flush=True)
sys.stdin.readline()
print(_finetune(Store(Path(sys.argv[1]))).session.trained_steps)
"""


@pytest.mark.processes
def test_two_processes_on_one_recipe_train_once(tmp_path):
    from tests.training.test_finetune import _finetune

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
        [sys.executable, "-c", "import sys, time; from xglue_harness.store.trainings import Store\n"
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
    _entry(store)
    unfinished = Progress(name="me/other", recipe={"task": "nc"}).model_dump(mode="json")
    write_sealed(store.working_folder("b" * 32) / "progress.json", "b" * 32, unfinished)
    output = _command("ls")
    for text in (KEY[:12], "pos", "me/encoder", "finished", "bbbbbbbbbbbb", "me/other", "unfinished"):
        assert text in output
    rows = json.loads(_command("ls", "--json"))
    assert [(row["key"], row["state"], row["task"]) for row in rows] == [
        (KEY, "finished", "pos"),
        ("b" * 32, "unfinished", "nc"),
    ]
    assert rows[0]["bytes"] == sum(path.stat().st_size for path in store.entry_folder(KEY).iterdir())
    output = _command("du")
    assert str(store.root) in output
    assert "finished:    1 of" in output
    assert "0 problems" in _command("verify")


def _identity(**changes):
    recipe = {"task": "pos", "learning_rate": 1e-4, "epochs": 3, "seed": 1, "max_length": 128, "dev": "all"}
    own = {key: changes.pop(key) for key in ("data", "weights") if key in changes}
    return {
        "recipe": {**recipe, **changes},
        "data": own.get("data", "a" * 64),
        "backbone": {"weights": own.get("weights", "b" * 64)},
    }


def test_ls_shows_what_tells_trainings_of_a_task_apart_and_nothing_else(store):
    for changes in ({}, {"seed": 2}, {"task": "nc", "dev": "none"}):
        _entry(store, _identity(**changes))
    heads = _command("ls").splitlines()[0].split()
    assert heads == ["key", "task", "encoder", "lr", "epochs", "seed", "state", "MB", "last", "used"]
    _entry(store, _identity(max_length=256))
    _entry(store, _identity(data="c" * 64))
    _entry(store, _identity(weights="d" * 64))
    lines = [line.split() for line in _command("ls").splitlines()]
    assert lines[0] == [*heads[:6], "max_length", "data", "weights", *heads[6:]]
    shown = {tuple(line[6:9]) for line in lines[1:]}
    assert {("128", "aaaaaaaa", "bbbbbbbb"), ("256", "aaaaaaaa", "bbbbbbbb"), ("128", "cccccccc", "bbbbbbbb")} <= shown
    assert ("128", "aaaaaaaa", "dddddddd") in shown
    [nc] = [row for row in json.loads(_command("ls", "--json")) if row["task"] == "nc"]
    assert nc["facts"] == {"max_length": 128, "dev": "none", "rows": None, "data": "a" * 8, "weights": "b" * 8}


def test_prune_removes_what_it_is_told_to(store):
    names = {}
    for place, name in enumerate("abcd"):
        entry = _entry(store, {**IDENTITY, "data": name})
        names[entry.key] = name
        os.utime(entry.folder / "entry.json", (time.time() - 86400 * 10 * place,) * 2)
    keys = {name: key for key, name in names.items()}

    def left():
        return "".join(sorted(names[folder.name] for folder in store.folders("entries")))

    assert "say what to remove" in str(CliRunner().invoke(cli.app, ["store", "prune"]).exception)
    assert "no entry's key begins with 'zz'" in str(CliRunner().invoke(cli.app, ["store", "prune", "zz"]).exception)
    _command("prune", "--all", "--dry-run")
    _command("prune", "--all", input="n\n", status=1)
    assert left() == "abcd"
    _command("prune", keys["b"][:12], "--yes")
    assert left() == "acd"
    _command("prune", "--older-than", "25", "--yes")
    assert left() == "ac"
    size = sum(path.stat().st_size for path in store.entry_folder(keys["a"]).iterdir())
    _command("prune", "--keep-gb", str(size * 1.5 / 1e9), "--yes")
    assert left() == "a"
    _command("prune", "--all", "--yes")
    assert left() == ""
    assert store.folders("trash") == []


def test_what_a_killed_prune_left_is_removed_by_the_next(store):
    left = store.root / "trash" / "x"
    write_sealed(left / "entry.json", "x", {})
    assert "trash:" in _command("du")
    _command("prune", "--all", "--yes")
    assert store.folders("trash") == []


def test_an_entry_that_was_repaired_meanwhile_stays(store):
    folder = _entry(store).folder
    assert not store.remove_unused(folder, still=lambda _: False)
    assert folder.exists()


def test_left_overs_of_a_killed_run_go_with_the_next_use(store):
    folder = _entry(store).folder
    (folder / "checkpoint-9.safetensors").write_bytes(b"left over")
    assert store.find(KEY)
    assert not (folder / "checkpoint-9.safetensors").exists()


def test_an_entry_that_vanishes_is_one_error(store):
    entry = _entry(store)
    store.remove(entry.folder)
    with pytest.raises(StoreError, match="was it pruned"):
        entry.read(3.0)


def test_tied_weights_are_written_each_for_itself(tmp_path):
    shared = torch.arange(4.0)
    sha256 = write_tensors(tmp_path / "x.safetensors", {"a": shared, "b": shared})
    assert torch.equal(read_tensors(tmp_path / "x.safetensors", sha256)["b"], shared)


def test_tensors_of_any_type_are_told_apart(tmp_path):
    path = tmp_path / "x.safetensors"
    one = {"a": torch.tensor([1.0, -0.0], dtype=torch.bfloat16), "b": torch.tensor(True), "c": torch.zeros(0, 2)}
    sha256 = write_tensors(path, one)
    assert {name: tensor.dtype for name, tensor in read_tensors(path, sha256).items()} == {
        name: tensor.dtype for name, tensor in one.items()
    }
    others = [
        {**one, "a": torch.tensor([1.0, 0.0], dtype=torch.bfloat16)},
        {**one, "a": one["a"].view(torch.int16)},
        {**one, "c": torch.zeros(2, 0)},
        {"a": one["a"], "B": one["b"], "c": one["c"]},
        {"a": one["a"], "b": one["b"]},
    ]
    for other in others:
        write_tensors(path, other)
        with pytest.raises(DamagedFileError, match="its checksum is not its own"):
            read_tensors(path, sha256)
    path.unlink()
    with pytest.raises(DamagedFileError, match="it is missing"):
        read_tensors(path, sha256)


def test_who_can_read_an_entry_can_read_its_weights(store):
    """safetensors 0.8 writes files that only their owner can read; a store may be a group's."""
    folder = _entry(store).folder
    assert (folder / "epoch-3.safetensors").stat().st_mode == (folder / "entry.json").stat().st_mode


def test_using_an_entry_makes_it_recent(store):
    folder = _entry(store).folder
    os.utime(folder / "entry.json", (1, 1))
    store.find(KEY)
    assert (folder / "entry.json").stat().st_mtime > time.time() - 60


def test_a_manifest_of_another_format_is_refused(store):
    folder = _entry(store).folder
    manifest = unsealed_json(KEY, (folder / "entry.json").read_bytes())
    write_sealed(folder / "entry.json", KEY, {**manifest, "format": 99})
    with pytest.raises(StoreError, match="has format 99, not 2"):
        read_entry(folder)
    (folder / "entry.json").write_text('{\n "format": 1\n}')
    with pytest.raises(StoreError, match="an older version may have written it"):
        read_entry(folder)


def test_an_entry_under_anothers_key_is_not_taken(store, caplog):
    """Seed 7's scores must never stand under seed 1234."""
    entry = _entry(store)
    other = content_key({**IDENTITY, "seed": 7})
    shutil.copytree(entry.folder, store.entry_folder(other))
    assert store.find(other) is None
    assert f"it belongs to {KEY}, not to {other}" in caplog.text
    assert store.find(KEY) == entry
    # Nor one whose identity is not that of its key, whoever sealed it.
    manifest = unsealed_json(KEY, (entry.folder / "entry.json").read_bytes())
    write_sealed(store.entry_folder(other) / "entry.json", other, manifest)
    assert store.find(other) is None
    assert "is of another training" in caplog.text
    assert "2 entries, 0 unfinished trainings, 1 problems" in _command("verify", status=1)


def test_the_schema_is_printed_as_json():
    result = CliRunner().invoke(cli.app, ["schema"])
    assert json.loads(result.output)["title"] == "xglue-harness run record"
