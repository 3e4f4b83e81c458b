"""What an installation brings: commands, and a version that is the same everywhere."""

import re
import sys
import tomllib

import pytest

from experiments import command
from tests.conftest import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def programs() -> set[str]:
    files = (REPOSITORY / "experiments").glob("*.py")
    return {path.stem for path in files if re.search(r"^if __name__", path.read_text(), re.MULTILINE)}


def test_every_program_is_a_command():
    assert PROJECT["scripts"] == {f"dl-{name.replace('_', '-')}": "experiments.command:main" for name in programs()}


@pytest.mark.parametrize("called", ["/env/bin/dl-babi-table", "C:/env/dl-babi-table.exe"])
def test_a_command_runs_the_program_of_its_name(called, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [called, "--help"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 0 and "bAbI tasks" in capsys.readouterr().out


def test_the_version_is_the_same_everywhere():
    version = PROJECT["version"]
    assert f"\nversion: {version}\n" in (REPOSITORY / "CITATION.cff").read_text()
    headings = re.findall(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert [heading for heading in headings if heading != "Unreleased"][0] == version  # noqa: RUF015
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
