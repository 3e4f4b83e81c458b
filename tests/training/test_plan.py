from itertools import pairwise

import pytest

from dl.errors import UserError
from dl.task import Phase
from dl.training.plan import blocks, history, intervals, phase_at, stop_early, total_steps
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
    when = intervals(config, 64)
    whole = list(blocks(PHASES, k, when, 0))
    assert whole[0].start == 0 and whole[-1].end == 20
    assert all(a.end == b.start for a, b in pairwise(whole))
    assert all(block.end - block.start <= k for block in whole)
    for i, block in enumerate(whole):
        assert list(blocks(PHASES, k, when, block.start)) == whole[i:]
        assert phase_at(PHASES, block.start)[0] == phase_at(PHASES, block.end - 1)[0] == block.phase
    ends = {block.end for block in whole}
    for every, interval in zip((log, evaluate, save), when, strict=True):
        assert (
            {step for step in range(1, 21) if every and step % every == 0} == {s for s in range(21) if interval.due(s)} <= ends
        )
    assert list(blocks(PHASES, k, when, 20)) == []


def test_intervals_in_epochs_are_at_the_first_step_that_completes_each():
    # 100 examples by 30: an epoch is 3 1/3 steps, so the first is complete after 4, the second after 7, the third after 10.
    when = intervals(settings(intervals="epochs", batch_size=30, log_every=1, eval_every=2, checkpoint_every=0), 100)
    assert [s for s in range(1, 21) if when.log.due(s)] == [4, 7, 10, 14, 17, 20]
    assert [s for s in range(1, 21) if when.evaluate.due(s)] == [7, 14, 20]
    assert [when.evaluate.number(s) for s in (6, 7, 13, 14, 20)] == [0, 1, 1, 2, 3]
    assert [s for s in range(1, 21) if when.save.due(s)] == []
    assert [b.end for b in blocks(PHASES, 100, when, 0)] == [4, 5, 7, 9, 10, 14, 17, 20]  # phases end after 5 and 9
    with pytest.raises(UserError, match="config.intervals must be 'steps' or 'epochs', got 'minutes'"):
        intervals(settings(intervals="minutes"), 100)
    with pytest.raises(UserError, match="needs a training split"):
        intervals(settings(intervals="epochs"), 0)


def test_steps_or_epochs():
    assert total_steps(settings(steps=7), 100) == 7
    assert total_steps(settings(steps=0, epochs=2.0, batch_size=30), 100) == 7  # 200 / 30, rounded up
    assert total_steps(settings(steps=0, epochs=0.001), 100) == 1
    # ten epochs of 50,000 examples by 1,000 are 500 steps, whatever a dispatch takes; 9.9 of them 495
    assert total_steps(settings(steps=0, epochs=10.0, batch_size=1000, steps_per_dispatch=48), 50_000) == 500
    assert total_steps(settings(steps=0, epochs=9.9, batch_size=1000), 50_000) == 495
    for steps, epochs in ((0, 0.0), (3, 1.0)):
        with pytest.raises(UserError, match="give steps or epochs, one of them"):
            total_steps(settings(steps=steps, epochs=epochs), 100)


@pytest.mark.parametrize(
    ("values", "better", "patience", "stops"),
    [
        ([3, 2, 1], "lower", 1, False),
        ([3, 2, 2], "lower", 1, True),  # no better is no improvement
        ([3, 2, 2.5, 1.9], "lower", 2, False),
        ([3, 2, 2.5, 2.1], "lower", 2, True),
        ([1, 2, 3], "higher", 1, False),
        ([1, 3, 2, 2], "higher", 2, True),
        ([3, 2], "lower", 2, False),  # too few
        ([1, 2, 3], "lower", 0, False),  # off
    ],
)
def test_early_stopping(values, better, patience, stops):
    assert stop_early(values, better == "lower", patience) is stops


def test_the_history_of_a_metric_is_that_of_its_split():
    lines = [
        {"step": 1, "split": "train", "error": {"mean": 0.5}},
        {"step": 1, "split": "validation", "error": {"mean": 0.4}},
        {"step": 2, "split": "validation", "error": {"mean": 0.3}},
        {"step": 3, "split": "validation", "loss": {"mean": 9.0}},
    ]
    assert history(lines, "validation/error") == [0.4, 0.3]
    assert history(lines, "validation/error", after=lines[0]["step"]) == [0.3]
