"""What a network's predictions of a number are measured by: errors in the target's unit, and two regressors of scikit-learn.

    mean      the training targets' mean
    ridge     linear, l2 penalty                     Hoerl & Kennard 1970
    boosting  gradient boosting of regression trees  Friedman 2001; on histograms (Ke et al. 2017) where examples are many

Their settings are chosen by five-fold cross-validation on the training examples.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from dl.artifacts import Artifact, Curves, Scatter
from dl.errors import unknown

REGRESSORS = ("ridge", "boosting")
GRIDS: dict[str, dict[str, list[Any]]] = {
    "ridge": {"alpha": [10.0**e for e in np.arange(-2, 4.5, 0.5)]},
    "boosting": {"n_estimators": [50, 100, 200], "max_depth": [1, 2, 3]},
}
MANY = 10_000  # examples from which trees are grown on histograms
RATE = 0.05  # of the boosting
FOLDS = 5
DRAWN = 2000  # points, at most

Regressor = Callable[[np.ndarray], np.ndarray]  # inputs [N, D] -> predictions [N]


def fit(kind: str, inputs: Float[np.ndarray, "n d"], target: Float[np.ndarray, " n"], seed: int) -> Regressor:
    """A trained regressor.

    Args:
        kind: one of `REGRESSORS`.
        inputs: standardised columns.
        target: in any unit.
        seed: of the folds, and of the order in which columns are tried.

    Raises:
        UserError: an unknown kind.
    """
    if kind not in REGRESSORS:
        raise unknown("baseline of a regression", kind, REGRESSORS)
    from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, KFold

    grid, many = GRIDS[kind], len(target) > MANY
    model: Any = Ridge()
    if kind == "boosting" and many:
        model, grid = HistGradientBoostingRegressor(random_state=seed), {"max_iter": [100, 200, 400]}
    elif kind == "boosting":
        model = GradientBoostingRegressor(learning_rate=RATE, random_state=seed)
    folds = min(FOLDS, len(target))
    if folds < 2:
        return model.fit(inputs, target).predict
    cut = KFold(folds, shuffle=True, random_state=seed)
    return GridSearchCV(model, grid, scoring="neg_mean_squared_error", cv=cut).fit(inputs, target).predict


def measures(target: Float[np.ndarray, " n"], prediction: Float[np.ndarray, " n"]) -> dict[str, float]:
    """`rmse` and `mae` in the target's unit, and `r2`, which is left out where the target does not change.

    rmse = sqrt(mean (y - f)^2); mae = mean |y - f|; r2 = 1 - sum (y - f)^2 / sum (y - mean y)^2.
    """
    residual = np.asarray(target, np.float64) - prediction
    found = {"rmse": float(np.sqrt(np.mean(residual**2))), "mae": float(np.mean(np.abs(residual)))}
    spread = float(np.var(np.asarray(target, np.float64)))
    return found | ({"r2": 1 - found["rmse"] ** 2 / spread} if spread > 0 else {})


def shown(target: Float[np.ndarray, " n"], prediction: Float[np.ndarray, " n"]) -> Mapping[str, Artifact]:
    """Predicted against actual, residuals against predictions, and how large residuals are how often."""
    every = -(-len(target) // DRAWN)
    y, f = np.asarray(target, np.float64)[::every], np.asarray(prediction, np.float64)[::every]
    residual = np.asarray(target, np.float64) - prediction
    low, high = min(y.min(), f.min()), max(y.max(), f.max())
    equal, flat = np.linspace(low, high, 100), np.linspace(f.min(), f.max(), 100)
    counts, edges = np.histogram(residual, bins=min(40, max(5, len(residual) // 10)))
    return {
        "predicted against actual": _points(np.stack([y, f], 1), np.stack([equal, equal], 1), "predicted = actual"),
        "residuals (actual - predicted) against predictions": _points(
            np.stack([f, y - f], 1), np.stack([flat, 0 * flat], 1), "0"
        ),
        "residuals": Curves({"examples": ((edges[1:] + edges[:-1]) / 2, counts)}, "actual - predicted", "examples"),
    }


def _points(points: np.ndarray, line: np.ndarray, name: str) -> Scatter:
    labels = np.repeat([0, 1], [len(points), len(line)])
    return Scatter(np.concatenate([points, line]), labels, ("an example each", name))
