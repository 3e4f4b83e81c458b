"""Makes the documentation into a site: chapters, experiments, results, and an API reference read from the sources.

    ./dev docs                into site/, offline; `--out=DIR` elsewhere

Sphinx with MyST builds it, and a warning is an error. What it is given is put together in a folder beside the pages: copies of
the Markdown files and of what they link to, and one page for each room of `dl/` with its public names, their signatures and
docstrings. Nothing of the project is imported.
"""

import argparse
import ast
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIED = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "LICENSE",
    "pyproject.toml",
    "configs",
    "deploy",
    "docs",
)
LEFT_OUT = ("__pycache__", "*.json", "site.py", "gallery.py")
FIRST = ("python_api", "own_data", "notebooks/README", "architecture", "data", "clusters", "experiments", "results", "gallery")
CONFIGURATION = """
project = "dl-canon"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "The deep learning canon"
myst_heading_anchors = 4
exclude_patterns = ["deploy", "configs"]
html_show_sourcelink = False
html_copy_source = False
"""
SECTIONS = ("Args", "Returns", "Raises", "Yields")


def main(arguments: list[str]) -> int:
    """Builds the site; returns Sphinx's exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "site", help="folder of the site")
    parser.add_argument("--rooms", nargs="*", help="rooms of dl/ in the reference; all of them without this flag")
    given = parser.parse_args(arguments)
    out, source = given.out, given.out / "source"
    shutil.rmtree(out, ignore_errors=True)
    gather(source, given.rooms)
    from sphinx.cmd.build import build_main

    code = build_main(["-W", "--keep-going", "-q", "-b", "html", "-d", str(out / "doctrees"), str(source), str(out / "html")])
    if code == 0:
        print(f"site: {out / 'html' / 'index.html'}")
    return code


def gather(source: Path, wanted: list[str] | None = None) -> None:
    """Puts together what Sphinx is given; the reference is of the rooms `wanted`, or of all."""
    source.mkdir(parents=True)
    for name in COPIED:
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(
                place, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.json", "site.py", "gallery.py")
            )
        else:
            shutil.copy(place, source / name)
    for page in source.rglob("*.md"):
        page.write_text(with_links(page.read_text(), page.parent))
    rooms = reference(source / "api", wanted)
    (source / "conf.py").write_text(CONFIGURATION)
    (source / "index.md").write_text(front(source, rooms))


def with_links(text: str, folder: Path) -> str:
    """The page, in which links to what the site does not have, such as folders and the sources, are plain text."""

    def kept(match: re.Match[str]) -> str:
        target = match[2].partition("#")[0]
        found = not target or re.match(r"\w+:", target) or (folder / target).is_file()
        return match[0] if found else match[1]

    return re.sub(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)", kept, text)


def front(source: Path, rooms: list[str]) -> str:
    """The first page: what README.md begins with, and the table of contents."""
    introduction = (source / "README.md").read_text().partition("## Running")[0]
    introduction = re.sub(r"\]\((?!https?:|#)([^)]+)\)", r"](\1)", introduction)
    introduction = re.sub(r"\]\(#([^)]+)\)", r"](README.md#\1)", introduction)
    pages = sorted(path.relative_to(source / "docs").with_suffix("").as_posix() for path in (source / "docs").rglob("*.md"))
    first = [name for name in FIRST if name in pages]
    chapters = [name for name in pages if name not in first]
    parts = [
        introduction,
        tree("Use", ["README", *(f"docs/{name}" for name in first)]),
        tree("Families", [f"docs/{name}" for name in chapters]),
        tree("Project", ["CONTRIBUTING", "CHANGELOG"]),
        tree("Reference", [f"api/{room}" for room in rooms]),
    ]
    return "\n\n".join(parts)


def tree(caption: str, pages: list[str]) -> str:
    """A table of contents for the side of every page."""
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```"])


def reference(folder: Path, wanted: list[str] | None = None) -> list[str]:
    """Writes a page for each room of `dl/`, or for those `wanted`; returns their names."""
    folder.mkdir()
    rooms = []
    for place in sorted((ROOT / "dl").iterdir()):
        if place.name.startswith(("_", ".")) or (place.is_file() and place.suffix != ".py"):
            continue
        if wanted is not None and place.stem not in wanted:
            continue
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        sections = [section for file in files for section in module(file)]
        if sections:
            rooms.append(place.stem)
            (folder / f"{place.stem}.md").write_text(f"# dl.{place.stem}\n\n" + "\n\n".join(sections) + "\n")
    return rooms


def module(file: Path) -> Iterator[str]:
    """The sections of a module: what it is, then its public classes and functions; nothing for an empty one."""
    parsed = ast.parse(file.read_text())
    name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    public = [node for node in parsed.body if isinstance(node, DEFINITIONS) and not node.name.startswith("_")]
    text = ast.get_docstring(parsed) or ""
    if not (text or public):
        return
    yield f"## `{name}`\n\n{markdown(text)}"
    for node in public:
        yield definition(node, name)
        if isinstance(node, ast.ClassDef):
            methods = [inner for inner in node.body if isinstance(inner, FUNCTIONS) and not inner.name.startswith("_")]
            for method in methods:
                if ast.get_docstring(method):
                    yield definition(method, f"{node.name}")


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)


def definition(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, where: str) -> str:
    """A class or a function: its signature and what it says of itself."""
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        fields = [ast.unparse(inner) for inner in node.body if isinstance(inner, ast.AnnAssign) and public_field(inner)]
        signature = "\n".join([f"class {node.name}" + (f"({bases})" if bases else "") + ":", *(f"    {f}" for f in fields)])
        title = f"### `{node.name}`"
    else:
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        signature = f"def {node.name}({ast.unparse(node.args)}){returns}"
        if len(signature) > 100:
            lines = ",\n    ".join(arguments(node.args))
            signature = f"def {node.name}(\n    {lines},\n){returns}"
        title = f"#### `{where}.{node.name}`" if "." not in where else f"### `{node.name}`"
    return f"{title}\n\n```python\n{signature}\n```\n\n{markdown(ast.get_docstring(node) or '')}"


def public_field(node: ast.AnnAssign) -> bool:
    """Whether it is a field that one may use."""
    return isinstance(node.target, ast.Name) and not node.target.id.startswith("_")


def arguments(args: ast.arguments) -> list[str]:
    """The arguments of a function, one a line."""
    defaults = [None] * (len(args.posonlyargs + args.args) - len(args.defaults)) + list(args.defaults)
    made = [one(arg, default) for arg, default in zip(args.posonlyargs + args.args, defaults, strict=True)]
    made += [f"*{one(args.vararg, None)}"] if args.vararg else ["*"] if args.kwonlyargs else []
    made += [one(arg, default) for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    return made + ([f"**{one(args.kwarg, None)}"] if args.kwarg else [])


def one(arg: ast.arg, default: ast.expr | None) -> str:
    """An argument with its type and default."""
    typed = arg.arg + (f": {ast.unparse(arg.annotation)}" if arg.annotation else "")
    return typed + ((" = " if arg.annotation else "=") + ast.unparse(default) if default is not None else "")


def markdown(docstring: str) -> str:
    """A docstring in Google's style as Markdown: its sections become lists, indented blocks stay as they are."""
    out: list[str] = []
    section = False
    for line in docstring.splitlines():
        heading = line.rstrip(":")
        if line.endswith(":") and heading in SECTIONS:
            out += ["", f"*{heading}*", ""]
            section = True
        elif section and line.startswith("    "):
            entry = re.match(r"    (\w[\w, *]*): (.*)", line)
            out.append(f"- `{entry[1]}`: {escaped(entry[2])}" if entry else f"  {escaped(line.strip())}")
        elif line.startswith("    "):
            if out and out[-1] and not out[-1].startswith("    "):
                out.append("")
            out.append(line)
        else:
            if section and line:
                section = False
            if out and out[-1].startswith("    ") and line:
                out.append("")
            out.append(escaped(line))
    return "\n".join(out)


def escaped(text: str) -> str:
    """The text with nothing in it that Markdown would take for its own, but for code in backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    plain = [part if i % 2 else re.sub(r"([\\*_\[\]<>$|#~`])", r"\\\1", part) for i, part in enumerate(parts)]
    return re.sub(r"^(\s*)([-+=]|\d+\.)(\s|$)", r"\1\\\2\3", "".join(plain))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
