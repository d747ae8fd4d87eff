"""What a pull request changes under ``leaderboard/``: file by file, and key by key where a file has keys."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from xglue_harness.errors import LeaderboardError
from xglue_harness.files import file_sha256
from xglue_harness.leaderboard.contributions.tree import CHANGES, Tree
from xglue_harness.leaderboard.contributions.tree_files import Entry
from xglue_harness.leaderboard.validation.reasons import reason_of_result, reasons_grow
from xglue_harness.untrusted.problems import shown
from xglue_harness.untrusted.values import read_json, read_yaml

LINES_SHOWN = 1000

_KEYS_SHOWN = 8
_VALUE_SHOWN = 40


@dataclass(frozen=True)
class FileChange:
    """A file that is not what it was.

    Attributes:
        file: its path in the tree.
        what: ``added``, ``changed`` or ``removed``.
        detail: what differs: keys with their values, mode, size, the name it had.
        own: whether it is the contributor's own, so that no reason is needed.
        reason: why; ``None`` where none is given.
        before: sha256 of the file before; ``None`` where it was not there.
        after: sha256 of the file now; ``None`` where it is removed.
    """

    file: str
    what: str
    detail: str
    own: bool
    reason: str | None
    before: str | None
    after: str | None

    def __str__(self) -> str:
        said = "" if self.own else f" (reason: {self.reason})" if self.reason else " (NO REASON GIVEN)"
        return shown(f"{self.what} {self.file}{said}{f': {self.detail}' if self.detail else ''}")


def file_changes(tree: Tree, base: Tree) -> list[FileChange]:
    """Every file that was added, changed or removed: those that need a reason first.

    Args:
        tree: as it is.
        base: as it was.
    """
    names = sorted({*tree.files, *base.files})
    given = {(entry.file, entry.before, entry.after): entry.reason for entry in tree.reasons[len(base.reasons) :]}
    hashes = {name: (_sha256(base.files.get(name)), _sha256(tree.files.get(name))) for name in names}
    added = {after: name for name, (before, after) in hashes.items() if before is None}
    removed = {before: name for name, (before, after) in hashes.items() if after is None}
    changes = []
    for name, (before, after) in hashes.items():
        old, now = base.files.get(name), tree.files.get(name)
        if before == after and old and now and old.executable == now.executable:
            continue
        own = before is None and PurePosixPath(name).parts[0] in ("backbones", "results")
        own = own or (name == CHANGES and after is not None and reasons_grow(tree, base))
        if before is None:
            detail = f"is {removed[after]}, renamed" if after in removed else _whose(name, base)
        elif after is None:
            detail = f"is {added[before]} now" if before in added else ""
        else:
            assert old is not None
            assert now is not None
            detail = ", ".join([*_mode(old, now), *([_difference(old, now)] if before != after else [])])
        what = "added" if before is None else "removed" if after is None else "changed"
        reason = given.get((name, before, after)) or reason_of_result(name, tree, base)
        changes.append(FileChange(name, what, detail, own, reason, before, after))
    return sorted(changes, key=lambda change: (change.own, change.reason is not None, change.what == "added"))


def listing(tree: Tree, base: Tree) -> list[str]:
    """All of a change in lines of plain text: how much there is of it, then file by file.

    The predictions that come with a new result share a line.
    """
    changes = file_changes(tree, base)
    counts = Counter(change.what for change in changes)
    told = ", ".join(f"{counts[what]} {what}" for what in ("removed", "changed", "added") if counts[what])
    lines = [f"Files under {tree.folder.name}/: {told or 'nothing changes'}"]
    new = {change.file for change in changes if change.own}
    beside: dict[str, list[str]] = {}
    for name in new:
        task, _, rest = PurePosixPath(name).name.partition(".")
        head = str(PurePosixPath(name).with_name(f"{task}.json"))
        if rest.endswith(".parquet") and head in new:
            beside.setdefault(head, []).append(rest.removesuffix(".parquet"))
    hidden = {str(PurePosixPath(h).with_suffix(f".{lang}.parquet")) for h, langs in beside.items() for lang in langs}
    for change in changes:
        if change.file not in hidden:
            languages = ", ".join(sorted(beside.get(change.file, ())))
            lines.append(f"{change}{f', with the predictions of {languages}' if languages else ''}")
    lines += [shown(f"added to {CHANGES}: {entry.file}: {entry.reason}") for entry in tree.reasons[len(base.reasons) :]]
    more = len(lines) - LINES_SHOWN
    return lines if more <= 0 else [*lines[:LINES_SHOWN], f"and {more:,} more lines"]


def _sha256(entry: Entry | None) -> str | None:
    return None if entry is None else file_sha256(entry.path)


def _whose(name: str, base: Tree) -> str:
    """Whether a new file joins a backbone that was there."""
    parts = PurePosixPath(name).parts
    if parts[0] != "results" or len(parts) < 5 or f"backbones/{parts[1]}.yaml" not in base.files:
        return ""
    start = "/".join(parts[:3])
    moved = any(other.startswith(f"{start}/") and other.endswith(f"/{parts[4]}") for other in base.files)
    return f"joins {parts[1]}, which was there{f', and moves its means under {parts[2]}' if moved else ''}"


def _mode(old: Entry, now: Entry) -> list[str]:
    modes = {False: "100644", True: "100755"}
    return [] if old.executable == now.executable else [f"mode {modes[old.executable]} -> {modes[now.executable]}"]


def _difference(old: Entry, now: Entry) -> str:
    """What differs between two files, key by key where they have keys."""
    try:
        read = {".yaml": read_yaml, ".json": read_json}[now.path.suffix]
        before, after = (dict(_flat(read(entry.path, 2_000_000))) for entry in (old, now))
    except (KeyError, LeaderboardError):
        return f"{old.size:,} -> {now.size:,} bytes"
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    if not keys:
        return "other bytes, the same values"
    parts = [f"{key} {before.get(key, 'none')} -> {after.get(key, 'none')}" for key in keys[:_KEYS_SHOWN]]
    return ", ".join([*parts, *([f"and {len(keys) - _KEYS_SHOWN} more keys"] if len(keys) > _KEYS_SHOWN else [])])


def _flat(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Each value with its dotted key, both cut."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{where}.{key}".lstrip("."))
    else:
        text = json.dumps(value, ensure_ascii=False)
        shortened = (
            text
            if len(text) <= _VALUE_SHOWN
            else f"{text[:_VALUE_SHOWN]}… ({hashlib.sha256(text.encode()).hexdigest()[:8]})"
        )
        yield where, shortened
