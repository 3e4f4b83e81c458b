"""The 20 bAbI tasks beside the published table, by its authors' rule: of several runs that with the lowest training error.

Made of result files alone. A run of several replicas, whose split `training` was evaluated, counts with the test error of the
replica that has the lowest training error, or of several such the lowest training loss.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from dl.errors import UserError

# Test errors in percent (Sukhbaatar, Szlam, Weston & Fergus 2015, table 1, 1,000 training questions): task -> name,
# strongly supervised memory network, LSTM (both Weston et al. 2015), and theirs (position encoding, linear start, random
# noise, 3 hops).
PUBLISHED: dict[int, tuple[str, float, float, float]] = {
    1: ("single supporting fact", 0.0, 50.0, 0.0),
    2: ("two supporting facts", 0.0, 80.0, 8.3),
    3: ("three supporting facts", 0.0, 80.0, 40.3),
    4: ("two argument relations", 0.0, 39.0, 2.8),
    5: ("three argument relations", 2.0, 30.0, 13.1),
    6: ("yes or no questions", 0.0, 52.0, 7.6),
    7: ("counting", 15.0, 51.0, 17.3),
    8: ("lists and sets", 9.0, 55.0, 10.0),
    9: ("simple negation", 0.0, 36.0, 13.2),
    10: ("indefinite knowledge", 2.0, 56.0, 15.1),
    11: ("basic coreference", 0.0, 38.0, 0.9),
    12: ("conjunction", 0.0, 26.0, 0.2),
    13: ("compound coreference", 0.0, 6.0, 0.4),
    14: ("time reasoning", 1.0, 73.0, 1.7),
    15: ("basic deduction", 0.0, 79.0, 0.0),
    16: ("basic induction", 0.0, 77.0, 1.3),
    17: ("positional reasoning", 35.0, 49.0, 51.0),
    18: ("size reasoning", 5.0, 48.0, 11.1),
    19: ("path finding", 64.0, 92.0, 82.8),
    20: ("agents' motivations", 0.0, 9.0, 0.0),
}
FAILED = 5.0  # percent: a task with more errors is one that was not learned
MODELS = ("story_lstm", "memory_network")
HEADER = (">task", "", ">LSTM, published", ">LSTM", ">memory network, published", ">memory network", ">all replicas")


class Reached(NamedTuple):
    """Test errors in percent: of the chosen replica, and mean and deviation of all of them."""

    chosen: float
    mean: float
    deviation: float
    replicas: int


def reached(result: Mapping[str, Any]) -> Reached:
    """What one run reached.

    Raises:
        UserError: it has no split `training`, by which a replica is chosen, or no split `test`.
    """
    metrics = result["metrics"]
    if not all("error" in metrics.get(split, {}) for split in ("training", "test")):
        raise UserError(
            "a result lacks training/error or test/error, which those of configs/babi_memory.py have: train it anew."
        )
    training, test = metrics["training"], metrics["test"]["error"]
    order = sorted(range(len(test["values"])), key=lambda r: (training["error"]["values"][r], training["loss"]["values"][r]))
    return Reached(100 * test["values"][order[0]], 100 * test["mean"], 100 * test["std"], len(order))


def by_task(results: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], Reached]:
    """(model, task) -> what was reached, of those results that are of one task of bAbI.

    Raises:
        UserError: two results of one model are of the same task, or as `reached`.
    """
    found: dict[tuple[str, int], Reached] = {}
    for result in results:
        dataset, model = result["config"]["dataset"], result["config"]["model"]["name"]
        if dataset["name"] != "babi" or not dataset.get("task") or model not in MODELS:
            continue
        key = (model, dataset["task"])
        if key in found:
            raise UserError(f"two results are of task {key[1]} by {model}: name the runs that the table is of.")
        found[key] = reached(result)
    return found


def lines(found: Mapping[tuple[str, int], Reached]) -> list[tuple[str, ...]]:
    """A line for each task that a model was trained for, and, where that is all of them, the means and how many failed.

    Args:
        found: see `by_task`.
    """
    tasks = sorted({task for _, task in found})
    made: list[tuple[str, ...]] = []
    for task in tasks:
        own = [found.get((model, task)) for model in MODELS]
        cells = [f"{r.chosen:.1f}" if r else "" for r in own]
        spread = f"{own[1].mean:.1f} ± {own[1].deviation:.1f} ({own[1].replicas})" if own[1] else ""
        name, _, lstm, ours = PUBLISHED[task]
        made.append((str(task), name, f"{lstm:.1f}", cells[0], f"{ours:.1f}", cells[1], spread))
    if tasks == sorted(PUBLISHED):
        made += _summary(found)
    return made


def _summary(found: Mapping[tuple[str, int], Reached]) -> list[tuple[str, ...]]:
    columns: list[list[float] | None] = []
    for place, model in enumerate(MODELS, 2):
        own = [found[model, task].chosen for task in PUBLISHED if (model, task) in found]
        columns += [[float(row[place]) for row in PUBLISHED.values()], own if len(own) == len(PUBLISHED) else None]
    means = [f"{sum(c) / len(c):.1f}" if c else "" for c in columns]
    failed = [str(sum(error > FAILED for error in c)) if c else "" for c in columns]
    return [("", "mean", *means, ""), ("", f"failed (above {FAILED:g} %)", *failed, "")]
