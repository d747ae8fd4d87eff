"""What a run of W&B has written offline: its own messages, in the blocks of LevelDB's log format (no public reader)."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32768, 7


def offline_runs(folder: Path) -> list[dict[str, Any]]:
    """Name, group, project, config and history (a dict a step) of the runs below ``folder``, the oldest first."""
    return [
        _run(path) for path in sorted(folder.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_ctime)
    ]


def _run(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"config": {}, "history": []}
    for record in _records(path.read_bytes()):
        if record.HasField("run"):
            run = record.run
            found.update(name=run.display_name, group=run.run_group, project=run.project)
            found["config"] |= _values(run.config.update)
        if record.HasField("config"):
            found["config"] |= _values(record.config.update)
        if record.HasField("history"):
            values = _values(record.history.item)
            found["history"].append(
                {key: value for key, value in values.items() if key not in ("_timestamp", "_runtime")}
            )
    return found


def _values(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _records(data: bytes) -> Iterator[Any]:
    from wandb.proto.wandb_internal_pb2 import Record

    place, whole = HEADER, b""
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        whole += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""
