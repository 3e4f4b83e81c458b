"""What the table of metrics says, and that it knows all that is reported."""

import json
from pathlib import Path

import pytest

from dl import metric

RESULTS = Path(__file__).parents[1] / "docs" / "results"


def test_every_metric_of_a_kept_result_is_in_the_table():
    found = {
        name.partition("/")[0]
        for path in RESULTS.glob("*.json")
        for metrics in json.loads(path.read_text())["metrics"].values()
        for name in metrics
    }
    assert len(found) > 20 and found <= set(metric.METRICS)


@pytest.mark.parametrize(
    ("name", "better", "text"),
    [
        ("error", "lower", "9.50 %"),
        ("error/20-way 5-shot", "lower", "9.50 %"),
        ("parzen", "higher", "0.095 nats"),
        ("pseudo_likelihood", "higher", "0.095 nats"),
        ("loss/real", "lower", "0.095"),
        ("d_real", "", "0.095"),
        ("top5_accuracy", "higher", "0.095"),  # by its word
        ("word_error", "lower", "0.095"),
        ("accuracy_loss", "lower", "0.095"),  # the last word says what it is
        ("wombats", "", "0.095"),
    ],
)
def test_which_way_is_better_and_in_what_unit(name, better, text):
    assert (metric.describe(name).better, metric.describe(name).text(0.095)) == (better, text)


def test_neither_is_known_and_nothing_is_known_are_two_things():
    assert metric.known("nearest") and metric.describe("nearest") == metric.describe("wombats")
    assert not metric.known("wombats")
