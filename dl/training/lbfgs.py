"""Limited-memory BFGS (Liu & Nocedal 1989) with a line search for the strong Wolfe conditions, by optax."""

import optax


def lbfgs(
    learning_rate: optax.ScalarOrSchedule, memory_size: int = 10, scale_init_precond: bool = True, line_search_steps: int = 20
) -> optax.GradientTransformationExtraArgs:
    """An optimizer of a loss without noise. Its `update` needs `value`, `grad` and `value_fn`, which the engine gives.

    Args:
        learning_rate: multiplies the direction before the line search, which tries it first and then halves or doubles: 1.
        memory_size: pairs of differences that stand for the curvature.
        scale_init_precond: whether the first guess at the inverse Hessian is scaled by the latest pair.
        line_search_steps: evaluations in one search, at most.
    """
    search = optax.scale_by_zoom_linesearch(max_linesearch_steps=line_search_steps, initial_guess_strategy="one")
    return optax.lbfgs(learning_rate, memory_size, scale_init_precond, search)
