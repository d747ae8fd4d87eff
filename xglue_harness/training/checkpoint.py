"""Where an interrupted training goes on: its checkpoints, and the weights of the epochs that may be selected.

All of it lies in the training's working folder. ``progress.json`` is the one file that counts: it names the others
with their checksums, and it is replaced by one rename, so that a whole state is found wherever a process was killed.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from xglue_harness.records.training_schema import EpochScores, Gradients
from xglue_harness.seal import DamagedFileError, unsealed_json
from xglue_harness.store.files import read_tensors, unwritable, write_sealed, write_tensors
from xglue_harness.training.curve import LearningCurve

if TYPE_CHECKING:  # torch takes seconds, which `xglue-harness store ls` need not wait for
    import torch

logger = logging.getLogger(__name__)

PROGRESS = "progress.json"


class Counters(BaseModel):
    """What a training has done so far."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    step: int = Field(0, ge=0)
    real_tokens: int = Field(0, ge=0)
    padded_tokens: int = Field(0, ge=0)
    batch_splits: int = Field(1, ge=1)
    max_tokens: int | None = Field(None, ge=1, alias="room")  # as checkpoints have called it from the start
    """Subwords of a microbatch, padding included, once memory has run out."""
    final_loss: float | None = None
    curve: LearningCurve | None = None
    """``None`` in the checkpoints of versions that kept none: a curve without its beginning is not begun."""
    gradients: Gradients | None = None
    """``None`` where the training began without the option of that name."""
    seconds: float = Field(0.0, ge=0)
    dev_tokens: int = Field(0, ge=0)
    dev_seconds: float = Field(0.0, ge=0)
    steps_peak_mb: float | None = Field(None, ge=0)
    """Peak memory while steps were taken, in 10^6 bytes."""
    dev_peak_mb: float | None = Field(None, ge=0)
    """The same while dev sets were scored."""


class Progress(BaseModel):
    """The state of a training, apart from its tensors."""

    model_config = ConfigDict(extra="forbid")

    name: str = ""
    """Of the backbone, for people."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """For people, too: the working folder's own name says what is trained."""
    counters: Counters = Field(default_factory=Counters)
    epochs: list[EpochScores] = Field(default_factory=list)
    """Finished epochs with the dev scores known so far; the last one may lack some."""
    kept: dict[float, tuple[str, str]] = Field(default_factory=dict)
    """File and sha256 of the weights of epochs that a selection rule may want."""
    sums: dict[int, tuple[int, str, str]] = Field(default_factory=dict)
    """Of each mean that is being taken, by the number of the last epochs that will be in it: how many are, and file and
    sha256 of their sum (`xglue_harness.training.averaging`)."""
    averages: dict[int, tuple[str, str]] = Field(default_factory=dict)
    """File and sha256 of each finished mean, by the number of epochs in it."""
    checkpoint: Annotated[tuple[str, str] | None, Field(description="file and sha256 of the tensors")] = None
    generators: list[dict[str, Any]] = Field(default_factory=list)
    """State of each process's random number generators, by rank."""
    scaler: dict[str, Any] = Field(default_factory=dict)
    """State of fp16's gradient scaler."""

    def kept_files(self) -> list[tuple[str, str]]:
        """Name and sha256 of each file with tensors, but for the checkpoint's."""
        sums = [(name, sha256) for _, name, sha256 in self.sums.values()]
        return [*self.kept.values(), *sums, *self.averages.values()]

    def files(self) -> list[str]:
        """Names of the files with its tensors."""
        return [name for name, _ in (*([self.checkpoint] if self.checkpoint else []), *self.kept_files())]


@dataclass
class CheckpointFolder:
    """A training's working folder."""

    folder: Path

    def load(self) -> tuple[Progress, dict[str, torch.Tensor]] | None:
        """The last checkpoint; ``None`` where there is none, or a damaged one, which the log names.

        Whatever it does not name is removed: what a killed process, or a damaged state, left behind.
        """
        try:
            checkpoint = self.read()
        except DamagedFileError as error:
            logger.warning("store: the checkpoint %s can't be used, training starts anew: %s", self.folder, error)
            checkpoint = None
        named = set() if checkpoint is None else {PROGRESS, *checkpoint[0].files()}
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.name not in named:
                self._remove(path.name)
        return checkpoint

    def read(self) -> tuple[Progress, dict[str, torch.Tensor]] | None:
        """The last checkpoint, ``None`` where there is none; the folder stays as it is.

        Raises:
            DamagedFileError: where a file that it names is missing, damaged or another training's.
        """
        progress = read_progress(self.folder)
        if progress is None or progress.checkpoint is None:
            return None
        for file in progress.kept_files():
            self.tensors(*file)
        return progress, self.tensors(*progress.checkpoint)

    def tensors(self, name: str, sha256: str) -> dict[str, torch.Tensor]:
        """What a file holds.

        Raises:
            DamagedFileError: where it is missing, or holds other tensors.
        """
        try:
            return read_tensors(self.folder / name, sha256)
        except DamagedFileError as error:
            raise DamagedFileError(f"{name}: {error}") from None

    def save(self, progress: Progress, tensors: Mapping[str, torch.Tensor]) -> None:
        """Write a checkpoint; the one before is removed once this one counts."""
        before = progress.checkpoint
        name = f"checkpoint-{progress.counters.step}.safetensors"
        progress.checkpoint = (name, write_tensors(self.folder / name, tensors))
        self.note(progress)
        if before is not None and before[0] != name:
            self._remove(before[0])

    def keep(self, progress: Progress, epoch: float, tensors: Mapping[str, torch.Tensor]) -> None:
        """Write the weights of an epoch; they count from the next `note` on."""
        name = f"epoch-{epoch!r}.safetensors"
        progress.kept[epoch] = (name, write_tensors(self.folder / name, tensors))

    def note(self, progress: Progress) -> None:
        """Write everything but tensors."""
        write_sealed(self.folder / PROGRESS, self.folder.name, progress.model_dump(mode="json", by_alias=True))

    def forget(self, progress: Progress, wanted: set[float], names: Iterable[str] = ()) -> None:
        """Remove the weights of epochs that no rule wants any longer, and files that `progress` no longer names."""
        unwanted = [progress.kept.pop(epoch)[0] for epoch in sorted(set(progress.kept) - wanted)]
        self.note(progress)
        for name in (*unwanted, *names):
            self._remove(name)

    def clear(self) -> None:
        """Remove all of it: the training starts anew."""
        self._remove(PROGRESS)
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            self._remove(path.name)

    def _remove(self, name: str) -> None:
        try:
            (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self.folder / name, error) from error


def read_progress(folder: Path) -> Progress | None:
    """What a working folder says of its training; ``None`` where it says nothing yet.

    Raises:
        DamagedFileError: where it is not as it was written, or of another training.
    """
    try:
        return Progress.model_validate(unsealed_json(folder.name, (folder / PROGRESS).read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:  # pydantic's is one, too
        raise DamagedFileError(f"{PROGRESS}: {error}") from None


def generators(device: torch.device) -> dict[str, Any]:
    """State of all random number generators of this process, as JSON."""
    import numpy as np
    import torch

    state: dict[str, Any] = {"torch": torch.get_rng_state().numpy().tobytes().hex()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device).numpy().tobytes().hex()
    version, words, gauss = random.getstate()
    state["python"] = [version, list(words), gauss]
    legacy: Any = np.random.get_state()
    state["numpy"] = [legacy[0], legacy[1].tolist(), int(legacy[2]), int(legacy[3]), float(legacy[4])]
    return state


def set_generators(state: Mapping[str, Any], device: torch.device) -> None:
    """Put generators back into a state that `generators` gave."""
    import numpy as np
    import torch

    torch.set_rng_state(_bytes(state["torch"]))
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(_bytes(state["cuda"]), device)
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    name, values, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.array(values, dtype=np.uint32), position, has_gauss, cached))


def _bytes(text: str) -> torch.Tensor:
    import torch

    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)
