"""Classifies a path as stable, restrained or blow-up by fixed rules (paper, end of section 3.2 and section 5.4).

The paper calls an instability restrained when the path keeps passing between regimes whose linearisation amplifies
and regimes whose linearisation damps, so that errors neither grow without bound nor die out. A path has a
natural twin: itself, one update behind. Their difference is the update d_n = K_{n+1} - K_n. By the mean value theorem
d_{n+1} is the linear update, averaged between the two states, applied to d_n. So |d_n| grows while the path amplifies
and shrinks while it damps, and its course separates the three regimes at no extra cost.

The path is cut into 8 windows of equal length, and the |d_n| and |K_n| of each are compared. The first rule that
applies decides:

1. blow-up: the loss or the norm is no longer finite.
2. stable, settled: in the last window no |d_n| exceeds 1000 unit roundoffs of the largest |K_n|: rounding level.
3. blow-up, growing: in each of the last three windows every |d_n| exceeds all those of the window before; bounded
   chaos has short updates in every window. If the model saturates, the largest |K_n| must also rise by 1 % or more from
   each of the last four windows to the next, and updates reverse: a saturated model is driven by weight decay alone,
   whose amplification factor 1 - lr alpha leaves the unit interval through -1 only, so that growth without reversal, or
   around a point, is a passage that ends. In a linear model updates that grow never stop growing.
4. stable, decaying: over the last four windows the largest |d_n| falls from each to the next, and by half or more in
   all.
5. stable, drifting: in the last two windows no update reverses the one before (their cosine stays at or above 0) and,
   unless the model saturates, the largest |d_n| does not rise.
6. restrained: everything else, that is, bounded updates that keep reversing and do not die out.

Close to a boundary between regimes growth and decay are slower than a run is long, and the rules cannot tell: with
T steps, within about 2 / T of an amplification factor of -1. Runs of under 16 steps have no rates of change; for them
only rules 1, 2 and 5 can apply.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

REGIMES = ("stable", "restrained", "blow-up")
STABLE, RESTRAINED, BLOW_UP = range(3)

WINDOWS = 8
ROUNDING_LEVEL = 1000.0  # unit roundoffs
GROWTH = 1.01


@dataclass(frozen=True, eq=False)
class Path:
    """What `classify` uses: T recorded states, on the first axis, of a path or a batch of paths."""

    norm: Array  # (T, ...): |K_n|
    step_length: Array  # (T, ...): |d_n|, the update from each state
    alignment: Array  # (T, ...): cosine between d_n and d_{n-1}; 0 where there is none


def classify(
    path: Path, dtype: np.dtype[np.floating], *, saturating: bool, blown_up: bool | NDArray[np.bool_]
) -> NDArray[np.int8]:
    """Return the regime of each path as an index into `REGIMES`, by the rules of this module.

    Args:
        path: the histories.
        dtype: the precision the paths were computed in.
        saturating: whether the model's pull on the kernel is bounded, see `Model`.
        blown_up: whether the loss or the norm is no longer finite, shape (...).
    """
    blown_up = np.asarray(blown_up)
    regime = np.full(blown_up.shape, RESTRAINED, np.int8)
    if len(path.norm) > 0:
        step, norm = _window_extremes(path.step_length, np.maximum), _window_extremes(path.norm, np.maximum)
        shortest = _window_extremes(path.step_length, np.minimum)
        reversing = path.alignment[-max(1, len(path.alignment) // 4) :].min(axis=0) < 0.0
        settled = step[-1] <= rounding_level(norm[-1], dtype)
        growing = _lengthening(shortest, step) & ((_rising(norm) & reversing) | (not saturating))
        drifting = ~reversing & (saturating | (step[-1] <= step[-2:][0]))
        regime[_decaying(step) | drifting] = STABLE
        regime[growing] = BLOW_UP
        regime[settled] = STABLE
    regime[blown_up] = BLOW_UP
    return regime


def rounding_level(norm: Array, dtype: np.dtype[np.floating]) -> Array:
    """Return the length below which an update of a kernel of this norm is rounding error."""
    return ROUNDING_LEVEL * unit_roundoff(dtype) * norm


def unit_roundoff(dtype: np.dtype[np.floating]) -> float:
    """Return the largest relative error of rounding to nearest: 2^-53 for float64, 2^-24 for float32."""
    return 0.5 * float(np.finfo(dtype).eps)


def _window_extremes(history: Array, extreme: np.ufunc) -> Array:
    """Return the extremes over `WINDOWS` equal windows of the first axis; over fewer if they had under 2 steps."""
    windows = min(WINDOWS, max(1, len(history) // 2))
    starts = np.arange(windows) * len(history) // windows
    return np.asarray(extreme.reduceat(history, starts, axis=0))


def _lengthening(shortest: Array, longest: Array) -> NDArray[np.bool_]:
    if len(longest) < WINDOWS:
        return np.zeros(longest.shape[1:], np.bool_)
    return np.asarray(np.all(shortest[-3:] > longest[-4:-1], axis=0))


def _rising(maxima: Array) -> NDArray[np.bool_]:
    if len(maxima) < WINDOWS:
        return np.zeros(maxima.shape[1:], np.bool_)
    return np.asarray(np.all(maxima[-3:] >= GROWTH * maxima[-4:-1], axis=0))


def _decaying(maxima: Array) -> NDArray[np.bool_]:
    if len(maxima) < WINDOWS:
        return np.zeros(maxima.shape[1:], np.bool_)
    falls = np.all(maxima[-3:] < maxima[-4:-1], axis=0)
    return np.asarray(falls & (maxima[-1] <= 0.5 * maxima[-4]))
