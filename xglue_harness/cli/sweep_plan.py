"""``xglue-harness sweep plan``: what a sweep has before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from xglue_harness.cli.options import Json, Share, SweepFile

if TYPE_CHECKING:
    from xglue_harness.sweeps.plan import Plan


def plan(
    file: SweepFile,
    device: Annotated[
        str | None,
        typer.Option(
            "--device", metavar="NAME", help="'NVIDIA A100', ..., or cpu; by default what finished ones ran on."
        ),
    ] = None,
    share: Share = None,
    rate: Annotated[
        list[str] | None,
        typer.Option("--rate", metavar="[NAME=]N", help="Subwords a second in training, of all backbones or of one."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the trainings, what is there already, and how long the rest takes and how much room it needs.

    Minutes come from finished jobs of the same shape, else from a measured or given rate, else from arithmetic; the
    last column says which.
    """
    from xglue_harness.cli.console import print_json
    from xglue_harness.store.trainings import Store
    from xglue_harness.sweeps.begin import store_of
    from xglue_harness.sweeps.estimates import SHARE, parse_rates
    from xglue_harness.sweeps.file import load
    from xglue_harness.sweeps.jobs import expand
    from xglue_harness.sweeps.plan import plan as planned

    sweep = load(file)
    rates = parse_rates(rate or (), sweep.backbones)
    made = planned(
        [*sweep.backbones],
        expand(sweep),
        sweep.folder,
        Store(store_of(sweep)),
        keep_encoders=sweep.keep_encoders,
        device=device or sweep.device,
        rates=rates,
        share=SHARE if share is None else share,
    )
    if as_json:
        print_json(made.as_json())
    else:
        _print_plan(made)


def _print_plan(made: Plan) -> None:
    from xglue_harness.cli.console import PlainConsole, table
    from xglue_harness.sweeps.plan import size, subwords

    heads = ("backbone", "task", "jobs", "done", "stored", "subwords", "minutes", "GPU h", "store", "how")
    shown = table(heads, "llrrrrrrrl")
    for group in made.groups:
        counts = (str(group.jobs), str(group.done), str(group.stored))
        numbers = (subwords(group), _number(group.minutes), _number(group.gpu_hours_left))
        store = "?" if group.store_bytes is None else size(group.store_bytes)
        shown.add_row(group.backbone, group.task, *counts, *numbers, store, f"{group.how}: {group.why}")
    console = PlainConsole()
    console.print(shown)
    for line in made.words():
        console.print(line)


def _number(value: float | None) -> str:
    """A number to two digits or more."""
    if value is None:
        return "?"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"
