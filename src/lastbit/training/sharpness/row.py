"""What is measured at one step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeGuard

from lastbit.curvature import Edge, Sharpness


@dataclass(frozen=True)
class LayerSharpness:
    """The largest eigenvalue of one layer's block of the Hessian, all other weights held fixed."""

    sharpness: float  # never above that of the whole network (Cauchy's interlacing)
    residual: float
    matvecs: int


@dataclass(frozen=True)
class FlowRow:
    """How far descent is from the gradient flow; NaN from where the flow could not be followed."""

    time: float  # lr · step
    relative_l2: float  # ‖θ − φ‖ / ‖φ‖, φ the flow's weights
    rel_l1: float  # mean relative difference, in [0, 2]
    evaluations: int  # gradients that the flow took since the last row


@dataclass(frozen=True)
class Row:
    """The sharpness at one step beside the edge, with what is known of its error; NaN where the run has diverged."""

    step: int
    loss: float  # of the images measured on, without weight decay
    sharpness: float  # largest eigenvalue of the Hessian, coupled weight decay and preconditioner included
    normalised: float  # sharpness / edge · 2: the edge is 2
    edge: float  # of the optimizer with its learning rate at this step
    residual: float  # ‖Hv − sharpness v‖: an eigenvalue lies within it of `sharpness`
    lower: float  # no greater than the largest eigenvalue, for certain up to rounding
    upper: float  # no smaller than it, unless an eigenvalue was missed or the gap to the next one overestimated
    matvecs: int  # Hessian-vector products, probes included
    probed: int  # of them spent on looking for missed eigenvalues from a random start
    miss_probability: float  # that the last such search missed one a tenth of the spectrum's width above
    converged: bool  # `upper` is within the tolerance of `sharpness`
    values: tuple[float, ...]  # the k largest eigenvalues, in descending order
    diverged: bool  # the training loss is not finite: the series ends here
    layers: Mapping[str, LayerSharpness] | None = None  # by the name of the layer
    flow: FlowRow | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; what was not asked for is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def is_row(stored: object) -> bool:
    """Whether JSON from elsewhere is what `Row.as_json` gives, with null for numbers that are not finite."""
    if not _has_fields(stored, Row, without=("layers", "flow")):
        return False
    layers, flow = stored.get("layers", {}), stored.get("flow")
    whole = isinstance(layers, dict) and all(_has_fields(layer, LayerSharpness) for layer in layers.values())
    return whole and (flow is None or _has_fields(flow, FlowRow))


def _has_fields(stored: object, kind: type, *, without: Sequence[str] = ()) -> TypeGuard[dict[str, Any]]:
    """Whether a dict holds what a dataclass's fields of numbers say."""
    if not isinstance(stored, dict):
        return False
    wanted = [field for field in fields(kind) if field.name not in without]
    return all(field.name in stored and _STORED[str(field.type)](stored[field.name]) for field in wanted)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, float) or _is_int(value)


_STORED: Mapping[str, Callable[[object], bool]] = {
    "int": _is_int,
    "float": _is_number,
    "bool": lambda value: isinstance(value, bool),
    "tuple[float, ...]": lambda value: isinstance(value, list) and all(map(_is_number, value)),
}


def row_of(step: int, loss: float, found: Sharpness, edge: Edge, **more: Any) -> Row:
    """A row from a measurement at a step."""
    return Row(
        step=step,
        loss=loss,
        sharpness=found.value,
        normalised=edge.normalised(found.value),
        edge=edge.value,
        residual=found.residual,
        lower=found.lower,
        upper=found.upper,
        matvecs=found.matvecs,
        probed=found.probed,
        miss_probability=found.miss_probability,
        converged=found.converged,
        values=found.values,
        diverged=False,
        **more,
    )


def diverged_row(step: int, loss: float, edge: Edge, k: int) -> Row:
    """The mark at the end of a run whose loss stopped being finite: there is no curvature to measure."""
    nan = math.nan
    return Row(step, loss, nan, nan, edge.value, nan, nan, nan, 0, 0, 1.0, False, (nan,) * k, True)
