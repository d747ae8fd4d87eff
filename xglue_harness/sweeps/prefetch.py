"""Fetch what the jobs of a sweep read, where there is a network: data, models, tokens. What is there is only checked.

Compute nodes of clusters mostly have none. Every encoder is loaded as its jobs will load it, and all of their texts are
tokenised, so that what can't work is found here, before anything waits in a queue.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from tqdm import tqdm

from xglue_harness.benchmark import SOURCE_LANGUAGE, TASKS
from xglue_harness.data import open_source
from xglue_harness.errors import XGlueError
from xglue_harness.recipe import parse_options

if TYPE_CHECKING:
    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.encoders.probe import Finding
    from xglue_harness.recipe import Options
    from xglue_harness.sweeps.jobs import Job

OF_MODEL_OR_RUN = ("dropout", "max_length")
"""Arguments of a model that lm_eval hands to the tasks, too."""


@dataclass(frozen=True)
class Prefetched:
    """What came of a backbone.

    Attributes:
        backbone: its name in the sweep's file.
        commit: on the Hub, of what is there now; ``None`` for a folder, and where it could not be loaded.
        tasks: those whose texts are tokenised.
        error: what keeps its jobs from running.
    """

    backbone: str
    commit: str | None
    tasks: tuple[str, ...]
    error: str | None = None


def prefetch(jobs: Sequence[Job], *, progress: bool = False) -> list[Prefetched]:
    """Fetch, load and tokenise all that jobs will read.

    Args:
        jobs: of one sweep; of those that differ in their seed, one is looked at.
        progress: show bars.

    Returns:
        What came of each backbone, in the order of the names: one that can't be had does not stop the others.

    Raises:
        DataError: where the data can't be had, or the cache can't be written.
    """
    wanted = sorted({(job.backbone, job.task): job for job in jobs}.items())
    with _progress(len({job.task for job in jobs}) + len(wanted), progress) as bar:
        for task, job in {job.task: job for job in jobs}.items():
            bar.set_description_str(f"data of {TASKS[task].title}")
            _fetch_data(job)
            bar.update()
        done = []
        for backbone, group in groupby(wanted, lambda item: item[0][0]):
            done.append(_prefetched(backbone, [job for _, job in group], bar, progress=progress))
    return done


@contextmanager
def _progress(total: int, wanted: bool) -> Iterator[tqdm]:
    with tqdm(total=total, unit="part", disable=not wanted) as bar:
        yield bar


def _fetch_data(job: Job) -> None:
    """Read all splits that the source has of a task, which keeps them parsed in the cache."""
    spec, source = TASKS[job.task], open_source(job.metadata.get("data"))
    source.load(spec, "train", SOURCE_LANGUAGE)
    for split in ("dev", "test"):
        for language in source.available(spec, split):
            source.load(spec, split, language)


def _prefetched(name: str, jobs: Sequence[Job], bar: tqdm, *, progress: bool) -> Prefetched:
    """Load a backbone and tokenise the texts of its tasks; the bar moves by a part a task, whatever happens."""
    from xglue_harness.harness.backbones import load_as_lm_eval

    commit, ready = None, []
    try:
        bar.set_description_str(name)
        backbone = load_as_lm_eval(jobs[0].model, jobs[0].model_args)
        commit = backbone.revision
        probes: dict[int, Finding] = {}
        for job in jobs:
            bar.set_description_str(f"{name}, {TASKS[job.task].title}")
            _tokenise(backbone, job, probes, progress=progress)
            ready.append(job.task)
            bar.update()
    except XGlueError as error:
        bar.update(len(jobs) - len(ready))
        return Prefetched(name, commit, tuple(ready), str(error))
    return Prefetched(name, commit, tuple(ready))


def _tokenise(backbone: Backbone, job: Job, probes: dict[int, Finding], *, progress: bool) -> None:
    from xglue_harness.transfer.job import compared, prepare_job
    from xglue_harness.transfer.leaf import load_leaf
    from xglue_harness.transfer.preflight import tokenise

    options = _options(job)
    loaded = [load_leaf(TASKS[job.task], language, options) for language in job.languages]
    leaves = [replace(leaf, documents=dict(enumerate(documents))) for leaf, documents in loaded]
    prepared = prepare_job(backbone, leaves, probes)
    tokenise(prepared, progress=progress)
    compared(prepared)  # the reference of diagnostics is a model, too


def _options(job: Job) -> Options:
    """Those of the run, but for the precision, which this machine may not have and tokens don't depend on."""
    of_model = {name: value for name, value in job.model_args.items() if name in OF_MODEL_OR_RUN}
    return parse_options({**of_model, **job.metadata, "precision": "fp32"}, task=job.task)
