"""What all pages are made of: the document with its sections, artifacts under their titles, the file."""

import os
from collections.abc import Mapping
from contextlib import suppress
from html import escape
from pathlib import Path

from dl.artifacts import Artifact, Audio, Curves, Images, Matrix, ParseTree, Scatter, Table
from dl.errors import UserError
from dl.files import advice
from dl.report import audio, plots, tables, trees
from dl.report.run import Run
from dl.report.style import CSS

FOOTER = "Curves are means over the replicas, bands one standard deviation to each side."


def save(path: Path, html: str) -> Path:
    """Writes the file whole or not at all.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(html, encoding="utf-8", errors="backslashreplace")  # names of files may be any bytes
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror}. {advice(error)}, then run experiments.report.") from error
    return path


def document(heading: str, lead: str, sections: Mapping[str, str], title: str, footer: str = FOOTER) -> str:
    """A page of titled sections, the empty ones left out; all arguments are HTML but `title`, which is text."""
    kept = {name: body for name, body in sections.items() if body}
    anchors = {name: escape(name.lower().replace(" ", "-")) for name in kept}
    links = "".join(f'<a href="#{anchors[name]}">{escape(name)}</a>' for name in kept)
    body = "".join(f'<section id="{anchors[name]}"><h2>{escape(name)}</h2>{html}</section>' for name, html in kept.items())
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{CSS}</style></head><body>'
        f'<header><div class="wrap"><h1>{heading}</h1>{lead}</div></header>'
        f'<nav><div class="wrap">{links}</div></nav><main class="wrap">{body}</main>'
        f'<footer class="wrap">{footer}</footer>'
        "</body></html>\n"
    )


def stack(*blocks: str) -> str:
    """Blocks below each other, those without content left out."""
    kept = "".join(block for block in blocks if block)
    return f'<div class="stack">{kept}</div>' if kept else ""


def artifact_section(title: str, subtitle: str, artifact: Artifact) -> str:
    """One artifact as HTML, under its title."""
    match artifact:
        case Curves():
            return plots.curves(artifact, title, subtitle)
        case Scatter():
            return plots.scatter(artifact, title, subtitle)
        case Images():
            body = tables.images(artifact)
        case Matrix():
            body = tables.matrix(artifact)
        case Table():
            body = tables.table(artifact)
        case ParseTree():
            body = trees.drawn(artifact)
        case Audio():
            body = audio.players(artifact)
        case _:
            body = f"<pre>{escape(artifact.text)}</pre>"
    small = f" <small>{escape(subtitle)}</small>" if subtitle else ""
    return f'<div class="card"><h3>{escape(title)}{small}</h3>{body}</div>'


def duration(seconds: float) -> str:
    """`3.4 s`, `12 min 5 s`, `2 h 3 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def verdict(run: Run, css: str = "") -> str:
    """Whether the run reaches its reference, as HTML; empty where that is not known."""
    if not run.reference or run.reference.reached is None:
        return ""
    if run.reference.reached:
        return f'<span class="{css}good">reached</span>'
    return f'<span class="{css}bad">{"not reached" if run.finished else "not yet reached"}</span>'


def words(name: str) -> str:
    """`learning_rate` -> `learning rate`."""
    return name.replace("_", " ")
