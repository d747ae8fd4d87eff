"""The command ``xglue-harness``: a module a group of commands. Nothing else here imports typer or rich."""

from xglue_harness.cli.app import main

__all__ = ["main"]
