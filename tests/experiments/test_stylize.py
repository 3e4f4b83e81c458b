import numpy as np
import pytest
from PIL import Image

from configs import style_transfer as config_file
from dl.errors import UserError
from experiments import stylize
from tests.experiments.programs import end, one_line, start


def small():
    config = config_file.get_config("smoke")
    config.update(steps=3, eval_every=0, checkpoint_every=0)
    config.task.update(content_layers=("conv1",), style_layers=("conv1",))
    return config


def test_an_image_is_painted(tmp_path, capsys):
    given = {"content": "china", "style": ["flower"], "size": 32, "optimizer": "adam", "keep_colour": "luminance"}
    out = tmp_path / "image.png"
    assert stylize.paint(stylize.configured(small(), given), out, tmp_path / "run", None) == ""
    with Image.open(out) as image:
        assert (image.size, image.mode) == ((32, 21), "RGB")
        assert np.asarray(image).std() > 10
    printed = capsys.readouterr().out
    assert "conv1" in printed and f"{out}: 32x21 pixels, 3 steps" in printed
    assert (tmp_path / "run" / "report" / "index.html").exists()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"content": "a", "style": ["b"]}, {"init": "content", "noise": 0.0, "styles": ("b",)}),
        ({"style": ["b", "c"], "style_weight": [2.0, 1.0]}, {"init": "noise", "noise": 0.1, "style_weights": (2.0, 1.0)}),
        ({"content": "a"}, {"init": "noise", "styles": ()}),
        ({"content": "a", "style": ["b"], "init": "style", "style_strength": 3.0}, {"init": "style", "style_weight": 3.0}),
        ({"style": ["b"], "style_map": ["m"], "content_map": "d"}, {"content": "", "style_maps": ("m",), "content_map": "d"}),
    ],
)
def test_what_the_flags_mean(given, expected):
    task = stylize.configured(config_file.get_config("quick"), given).task.to_dict()
    assert {key: task[key] for key in expected} == expected


def test_bad_flags(tmp_path):
    with pytest.raises(UserError, match="give --content"):
        stylize.configured(small(), {})
    with pytest.raises(UserError, match="must end in one of"):
        stylize.checked(tmp_path / "image.txt")
    with pytest.raises(UserError, match="there is no folder"):
        stylize.checked(tmp_path / "nowhere" / "image.png")


def test_a_missing_style_is_a_line(tmp_path):
    ended = end(start("stylize", "--content=china", "--style=nowhere.jpg", f"--out={tmp_path / 'a.png'}", fresh=True))
    assert "image nowhere.jpg is missing" in one_line(ended)
