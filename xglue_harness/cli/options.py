"""Options and arguments that several groups of commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TREE = Path("leaderboard")

Results = Annotated[list[Path], typer.Argument(metavar="RESULTS", help="lm_eval's results files, or folders")]
Tree = Annotated[Path, typer.Option("--tree", metavar="DIR", help="folder with backbones, results and reference")]
MaxDisk = Annotated[float | None, typer.Option("--max-disk", help="GB that states may take on disk")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
