"""Names and settings: what a section of the configuration becomes."""

from typing import NamedTuple

import pytest
from ml_collections import ConfigDict

from dl import registry
from dl.errors import UserError


class Settings(NamedTuple):
    margin: float
    beam: int = 5


def test_a_section_is_read_as_a_tuple_of_settings_without_its_name():
    section = ConfigDict({"name": "captioning", "margin": 1})
    assert registry.read(Settings, "the task captioning", section) == Settings(1, 5)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"margin": 1.0, "beams": 3}, "unknown setting of the task captioning 'beams'. Did you mean 'beam'"),
        ({"margin": 1.0, "beam": 2.5}, "'beam' of the task captioning must be int, not 2.5"),
        ({"beam": 3}, "needs the setting 'margin'"),
    ],
)
def test_what_a_section_gets_wrong_is_said(section, message):
    with pytest.raises(UserError, match=message):
        registry.read(Settings, "the task captioning", ConfigDict(section))
