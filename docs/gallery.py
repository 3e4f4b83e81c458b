"""Makes docs/gallery.md: small pictures of what runs made or show, of finished runs alone.

    ./dev gallery                     of the runs in runs/
    ./dev gallery --runs=FOLDER       of the runs in another folder

A run of a commit with changes, or without one, is left out, since nobody could repeat it. Pictures that are there of runs that
are not in the folder stay. All of them together take 2 MB at most.
"""

import argparse
import json
import re
import sys
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from dl.artifacts import Images, Text  # noqa: E402
from dl.errors import UserError  # noqa: E402
from dl.report import described, montage, run_page  # noqa: E402
from dl.report.axis import number  # noqa: E402
from dl.report.index import config_of  # noqa: E402
from dl.report.run import Run, read  # noqa: E402

WIDTH = 640  # pixels of a picture, at most; small ones are enlarged by a whole number
SHOWN = 40  # images of a grid
LETTERS = 600  # of a text
TOTAL = 2_000_000  # bytes of all pictures
LATER = ("worst mistakes", "first-layer filters", "reconstructions", "worst reconstructions", "nearest neighbours")
INTRODUCTION = """# Gallery

Made by `./dev gallery` from finished runs; nothing here is drawn by hand. Each picture is one that the report of the run shows.
"""


def main(arguments: list[str]) -> int:
    """Makes the pictures and the page; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder of the runs")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="folder of the page")
    given = parser.parse_args(arguments)
    try:
        made = gallery(given.runs, given.docs)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{given.docs / 'gallery.md'}: {', '.join(made) or 'no run'}")
    return 0


def gallery(runs: Path, docs: Path) -> list[str]:
    """Adds the runs of a folder to the gallery; returns their names.

    Raises:
        UserError: the pictures would take more than `TOTAL` bytes.
    """
    folder = docs / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for workdir in sorted(path.parent for path in runs.glob("*/result.json")):
        run = read(workdir)
        if why := left_out(run):
            print(f"{run.name} is left out: {why}")
            continue
        shown = chosen(run)
        if shown is None:
            continue
        for old in folder.glob(f"{run.name}.*"):
            old.unlink()
        name, picture = shown
        entry: dict[str, Any] = {"title": run_page.titles(run)[0], "shows": name, "figure": figure(run)}
        entry |= {"config": config_of(run.result["command"]), "commit": str(run.result["commit"])[:12]}
        entry |= {"steps": run.result.get("steps")}
        if isinstance(picture, Text):
            entry["text"] = picture.text[:LETTERS]
        else:
            entry["picture"] = save(folder / run.name, picture).name
        (folder / f"{run.name}.json").write_text(json.dumps(entry, indent=1) + "\n")
        made.append(run.name)
    total = sum(path.stat().st_size for path in folder.iterdir())
    if total > TOTAL:
        raise UserError(f"the gallery takes {total / 1e6:.1f} MB, more than {TOTAL / 1e6:.0f}: take pictures out of {folder}.")
    (docs / "gallery.md").write_text(page(folder))
    return made


def left_out(run: Run) -> str:
    """Why a run is not shown; empty where it is."""
    commit = str(run.result.get("commit") or "unknown")
    if commit == "unknown" or commit.endswith("+changes"):
        return "nobody could repeat it from a commit"
    name = config_of(str(run.result.get("command") or ""))
    return "" if name and "smoke" not in name.partition(":")[2] else "it is no run of an experiment"


def chosen(run: Run) -> tuple[str, Images | Text] | None:
    """What the run shows best: what it made, else what its evaluation shows."""
    found: dict[str, Any] = {}
    for (_, name), artifact in run.artifacts.items():
        if isinstance(artifact, Images | Text):
            found.setdefault(name, artifact)
    made = [name for name in found if name.lower().startswith(run_page.MADE)]
    for name in (*made, *(name for name in LATER if name in found), *found):
        return name, found[name]
    return None


def save(path: Path, images: Images) -> Path:
    """Writes the grid: PNG where that is small, else JPEG; returns the file."""
    sheet = montage.montage(images._replace(pixels=images.pixels[:SHOWN], captions=()))
    picture = Image.fromarray(sheet[..., 0] if sheet.shape[-1] == 1 else sheet)
    if times := WIDTH // picture.width:
        picture = picture.resize((times * picture.width, times * picture.height), Image.Resampling.NEAREST)
    else:
        picture.thumbnail((WIDTH, 4 * WIDTH))
    file = path.with_suffix(".png")
    picture.save(file, optimize=True)
    if file.stat().st_size > 120_000:
        file.unlink()
        file = path.with_suffix(".jpg")
        picture.save(file, quality=80)
    return file


def figure(run: Run) -> str:
    """The figure that the experiment is about: `test error 0.93 %`."""
    best = run_page.headline(run)
    if best is None:
        return ""
    split, metric, found = best
    known = run.metric(metric)
    return f"{split} {metric.replace('_', ' ')} {described.percent(known, found.mean) or number(found.mean) + known.unit}"


def page(folder: Path) -> str:
    """The page of all entries of the folder."""
    parts = [INTRODUCTION]
    for path in sorted(folder.glob("*.json")):
        entry = json.loads(path.read_text())
        name = entry["config"].partition(":")[0]
        link = f"[{entry['config']}](../configs/{name}.py)" if (ROOT / "configs" / f"{name}.py").exists() else entry["config"]
        parts.append(f"## {entry['title']}\n")
        if "picture" in entry:
            parts.append(f"![{escape(entry['shows'])} of {path.stem}](gallery/{entry['picture']})\n")
        else:
            parts.append("```text\n" + re.sub(r"^```", "'''", entry["text"], flags=re.MULTILINE) + "\n```\n")
        figures = f"; {entry['figure']}" if entry["figure"] else ""
        parts.append(
            f"{entry['shows'].capitalize()} of {link}, {entry['steps']:,} steps{figures} (commit {entry['commit']}).\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
