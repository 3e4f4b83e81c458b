"""What is known of a metric besides its value: said once, read by checkpoints, early stopping, reports and tables."""

from typing import NamedTuple


class Metric(NamedTuple):
    """`better` is "lower", "higher" or "" (neither); a value is written as `format(value, metric.format)`, then `unit`.

    `how` says how a library made it, where several ways are in use: the signature of a BLEU score.
    """

    better: str = ""
    unit: str = ""
    format: str = ".4g"
    how: str = ""


LOWER, HIGHER, NEITHER = Metric("lower"), Metric("higher"), Metric()
ERROR = Metric("lower", format=".2%")
