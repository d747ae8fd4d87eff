"""Folders that appear whole or not at all, and locks between processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from xglue_harness.atomic import new_folder, replacing
from xglue_harness.exclusive import is_locked, locked


def _tree(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_appears_with_its_parents_once_it_is_whole(tmp_path, replace):
    folder = tmp_path / "a" / "b"
    with new_folder(folder, replace=replace) as inner:
        (inner / "file").write_text("new")
        assert not folder.exists()
    assert _tree(tmp_path) == {"a/b/file": "new"}
    assert folder.stat().st_mode == folder.parent.stat().st_mode


def test_what_stands_there_is_replaced_where_it_may_be(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "old").write_text("old")
    with pytest.raises(OSError, match="not empty"), new_folder(folder) as inner:
        (inner / "new").write_text("new")
    assert _tree(tmp_path) == {"a/old": "old"}
    with new_folder(folder, replace=True) as inner:
        (inner / "new").write_text("new")
    assert _tree(tmp_path) == {"a/new": "new"}
    assert [*tmp_path.iterdir()] == [folder]


def test_an_older_folder_comes_back_where_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "old").write_text("old")
    renamed = Path.replace

    def full(self, target):
        if self.name == "new":
            raise OSError(28, "No space left on device")
        return renamed(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"), new_folder(folder, replace=True) as inner:
        (inner / "new").write_text("new")
    assert _tree(tmp_path) == {"a/old": "old"}
    assert [*tmp_path.iterdir()] == [folder]


@pytest.mark.parametrize("place", [replacing, new_folder])
def test_nothing_is_left_of_what_was_not_finished(tmp_path, place):
    with pytest.raises(ValueError, match="stop"), place(tmp_path / "a"):
        raise ValueError("stop")
    assert not [*tmp_path.iterdir()]


def test_a_lock_is_held_while_its_block_runs(tmp_path):
    lock = tmp_path / "locks" / "a.lock"
    assert not is_locked(lock)
    assert not lock.parent.exists()
    with locked(lock, "waiting"):
        assert is_locked(lock)
    assert not is_locked(lock)
