"""What the report knows of a metric: what the run's task said of it, else what its name tells."""

from collections.abc import Mapping
from typing import Any

from dl.metric import ERROR, HIGHER, LOWER, NEITHER, Metric

SHARE = HIGHER._replace(format=ERROR.format)
BETTER = ("lower", "higher", "")

# Of runs that are not finished, or older than the descriptions in `result.json`: words that tell, the last of a name first.
BY_WORD: dict[str, Metric] = {
    **dict.fromkeys(("error", "errors"), ERROR),
    **dict.fromkeys(("loss", "perplexity", "bits", "divergence", "distance", "frechet", "reconstruction"), LOWER),
    "accuracy": SHARE,
    **dict.fromkeys(("precision", "recall", "f1", "bleu", "map", "iou", "psnr", "ssim", "auc", "auroc", "score"), HIGHER),
    **dict.fromkeys(("correlation", "likelihood", "coverage", "parzen"), HIGHER),
}


def read(result: Mapping[str, Any]) -> dict[str, Metric]:
    """The descriptions in `result.json`, name -> Metric; those that are none are left out."""
    found = result.get("described")
    given = found.items() if isinstance(found, Mapping) else ()
    return {name: metric for name, fields in given if (metric := _metric(fields)) is not None}


def describe(name: str, described: Mapping[str, Metric]) -> Metric:
    """What is known of a metric: by its name, or that before a slash (`error/5-way 1-shot`), or by its words; else nothing."""
    whole = name.partition("/")[0]
    words = reversed(whole.lower().split("_"))
    by_word = next((BY_WORD[word] for word in words if word in BY_WORD), NEITHER)
    return described.get(name) or described.get(whole) or by_word


def reached(metric: Metric, value: float, reference: float) -> bool | None:
    """Whether a value is at least as good as a reference; None where neither lower nor higher is better."""
    if metric.better == "lower":
        return value <= reference
    return value >= reference if metric.better == "higher" else None


def percent(metric: Metric, value: float) -> str:
    """A fraction as `0.90 %`; empty where the metric is none."""
    return f"{100 * value:.2f} %" if metric.format.endswith("%") and 0 <= value <= 1 else ""


def _metric(fields: Any) -> Metric | None:
    # A result file may be older than a field of Metric.
    if not isinstance(fields, Mapping) or "better" not in fields or not set(fields) <= set(Metric._fields):
        return None
    metric = Metric(**fields)
    return metric if metric.better in BETTER and all(isinstance(text, str) for text in metric) else None
