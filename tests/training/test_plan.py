from itertools import pairwise

import pytest

from dl.errors import UserError
from dl.task import Phase
from dl.training.plan import blocks, due, history, phase_at, stop_early, total_steps
from tests.training.tasks import settings

PHASES = (Phase(5, ("a",)), Phase(4, ("b",)), Phase(11, ("a", "b")))


def test_the_phase_is_a_function_of_the_step():
    assert [phase_at(PHASES, step)[0] for step in range(20)] == [0] * 5 + [1] * 4 + [2] * 11
    assert [phase_at(PHASES, step)[1] for step in (0, 4, 5, 19)] == [5, 5, 9, 20]
    with pytest.raises(ValueError, match="after the last phase"):
        phase_at(PHASES, 20)


@pytest.mark.parametrize(
    ("k", "log", "evaluate", "save"), [(1, 1, 0, 0), (4, 100, 0, 0), (4, 6, 10, 0), (7, 3, 0, 5), (100, 8, 8, 8)]
)
def test_the_dispatches_are_the_same_wherever_one_begins(k, log, evaluate, save):
    config = settings(steps_per_dispatch=k, log_every=log, eval_every=evaluate, checkpoint_every=save)
    whole = list(blocks(PHASES, config, 0))
    assert whole[0].start == 0 and whole[-1].end == 20
    assert all(a.end == b.start for a, b in pairwise(whole))
    assert all(block.end - block.start <= k for block in whole)
    for i, block in enumerate(whole):
        assert list(blocks(PHASES, config, block.start)) == whole[i:]
        assert phase_at(PHASES, block.start)[0] == phase_at(PHASES, block.end - 1)[0] == block.phase
    ends = {block.end for block in whole}
    for every in (log, evaluate, save):
        assert {step for step in range(1, 21) if due(step, every, 20)} <= ends
    assert list(blocks(PHASES, config, 20)) == []


def test_steps_or_epochs():
    assert total_steps(settings(steps=7), 100) == 7
    assert total_steps(settings(steps=0, epochs=2.0, batch_size=30), 100) == 7  # 200 / 30, rounded up
    assert total_steps(settings(steps=0, epochs=0.001), 100) == 1
    for steps, epochs in ((0, 0.0), (3, 1.0)):
        with pytest.raises(UserError, match="give steps or epochs, one of them"):
            total_steps(settings(steps=steps, epochs=epochs), 100)


@pytest.mark.parametrize(
    ("values", "mode", "patience", "stops"),
    [
        ([3, 2, 1], "min", 1, False),
        ([3, 2, 2], "min", 1, True),  # no better is no improvement
        ([3, 2, 2.5, 1.9], "min", 2, False),
        ([3, 2, 2.5, 2.1], "min", 2, True),
        ([1, 2, 3], "max", 1, False),
        ([1, 3, 2, 2], "max", 2, True),
        ([3, 2], "min", 2, False),  # too few
        ([1, 2, 3], "min", 0, False),  # off
    ],
)
def test_early_stopping(values, mode, patience, stops):
    assert stop_early(values, mode, patience) is stops


def test_the_history_of_a_metric_is_that_of_its_split():
    lines = [
        {"step": 1, "split": "train", "error": {"mean": 0.5}},
        {"step": 1, "split": "validation", "error": {"mean": 0.4}},
        {"step": 2, "split": "validation", "error": {"mean": 0.3}},
        {"step": 3, "split": "validation", "loss": {"mean": 9.0}},
    ]
    assert history(lines, "validation/error") == [0.4, 0.3]
    assert history(lines, "validation/error", after=lines[0]["step"]) == [0.3]
