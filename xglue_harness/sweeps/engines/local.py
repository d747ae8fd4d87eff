"""One worker, in this process: jobs one after the other, with lm_eval started once."""

from __future__ import annotations

from collections.abc import Callable

from xglue_harness.sweeps.jobs import Job
from xglue_harness.sweeps.queue import Queue
from xglue_harness.sweeps.states import Progress
from xglue_harness.sweeps.status import told
from xglue_harness.sweeps.worker import Stop, Work, work


def run_here(queue: Queue, stop: Stop | None = None, *, tell: Callable[[str], None] | None = None) -> Work:
    """Do what is left of a sweep, job after job, until all is done; other workers may do so beside it.

    Args:
        queue: of the sweep.
        stop: asks it to stop.
        tell: gets a line for each thing that happens; by default they are printed above a bar.

    Raises:
        SweepError: as `xglue_harness.sweeps.worker.work`.
    """
    from tqdm import tqdm

    jobs = {job.key for job in queue.jobs()}
    done = {key for key, state in queue.states().items() if state.status == "done"}
    with tqdm(total=len(jobs), initial=len(done), desc="sweep", unit="job", dynamic_ncols=True) as bar:

        def show(job: Job, progress: Progress) -> None:
            bar.set_postfix_str(f"{job.name}: {told(progress)}")

        def note(line: str) -> None:
            (tell or tqdm.write)(line)
            bar.set_postfix_str("", refresh=False)
            bar.n = sum(state.status == "done" for state in queue.states().values())
            bar.refresh()

        return work(queue, stop=stop, wait=True, tell=note, show=show)
