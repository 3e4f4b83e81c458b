"""Tables of results in pages that are written by hand: what stands between two marks is made from result files.

    <!-- results: test/error of usps_transfer_* -->
    <!-- end of results -->

The rows are the kept results whose names match, in the order of that number, the smallest first.
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from dl.errors import UserError
from dl.report.results import with_deviation

BLOCK = re.compile(r"(<!-- results: (\S+)/(\S+) of (\S+) -->\n).*?(<!-- end of results -->)", re.DOTALL)


def filled(page: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page with all its tables made again from `results`, name -> content of a `result.json`.

    Raises:
        UserError: no result has a name, or the number, that a table asks for.
    """

    def table(found: re.Match[str]) -> str:
        return f"{found[1]}{_table(found[2], found[3], found[4], results)}{found[5]}"

    return BLOCK.sub(table, page)


def _table(split: str, metric: str, pattern: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    rows = {
        name: result["metrics"][split][metric]
        for name, result in results.items()
        if fnmatchcase(name, pattern) and metric in result["metrics"].get(split, {})
    }
    if not rows:
        raise UserError(f"a page asks for {split}/{metric} of {pattern}, and no kept result has it: collect one.")
    lines = [f"| run | {split}/{metric} | replicas | steps | time |", "|---|---|---|---|---|"]
    for name in sorted(rows, key=lambda name: rows[name]["mean"]):
        result = results[name]
        minutes = f"{result['wall_seconds'] / 60:.1f} min"
        lines.append(f"| {name} | {with_deviation(rows[name])} | {result['replicas']} | {result['steps']:,} | {minutes} |")
    return "\n".join(lines) + "\n"
