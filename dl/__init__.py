"""The deep learning canon as pure functions: `dl.create_model`, `dl.train`, `dl.load_run` and others; docs/python_api.md.

Names are imported when they are used, so that `import dl` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dl.api.experiments import experiment, explain, initial_state, load_config, make_step
    from dl.api.models import Model, create_model, list_datasets, list_models, list_tasks
    from dl.api.runs import Run, load_run, train
    from dl.errors import UserError
    from dl.generation.predictions import Predictions
    from dl.state import TrainState
    from dl.task import Evaluation, Evaluator, Objective, Phase, Task, mean, valid

_PLACES = {
    "dl.api.experiments": ("experiment", "explain", "initial_state", "load_config", "make_step"),
    "dl.api.models": ("Model", "create_model", "list_datasets", "list_models", "list_tasks"),
    "dl.api.runs": ("Run", "load_run", "train"),
    "dl.errors": ("UserError",),
    "dl.generation.predictions": ("Predictions",),
    "dl.state": ("TrainState",),
    "dl.task": ("Evaluation", "Evaluator", "Objective", "Phase", "Task", "mean", "valid"),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "Evaluation",
    "Evaluator",
    "Model",
    "Objective",
    "Phase",
    "Predictions",
    "Run",
    "Task",
    "TrainState",
    "UserError",
    "create_model",
    "experiment",
    "explain",
    "initial_state",
    "list_datasets",
    "list_models",
    "list_tasks",
    "load_config",
    "load_run",
    "make_step",
    "mean",
    "train",
    "valid",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'dl' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
