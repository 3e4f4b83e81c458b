"""Trees over sentences as pictures: places, colours and signs of nodes; and files that hold no tree."""

import re

import numpy as np
import pytest

from dl.artifacts import ParseTree
from dl.errors import UserError
from dl.report import artifacts, trees

TREE = ParseTree(
    ("not", "so", "<bad>"),
    np.array([[1, 2], [0, 3]]),
    np.array([0.0, 0.1, -0.9, -0.5, 0.8]),
    ("n", "s", "b", "so bad", "root & all"),
)


def test_words_stand_in_a_row_and_parents_above_the_middle_of_their_children():
    svg = trees.drawn(TREE)
    circles = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)]
    assert len(circles) == 5
    words, (so_bad, root) = circles[:3], circles[3:]
    assert words == sorted(words) and len({y for _, y in words}) == 1
    assert so_bad[0] == pytest.approx((words[1][0] + words[2][0]) / 2, abs=0.1)
    assert root[0] == pytest.approx((words[0][0] + so_bad[0]) / 2, abs=0.1)
    assert words[0][1] - so_bad[1] == so_bad[1] - root[1] == trees.STEP
    assert svg.count("<path") == 4 and "&lt;bad&gt;" in svg and "<title>root &amp; all</title>" in svg


def test_signs_and_colours_tell_the_value():
    svg = trees.drawn(TREE)
    assert re.findall(r'class="sign"[^>]*>([^<]*)<', svg) == ["\u2212\u2212", "\u2212", "++"]
    share = {value: int(re.search(r"(\d+)%", trees.colour(value))[1]) for value in (-1.0, -0.5, 0.0, 0.5, 1.0)}
    assert share[-1.0] == share[1.0] == 100 and share[-0.5] == share[0.5] == 56 and share[0.0] == trees.FAINT
    assert trees.colour(-0.5) != trees.colour(0.5)
    assert "nan" not in trees.drawn(TREE._replace(values=np.full(5, np.nan), notes=()))


def test_a_word_alone_is_a_tree():
    svg = trees.drawn(ParseTree(("Dull",), np.zeros((0, 2), int), np.array([-0.7])))
    assert svg.count("<circle") == 1 and "<path" not in svg


@pytest.mark.parametrize(
    "damaged",
    [
        TREE._replace(values=np.zeros(4)),
        TREE._replace(children=np.array([[1, 2]])),
        TREE._replace(children=np.array([[1, 4], [0, 3]])),
        TREE._replace(notes=("one",)),
    ],
)
def test_a_file_that_holds_no_tree_is_refused(tmp_path, damaged):
    artifacts.save(tmp_path, "test", {"tree": damaged})
    with pytest.raises(UserError, match="its ParseTree is none"):
        artifacts.load(tmp_path)
