"""The program that kills runs finds that they end alike, and says so."""

import pytest

from tests.experiments.programs import CONFIG, end, start


@pytest.mark.slow
def test_a_killed_run_ends_as_an_undisturbed_one(tmp_path):
    ended = end(start("crash", f"--config={CONFIG}", f"--workdir={tmp_path}", "--kills=1", "--seed=3"))
    assert ended.returncode == 0, ended.stderr
    assert "same" in ended.stdout
