"""Tables on a terminal, and the same as plain text where the output goes to a file or another program."""

import sys
from collections.abc import Sequence
from typing import NamedTuple

WIDTH = 120  # columns of plain text


class Columns(NamedTuple):
    """A table. `names` begin with ">" where the column holds numbers; `total` is a last row, or empty."""

    title: str
    names: Sequence[str]
    rows: Sequence[Sequence[str]]
    total: Sequence[str] = ()


def show(*tables: Columns) -> None:
    """Prints the tables, one below the other."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else WIDTH, force_terminal=terminal, no_color=not terminal, highlight=False)
    for columns in tables:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=bool(columns.total))
        for name, total in zip(columns.names, columns.total or [""] * len(columns.names), strict=True):
            right = "right" if name.startswith(">") else "left"
            table.add_column(Text(name.removeprefix(">")), footer=Text(total), justify=right, overflow="fold")  # type: ignore[arg-type]
        for row in columns.rows:
            table.add_row(*map(Text, row))
        with console.capture() as captured:
            console.print(table)
        print(columns.title)  # not the table's, which would break it at the table's width
        print("\n".join(line.rstrip() for line in captured.get().splitlines()))
        print()
