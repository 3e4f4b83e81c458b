"""Tables in files: .tsv (a tab between columns, nothing quoted) and .csv (commas, quoted where needed), also .gz and .xz."""

import bz2
import csv
import gzip
import io
import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dl.data.sources.archives import opened
from dl.data.sources.unpacking import at_most
from dl.errors import UserError

LIMIT = 4 << 30  # bytes unpacked
LONGEST = 1 << 24  # characters of a cell
OPENERS: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}


class Rows(NamedTuple):
    """A table. names: of its columns; cells [N][columns]; lines: where each row stands in the file, from 1."""

    path: Path
    names: tuple[str, ...]
    cells: list[list[str]]
    lines: list[int]

    def column(self, name: str) -> list[str]:
        """The cells of a column.

        Raises:
            UserError: there is none of that name.
        """
        if name not in self.names:
            raise UserError(f"{self.path} has no column {name!r}; its first line names {', '.join(map(repr, self.names))}.")
        number = self.names.index(name)
        return [row[number] for row in self.cells]

    def numbers(self, name: str) -> list[float]:
        """The cells of a column of numbers.

        Raises:
            UserError: there is no such column, or a cell is no finite number; the message says in which line.
        """
        found = []
        for line, cell in zip(self.lines, self.column(name), strict=True):
            try:
                value = float(cell)
            except ValueError:
                value = float("nan")
            if value - value != 0:
                raise UserError(f"{self.path}, line {line}: {cell!r} in the column {name!r} is no finite number.")
            found.append(value)
        return found


def read_rows(path: Path, encoding: str, wanted: Sequence[str], otherwise: Sequence[str] = ()) -> Rows:
    """The rows of a table; blank lines are left out.

    Args:
        path: of the file; its ending says what separates columns, and how it is packed.
        encoding: of the text.
        wanted: names of columns. Where the first line holds all of them, it names the columns.
        otherwise: the names of the columns of a file whose first line does not, if it has that many.

    Raises:
        UserError: no such file, another ending, bytes that are not text, rows of different lengths, or no row at all.
    """
    kind = path.with_suffix("").suffix if path.suffix in OPENERS else path.suffix
    if kind not in (".tsv", ".csv"):
        raise UserError(f"dataset.path: {path} must end in .tsv or .csv, perhaps with .gz, .xz or .bz2 after it.")
    if not path.is_file():
        raise UserError(f"dataset.path: there is no file {path}.")
    try:
        text = opened(path, _content).decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not {encoding} text: byte {error.start} is 0x{error.object[error.start]:02x}. Name its encoding by "
            "--config.dataset.encoding=latin-1 (or utf-16, cp1252, ...)."
        ) from error
    except (LookupError, TypeError) as error:
        raise UserError(f"dataset.encoding {encoding!r} is not an encoding that Python knows, such as utf-8.") from error
    cells, lines = _cells(path, text, kind)
    if not cells:
        raise UserError(f"{path} is empty: give a table with a row in it.")
    first = [cell.strip() for cell in cells[0]]
    named = set(wanted) <= set(first)
    if not named and len(first) != len(otherwise):
        raise UserError(
            f"{path}: its first line must name the columns {', '.join(map(repr, wanted))} among others; it holds "
            f"{', '.join(repr(cell[:20]) for cell in first[:5])}."
        )
    if named and len(cells) == 1:
        raise UserError(f"{path} has the names of its columns and no row.")
    return Rows(path, tuple(first), cells[1:], lines[1:]) if named else Rows(path, tuple(otherwise), cells, lines)


def _content(path: Path) -> bytes:
    with OPENERS.get(path.suffix, open)(path, "rb") as stream:
        return at_most(stream, LIMIT)


def _cells(path: Path, text: str, kind: str) -> tuple[list[list[str]], list[int]]:
    cells, lines = list[list[str]](), list[int]()
    if kind == ".tsv":
        rows = ((number, line.rstrip("\r").split("\t")) for number, line in enumerate(text.split("\n"), 1))
    else:
        csv.field_size_limit(LONGEST)
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = ((reader.line_num, row) for row in reader)
    try:
        for number, row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if cells and len(row) != len(cells[0]):
                raise UserError(f"{path}, line {number}: it has {len(row)} columns, and the first has {len(cells[0])}.")
            cells.append(row)
            lines.append(number)
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}; a quotation mark in a cell is written twice.") from error
    return cells, lines
