"""``xglue-harness sweep``: many trainings from one file, on one machine or a cluster."""

from __future__ import annotations

from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xglue_harness.cli import sweep_plan
from xglue_harness.cli.options import TREE, Json, SweepFile, Tasks, form, names, output
from xglue_harness.errors import PREFIX
from xglue_harness.sweeps.engines.choice import SLURM, Engine

if TYPE_CHECKING:
    from xglue_harness.sweeps.queue import Queue
    from xglue_harness.sweeps.worker import Stop

app = typer.Typer(rich_markup_mode=None)  # its help is in app.py, which imports this module only when it is wanted

Begun = Annotated[Path, typer.Argument(metavar="FILE", help="The sweep's file, or the folder of its output.")]

Backbones = Annotated[
    str | None, typer.Option("--backbones", metavar="NAME,...", help="Of those in the file; by default all.")
]


app.command(
    "plan",
    epilog="Examples: `xglue-harness sweep plan sweep.yaml --device 'NVIDIA H100'`, `xglue-harness sweep plan "
    "sweep.yaml --rate xlmr-base=900 --json`",
)(sweep_plan.plan)


@app.command(
    "run",
    epilog="Examples: `xglue-harness sweep run sweep.yaml`, on a cluster of Ray `xglue-harness sweep run sweep.yaml "
    "--address auto`, on Slurm's login node `xglue-harness sweep run sweep.yaml --partition gpu --time 8:00:00 --setup "
    "'module load cuda'`, and after some jobs failed and their reason was seen to `xglue-harness sweep run sweep.yaml "
    "--retry-failed`",
)
def run_command(
    file: SweepFile,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try jobs again that have failed.")] = False,
    engine: Annotated[
        Engine | None,
        typer.Option(help="Starts workers: by default slurm where sbatch is on the PATH, else ray where installed."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="By default as many as have room (ray), one a backbone (slurm)."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", metavar="URL", help="Of a cluster of Ray: auto on one of its nodes, else ray://HOST:10001."
        ),
    ] = None,
    partition: Annotated[str | None, typer.Option(metavar="NAME", help="Slurm's.")] = None,
    account: Annotated[str | None, typer.Option(metavar="NAME", help="Slurm's.")] = None,
    gres: Annotated[
        str | None, typer.Option(metavar="GRES", help="Slurm's, such as gpu:a100:1; by default what jobs need.")
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Slurm's limit for a task, which goes on in another: 90, 8:00:00, 1-12:00:00."
        ),
    ] = None,
    setup: Annotated[
        list[str] | None,
        typer.Option(metavar="LINE", help="Shell for Slurm's tasks before they begin; once for each."),
    ] = None,
) -> None:
    """Do what is missing: train each backbone on each task from each seed, and score every language.

    What was done is never done again, and an interrupted training goes on from its last checkpoint: give the same
    command again after Ctrl-C, a crash or a change of the file. With Slurm it returns as soon as an array of workers is
    submitted. Exit status 1 where jobs have failed, 75 where it was stopped before the end.
    """
    from xglue_harness.sweeps.begin import begin
    from xglue_harness.sweeps.engines.choice import choose
    from xglue_harness.sweeps.worker import Stop

    own = {"partition": partition, "account": account, "gres": gres, "time": time, "setup": setup}
    choice = choose(engine, {"workers": workers, "address": address, **own})
    queue = begin(file)
    if retry_failed:
        typer.echo(f"tried again: {len(queue.retry_failed())} jobs that had failed")
    typer.echo(f"{queue.output}: {_line(queue)}\nengine {choice.engine}: {choice.why}")
    if choice.engine == "slurm":
        from xglue_harness.sweeps.engines.slurm import SlurmOptions, submit

        typer.echo(submit(queue, SlurmOptions(workers, partition, account, gres, time, setup or [])))
        return
    stop = Stop()
    with stop.heeding_signals():
        if choice.engine == "ray":
            from xglue_harness.sweeps.engines.ray import run

            run(queue, stop, address=address, workers=workers)
        else:
            from xglue_harness.sweeps.engines.local import run_here

            run_here(queue, stop)
    _conclude(queue, stop)


@app.command("prefetch", epilog="Example: `xglue-harness sweep prefetch sweep.yaml` before `sweep run` on Slurm")
def prefetch_command(file: SweepFile) -> None:
    """Fetch what the jobs read (data, models, tokens) where there is a network; what is there is checked only.

    Every encoder is loaded as its jobs will load it. Exit status 1 where one can't be had.
    """
    import logging

    from xglue_harness.sweeps.file import load
    from xglue_harness.sweeps.jobs import expand
    from xglue_harness.sweeps.prefetch import prefetch

    logging.basicConfig(format="%(message)s")
    found = prefetch(expand(load(file)), progress=True)
    for one in found:
        commit = f" at {one.commit}" if one.commit else ""
        typer.echo(f"{one.backbone}{commit}: {one.error or 'ready for ' + ', '.join(one.tasks)}")
    raise typer.Exit(1 if any(one.error for one in found) else 0)


@app.command(
    "status",
    epilog="Examples: `xglue-harness sweep status sweep.yaml`, `watch xglue-harness sweep status results`, "
    "`xglue-harness sweep status sweep.yaml --json | jq .counts`",
)
def status_command(
    file: Begun,
    every: Annotated[bool, typer.Option("--all", help="Show jobs that wait or are done as well.")] = False,
    as_json: Json = False,
) -> None:
    """Say how a sweep stands: what runs where and how far it is, what has failed and why. Reads only files."""
    from xglue_harness.cli.console import print_json
    from xglue_harness.sweeps.begin import open_queue
    from xglue_harness.sweeps.status import standing

    found = standing(open_queue(file))
    if as_json:
        print_json(found.as_json())
        return
    rows = [pair for pair in found.jobs if every or pair[1].status in ("running", "lost", "failed") or pair[1].error]
    if rows:
        from xglue_harness.cli.console import PlainConsole, table
        from xglue_harness.sweeps.status import span, told

        shown = table(("job", "status", "for", "left", "attempt", "host", "what"), "lllllrp")
        for job, state in rows:
            left = span(state.progress.seconds_left) if state.progress else ""
            what = f"{state.error} ({state.log})" if state.error else told(state.progress)
            if state.due_in is not None:
                what = f"next try in {span(state.due_in)}: {what}"
            attempt = str(state.attempt or "")
            shown.add_row(job.name, state.status, span(state.seconds), left, attempt, state.host or "", what)
        PlainConsole().print(shown)
    typer.echo(found.line())


@app.command(
    "report",
    epilog="Examples: `xglue-harness sweep report sweep.yaml --published`, `xglue-harness sweep report sweep.yaml "
    "--output tables`, `xglue-harness sweep report sweep.yaml --add`",
)
def report_command(
    file: SweepFile,
    form: Annotated[
        Literal["markdown", "latex", "csv"], form("Of the tables that are printed; LaTeX needs booktabs.")
    ] = "markdown",
    output: Annotated[Path | None, output("Write table1, table4 and contrasts here, in all three formats.")] = None,
    published: Annotated[bool, typer.Option("--published", help="Print the paper's values below ours.")] = False,
    intervals: Annotated[
        bool, typer.Option("--language-intervals", help="In Table 4, show the interval of every language's score.")
    ] = False,
    backbones: Backbones = None,
    tasks: Tasks = None,
    tree: Annotated[
        Path | None,
        typer.Option("--tree", metavar="DIR", help="Leaderboard that knows a backbone's family; by default ours."),
    ] = None,
    add: Annotated[bool, typer.Option("--add", help="Put the results into the leaderboard's tree instead.")] = False,
    recipe: Annotated[str | None, typer.Option(metavar="NAME", help="For --add: of a recipe not the paper's.")] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="For --add: why scores that are there change.")
    ] = None,
    example: Annotated[bool, typer.Option("--example", help="For --add: the data are the packaged toy.")] = False,
    as_json: Json = False,
) -> None:
    """Print the paper's Tables 1 and 4 of the results that there are, and LM, MT and CP compared.

    What is missing is marked, and so is what collapsed.
    """
    from xglue_harness.cli.console import print_json
    from xglue_harness.resources import published_tree
    from xglue_harness.sweeps.file import load
    from xglue_harness.sweeps.rendering import FORMATS, as_rows, write
    from xglue_harness.sweeps.report import add_to_tree, chosen, report

    sweep = load(file)
    jobs = chosen(sweep, names(backbones) or (), names(tasks) or ())
    if add:
        added = add_to_tree(jobs, sweep.folder, tree or TREE, recipe=recipe, reason=reason, example=example)
        for what, paths in (("new", added.new), ("replaced", added.replaced), ("unchanged", added.unchanged)):
            for path in paths:
                typer.echo(f"{what}: {path}")
        return
    shown = [name for name in sweep.backbones if any(job.backbone == name for job in jobs)]
    made = report(
        shown, jobs, sweep.folder, tree or published_tree(), published=published, language_intervals=intervals
    )
    if output is not None:
        for path in write(made.tables, output):
            typer.echo(path)
    elif as_json:
        print_json({table.name: as_rows(table) for table in made.tables})
    else:
        for table in made.tables:
            typer.echo(FORMATS[form][1](table))
    for job in made.missing:
        typer.echo(f"{PREFIX}no results yet: {job.name}", err=True)
    for name in made.unknown:
        typer.echo(
            f"{PREFIX}{name}: of no family, since no leaderboard describes it: see xglue-harness backbone new", err=True
        )


@app.command("cancel", epilog="Example: `xglue-harness sweep cancel sweep.yaml`")
def cancel_command(file: Begun) -> None:
    """Ask all workers of a sweep to stop, wherever they are: trainings write a checkpoint. `sweep run` goes on."""
    from xglue_harness.sweeps.begin import open_queue

    queue = open_queue(file)
    queue.cancel()
    if (queue.folder / SLURM).is_dir() and which("scancel"):
        from xglue_harness.sweeps.engines.slurm import cancel_waiting

        cancel_waiting(queue)
    typer.echo(f"{queue.output}: {_line(queue)}")


@app.command(
    "work",
    epilog="Examples: on each machine that shares the folder, once the sweep was begun, `xglue-harness sweep work "
    "sweep.yaml`; on the second GPU for eight hours `CUDA_VISIBLE_DEVICES=1 xglue-harness sweep work results --minutes "
    "480`",
)
def work_command(
    file: Begun,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes", metavar="N", min=0, help="Stop after so long; a training writes a checkpoint before."
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay while other workers have what is left, in case one is lost.")
    ] = False,
) -> None:
    """Take jobs of a sweep and do them until nothing is left; any number of workers may do so at once.

    On SIGTERM, SIGUSR1 and Ctrl-C, too, a training writes a checkpoint and its job is given back. Exit status 75 where
    it was stopped while there was work left.
    """
    import time

    from xglue_harness.sweeps.begin import open_queue
    from xglue_harness.sweeps.worker import Stop, work

    queue = open_queue(file)
    stop = Stop(deadline=None if minutes is None else time.time() + 60 * minutes)
    with stop.heeding_signals():
        ending = work(queue, stop=stop, wait=wait, tell=typer.echo)
    typer.echo(f"{queue.output}: {_line(queue)}")
    raise typer.Exit(ending.exit_status)


@app.command("schema", epilog="Example: `xglue-harness sweep schema > sweep.schema.json`")
def schema_command() -> None:
    """Print the JSON Schema of a sweep's file, by which editors complete its keys and check its values."""
    import json

    from xglue_harness.sweeps.file import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


def _line(queue: Queue) -> str:
    from xglue_harness.sweeps.status import standing

    return standing(queue).line()


def _conclude(queue: Queue, stop: Stop) -> None:
    """Say how the sweep stands, and how to go on, by the exit status as well."""
    from xglue_harness.sweeps.status import standing
    from xglue_harness.sweeps.worker import MORE

    found = standing(queue)
    typer.echo(f"{queue.output}: {found.line()}")
    for job, state in found.jobs:
        if state.status == "failed":
            typer.echo(f"{PREFIX}failed: {job.name}: {state.error} ({state.log})", err=True)
    if stop.reason is not None or found.is_cancelled:
        typer.echo(f"{PREFIX}stopped; the same command goes on", err=True)
        raise typer.Exit(MORE)
    if "failed" in found.counts:
        typer.echo(f"{PREFIX}see to the reason, then: xglue-harness sweep run FILE --retry-failed", err=True)
        raise typer.Exit(1)
