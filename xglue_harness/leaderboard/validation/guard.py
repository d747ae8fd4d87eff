"""What a pull request changes under ``leaderboard/``, byte by byte, and whether it says why.

What it adds under ``backbones/`` and ``results/`` is its own. All else that was there before, or lies elsewhere, is
somebody's: a change of it needs a reason. New scores have it in the result's own ``changes``, written by ``leaderboard
add --reason``; anything else in ``changes.yaml``, written by ``leaderboard explain``, which only ever grows:

.. code-block:: yaml

    - file: backbones/mbert.yaml
      before: sha256 of the file before; null where it was not there
      after: sha256 of the file now; null where it is removed
      reason: the paper's appendix lists Thai, too
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from pydantic import ValidationError

from xglue_harness.errors import LeaderboardError
from xglue_harness.files import file_sha256
from xglue_harness.leaderboard.contributions.results import TaskResult
from xglue_harness.leaderboard.contributions.tree import CHANGES, Entry, Reason, Tree, list_files, read_tree
from xglue_harness.untrusted import problems_of, read_json, read_yaml, shown

FILES_LIMIT = 2000
BYTES_LIMIT = 10_000_000
"""Most files and bytes that a change may add; a seed of all tasks is 67 files and 1 MB."""

LINES_SHOWN = 1000

_KEYS_SHOWN = 8
_VALUE_SHOWN = 40


@dataclass(frozen=True)
class FileChange:
    """A file that is not what it was.

    Attributes:
        file: its path in the tree.
        what: ``added``, ``changed`` or ``removed``.
        detail: what is other: keys with their values, mode, size, the name it had.
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


def check_amount(folder: Path, base: Path) -> None:
    """Whether a change is small enough to be looked at; nothing is read for that.

    Raises:
        LeaderboardError: where it is not.
    """
    before = list_files(base)
    sizes = [
        entry.size
        for name, entry in list_files(folder).items()
        if entry and not ((old := before.get(name)) and old.size == entry.size)
    ]
    if len(sizes) > FILES_LIMIT or sum(sizes) > BYTES_LIMIT:
        raise LeaderboardError(
            f"{folder}: {len(sizes):,} files of {sum(sizes):,} bytes are new; at most {FILES_LIMIT:,} of "
            f"{BYTES_LIMIT:,} are taken at once: make several pull requests of it"
        )


def file_changes(tree: Tree, base: Tree) -> list[FileChange]:
    """Every file that was added, changed or removed: those that need a reason first.

    Args:
        tree: as it is.
        base: as it was.
    """
    names = sorted({*tree.files, *base.files})
    given = {(own.file, own.before, own.after): own.reason for own in tree.reasons[len(base.reasons) :]}
    hashes = {name: (_sha256(base.files.get(name)), _sha256(tree.files.get(name))) for name in names}
    added = {after: name for name, (before, after) in hashes.items() if before is None}
    removed = {before: name for name, (before, after) in hashes.items() if after is None}
    found = []
    for name, (before, after) in hashes.items():
        old, now = base.files.get(name), tree.files.get(name)
        if before == after and old and now and old.executable == now.executable:
            continue
        own = before is None and PurePosixPath(name).parts[0] in ("backbones", "results")
        own = own or (name == CHANGES and after is not None and _grows(tree, base))
        if before is None:
            detail = f"is {removed[after]}, renamed" if after in removed else _whose(name, base)
        elif after is None:
            detail = f"is {added[before]} now" if before in added else ""
        else:
            assert old is not None
            assert now is not None
            detail = ", ".join([*_mode(old, now), *([_difference(old, now)] if before != after else [])])
        what = "added" if before is None else "removed" if after is None else "changed"
        reason = given.get((name, before, after)) or _of_the_result(name, tree, base)
        found.append(FileChange(name, what, detail, own, reason, before, after))
    return sorted(found, key=lambda change: (change.own, change.reason is not None, change.what == "added"))


def problems(tree: Tree, base: Tree) -> Iterator[str]:
    """What of a change can't be taken: others' files without a reason, reasons that are gone, what may run."""
    if not _grows(tree, base):
        yield f"{tree.folder / CHANGES}: reasons that were given before are gone; new ones go below them"
    untold = {*_scores(tree, base)}
    yield from untold
    for change in file_changes(tree, base):
        path = tree.folder / change.file
        now, old = tree.files.get(change.file), base.files.get(change.file)
        if now and now.executable and not (old and old.executable):
            yield f"{path}: is executable, and nothing here is run; expected mode 100644 (chmod -x)"
        if change.what == "removed" and change.file.startswith("reference/"):
            yield f"{path}: removed; the pages need it"
        elif not change.own and change.reason is None and not any(line.startswith(f"{path}: ") for line in untold):
            why = f" ({change.detail})" if change.detail else ""
            hint = (
                "; replace a result that was wrong, with the reason, or"
                if change.what == "removed"
                else "; put it back, or"
            )
            yield (
                f"{path}: {change.what}{why} without a reason, and not yours: it was there before, or is no backbone "
                f"or result{hint} say why with 'leaderboard explain --base DIR --reason TEXT'"
            )
    for name in tree.empty:
        if name not in base.empty and not any(file.startswith(f"{name}/") for file in base.files):
            yield f"{tree.folder / name}: an empty folder, as a submodule is; expected files"


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
    lines += [shown(f"added to {CHANGES}: {own.file}: {own.reason}") for own in tree.reasons[len(base.reasons) :]]
    more = len(lines) - LINES_SHOWN
    return lines if more <= 0 else [*lines[:LINES_SHOWN], f"and {more:,} more lines"]


def explain(folder: Path, base: Path, reason: str) -> list[str]:
    """Write a reason for everything that needs one into ``changes.yaml``.

    Args:
        folder: the tree.
        base: the tree as it was.
        reason: why.

    Returns:
        The files.

    Raises:
        LeaderboardError: for a reason that is no line of plain text, and where nothing needs one.
    """
    from xglue_harness.atomic import replacing

    tree, before = read_tree(folder), read_tree(base)
    untold = [change for change in file_changes(tree, before) if not change.own and change.reason is None]
    if not untold:
        raise LeaderboardError(f"{folder}: nothing needs a reason")
    try:
        added = [Reason(file=own.file, before=own.before, after=own.after, reason=reason) for own in untold]
    except ValidationError as error:
        raise LeaderboardError(f"--reason: {problems_of(error)}") from None
    value = [own.model_dump() for own in [*tree.reasons, *added]]
    try:
        with replacing(folder / CHANGES) as temporary:
            temporary.write_text(
                yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000), encoding="utf-8"
            )
    except OSError as error:
        raise LeaderboardError(f"{folder / CHANGES}: can't be written: {error.strerror or error}") from error
    return [own.file for own in untold]


def _grows(tree: Tree, base: Tree) -> bool:
    """Whether the reasons that were given before stand where they stood."""
    return tree.reasons[: len(base.reasons)] == base.reasons


def _of_the_result(name: str, tree: Tree, base: Tree) -> str | None:
    """The reason that a result gives for itself and its predictions: one that tells of the scores before."""
    parts = PurePosixPath(name)
    path = str(parts.with_name(f"{parts.name.partition('.')[0]}.json"))
    old, new = _result(path, base), _result(path, tree)
    if old is None or new is None:
        return None
    added = new.changes[len(old.changes) :]
    return next((change.reason for change in added if change.previous == old.scores), None)


def _result(path: str, tree: Tree) -> TaskResult | None:
    return next((result for place, result in tree.results if place == tree.folder / path), None)


def _scores(tree: Tree, base: Tree) -> Iterator[str]:
    """Scores that are not what they were, without a reason in their own file."""
    new = {result.path: result for _, result in tree.results}
    for _, old in base.results:
        where = tree.folder / "results" / old.path
        if (result := new.get(old.path)) is None:
            continue  # removed, or there with a problem of its own
        if result.changes[: len(old.changes)] != old.changes:
            yield f"{where}: changes: reasons that were given before are gone"
        elif result.scores != old.scores and not _of_the_result(f"results/{old.path.as_posix()}", tree, base):
            yield (
                f"{where}: scores differ from those before, and changes gives no reason; replace them with "
                "'leaderboard add --reason TEXT'"
            )


def _sha256(entry: Entry | None) -> str | None:
    return None if entry is None else file_sha256(entry.path)


def _whose(name: str, base: Tree) -> str:
    """Of a new file, whether it joins what is there."""
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
        short = (
            text
            if len(text) <= _VALUE_SHOWN
            else f"{text[:_VALUE_SHOWN]}… ({hashlib.sha256(text.encode()).hexdigest()[:8]})"
        )
        yield where, short
