"""The documentation says what is there."""

import re

import pytest

from dl.report import embedded, results
from tests.conftest import REPOSITORY

PAGES = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]


def test_the_results_page_fits_its_result_files():
    assert (REPOSITORY / "docs" / results.PAGE).read_text() == results.page(REPOSITORY / "docs")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_tables_of_results_fit_their_result_files(path):
    assert embedded.filled(path.read_text(), results.kept(REPOSITORY / "docs")) == path.read_text()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        assert target.startswith("http") or (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_name_programs_and_configs_that_exist(path):
    text = path.read_text()
    for program in re.findall(r"python -m (experiments\.\w+)", text):
        assert (REPOSITORY / (program.replace(".", "/") + ".py")).exists(), program
    for config in re.findall(r"--config=(configs/\w+\.py)", text):
        if config not in ("configs/NAME.py", "configs/bars_maxout.py"):  # the latter is made in CONTRIBUTING.md
            assert (REPOSITORY / config).exists(), config
