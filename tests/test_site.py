"""The documentation as a site: it builds offline without a warning, and the reference says what the sources say."""

import ast
import importlib.util
import subprocess
import sys

from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / "docs" / "site.py"
spec = importlib.util.spec_from_file_location("site_of_docs", SCRIPT)
site = importlib.util.module_from_spec(spec)
spec.loader.exec_module(site)


def test_it_builds_without_a_warning(tmp_path):
    command = [sys.executable, SCRIPT, f"--out={tmp_path}", "--rooms", "task"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    front = (tmp_path / "html" / "index.html").read_text()
    for page in ("docs/python_api.html", "docs/experiments.html", "api/task.html", "CONTRIBUTING.html", "search.html"):
        assert page in front and (tmp_path / "html" / page).exists(), page
    assert "one way of moving some parameters downhill" in (tmp_path / "html" / "api" / "task.html").read_text().lower()


def test_the_reference_has_every_room_and_name(tmp_path):
    rooms = site.reference(tmp_path / "api")
    assert {"api", "task", "models", "training", "errors"} <= set(rooms)
    page = (tmp_path / "api" / "task.md").read_text()
    assert "class Objective(NamedTuple):" in page and "def mean(values: jax.Array, mask: jax.Array | None=None) -> Pair" in page
    assert "#### `Objective.value`" in page and "divided" in page
    assert "_collected" not in (tmp_path / "api" / "registry.md").read_text()


def test_signatures_are_as_they_are_written():
    def signature(text):
        return site.definition(ast.parse(text).body[0], "dl.x").splitlines()[3]

    assert (
        signature("def f(a, /, b: int = 3, *c, d, e='x', **g) -> str: ...") == "def f(a, /, b: int=3, *c, d, e='x', **g) -> str"
    )
    arguments = ast.parse("def f(a, b: int = 3, *, d, e='x', **g): ...").body[0].args
    assert site.arguments(arguments) == ["a", "b: int = 3", "*", "d", "e='x'", "**g"]


def test_docstrings_become_markdown():
    made = site.markdown(
        "Does *this* to x[0].\n\n    a = b\n\nArgs:\n    x: a `value_` of _it_\n        and more\n\nRaises:\n    E: so."
    )
    assert made.splitlines()[0] == r"Does \*this\* to x\[0\]."
    assert "    a = b" in made and "- `x`: a `value_` of \\_it\\_\n  and more" in made and "*Raises*\n\n- `E`: so." in made


def test_links_that_lead_nowhere_on_the_site_are_text(tmp_path):
    (tmp_path / "a.md").write_text("")
    text = "[one](a.md) [two](a.md#b) [three](gone.py) [four](#here) [five](https://x.org) [six](.)"
    made = site.with_links(text, tmp_path)
    assert made == "[one](a.md) [two](a.md#b) three [four](#here) [five](https://x.org) six"
