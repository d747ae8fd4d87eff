"""Groups of commands, whose list says all that the commands' first paragraphs say."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup


class Listing(TyperGroup):
    """A group whose list of commands is not cut at the width: ``typer.Typer(cls=Listing)``."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """As typer does, with whole first paragraphs."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, _first_paragraph(command.help)) for name, command in commands if command and not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """As typer does; but the help of a group that no command was named of is no error's message."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)


def _first_paragraph(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())
