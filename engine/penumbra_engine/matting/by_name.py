"""The solvers by name, as jobs and tables ask for them. All have one signature."""

from collections.abc import Callable

from penumbra_engine.errors import UsageError
from penumbra_engine.matting.bayesian import bayesian
from penumbra_engine.matting.closed_form import closed_form
from penumbra_engine.matting.closed_form_foreground import closed_form_foreground
from penumbra_engine.matting.closed_form_over_background import closed_form_over_background
from penumbra_engine.matting.knn import knn
from penumbra_engine.matting.multilevel import Unmixed, multilevel
from penumbra_engine.matting.random_walk import random_walk
from penumbra_engine.matting.solution import Solution

#: solver(picture, trimap, *, start=None, tolerance=..., limit=...)
ALPHA: dict[str, Callable[..., Solution]] = {
    "closed-form": closed_form,
    "knn": knn,
    "random-walk": random_walk,
    "bayesian": bayesian,
}
#: The same with background= and variance=, T x 3 x H x W and T x 1 x H x W: where the background is known.
OVER_BACKGROUND: dict[str, Callable[..., Solution]] = {"closed-form": closed_form_over_background}
#: estimate(picture, alpha)
FOREGROUND: dict[str, Callable[..., Unmixed]] = {"multi-level": multilevel, "closed-form": closed_form_foreground}


def alpha_solver(name: str) -> Callable[..., Solution]:
    """The solver of a name. Raises UsageError that lists the names when there is none."""
    if name not in ALPHA:
        raise UsageError(f"there is no alpha solver {name!r}; choose one of {', '.join(ALPHA)}")
    return ALPHA[name]


def foreground_estimator(name: str) -> Callable[..., Unmixed]:
    """The foreground estimator of a name. Raises UsageError that lists the names when there is none."""
    if name not in FOREGROUND:
        raise UsageError(f"there is no foreground estimator {name!r}; choose one of {', '.join(FOREGROUND)}")
    return FOREGROUND[name]
