"""The file that says what jobs a queue has, and what holds for all of them: ``<output>/.sweep/jobs.json``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xglue_harness.atomic import replacing
from xglue_harness.errors import SweepError
from xglue_harness.files import read_json
from xglue_harness.sweeps.jobs import Job


@dataclass(frozen=True)
class Known:
    """What the file holds.

    Attributes:
        jobs: in the order in which they are taken.
        attempts: how often a job is tried before it has failed.
        store: of fine-tuned encoders, for all workers; ``None``: each has its own.
        keep_encoders: whether an encoder stays there once its job is done.
        source: the sweep's file, where it is known.
    """

    jobs: Sequence[Job]
    attempts: int
    store: Path | None
    keep_encoders: bool
    source: Path | None = None


class JobsFile:
    """The file, read again only where it was replaced."""

    def __init__(self, path: Path) -> None:
        """Know the place.

        Args:
            path: of the file.
        """
        self._path = path
        self._read: tuple[object, Known] | None = None

    def source(self) -> Path | None:
        """The sweep's file that it was written for; ``None`` where there is none.

        Raises:
            SweepError: where it is damaged.
        """
        source = self._content().get("source") if self._path.exists() else None
        return None if source is None else Path(source)

    def read(self) -> Known:
        """What it holds.

        Raises:
            SweepError: where there is none yet, or it is damaged.
        """
        facts = self._path.stat() if self._path.exists() else None
        stamp = None if facts is None else (facts.st_ino, facts.st_mtime_ns)
        if self._read is None or self._read[0] != stamp:
            value = self._content()
            try:
                jobs = [Job.from_json(job) for job in value["jobs"]]
                store, source = (value.get(name) and Path(value[name]) for name in ("store", "source"))
                known = Known(jobs, int(value["attempts"]), store, bool(value["keep_encoders"]), source)
                self._read = (stamp, known)
            except (KeyError, TypeError, ValueError) as error:
                raise self._damaged(error) from None
        return self._read[1]

    def write(self, known: Known) -> None:
        """Replace what it holds.

        Raises:
            OSError: where it can't be written.
        """
        value = {
            "source": known.source and str(known.source),
            "store": known.store and str(known.store),
            "attempts": known.attempts,
            "keep_encoders": known.keep_encoders,
            "jobs": [job.as_json() for job in known.jobs],
        }
        with replacing(self._path) as temporary:
            temporary.write_text(json.dumps(value))

    def _content(self) -> dict[str, Any]:
        try:
            value: dict[str, Any] = read_json(self._path)
            return value
        except FileNotFoundError:
            raise SweepError(
                f"{self._path.parent.parent}: no sweep was begun here: `xglue-harness sweep run FILE` begins it"
            ) from None
        except (OSError, ValueError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> SweepError:
        return SweepError(
            f"{self._path}: is damaged ({error}): remove it; `xglue-harness sweep run FILE` makes it anew"
        )
