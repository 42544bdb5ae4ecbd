"""Binary masks against the truth: J and F of DAVIS (Perazzi et al. 2016), and F1 over pixels."""

import numpy as np

from penumbra_engine.imaging.morphology import dilate

_REACH = 0.008  # of the diagonal: how far apart two boundaries still match


def region_similarity(mask: np.ndarray, truth: np.ndarray) -> float:
    """J: intersection over union, 1 when both are empty. Bool arrays of one shape."""
    union = (mask | truth).sum()
    return float((mask & truth).sum() / union) if union else 1.0


def pixel_f1(mask: np.ndarray, truth: np.ndarray, known: np.ndarray | None = None) -> float:
    """F1 = 2 PR / (P + R) over all pixels at once, over those that are known if that is given; 1 when both are empty.
    Bool arrays of one shape."""
    if known is not None:
        mask, truth = mask & known, truth & known
    total = mask.sum() + truth.sum()
    return float(2 * (mask & truth).sum() / total) if total else 1.0


def contour_accuracy(mask: np.ndarray, truth: np.ndarray) -> float:
    """F: the same of boundary pixels, matched within 0.008 of the diagonal. H x W bool; 1 when neither has one."""
    ours, theirs = _boundary(mask), _boundary(truth)
    if not ours.any() and not theirs.any():
        return 1.0
    if not ours.any() or not theirs.any():
        return 0.0
    reach = np.ceil(_REACH * np.hypot(*mask.shape))
    precision, recall = dilate(theirs, reach)[ours].mean(), dilate(ours, reach)[theirs].mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _boundary(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from the one to the right, below, or right below."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, both = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return (mask != right) | (mask != below) | (mask != both)
