"""Stored sharpness series in the shape of `sharpness.json`, with chosen numbers."""

from typing import Any

RECIPE = {
    "name": "fc-example",
    "description": "An example of two layers",
    "scale": "paper",
    "cuts": "",
    "data": {"name": "cifar10-5k"},
    "model": {"name": "fully-connected", "activation": "tanh", "depth": 2, "width": 200},
    "optimizer": {"name": "sgd", "lr": 0.05, "weight_decay": 0.0},
    "batch_size": None,
    "dtype": "float32",
}
LAYERS = ("hidden.0.0", "hidden.1.0", "linear")


def make_row(step: int, normalised: float, **changes: Any) -> dict[str, Any]:
    """A row at the edge 40 whose residual is a thousandth."""
    sharpness = 20 * normalised
    found = {
        "step": step,
        "loss": 2.3 / (1 + step / 10),
        "sharpness": sharpness,
        "normalised": normalised,
        "edge": 40.0,
        "residual": sharpness / 1000,
        "lower": sharpness,
        "upper": sharpness * 1.001,
        "matvecs": 20 if step == 0 else 5,
        "probed": 20 if step == 0 else 0,
        "miss_probability": 0.01,
        "converged": True,
        "values": [sharpness, sharpness / 2],
        "diverged": False,
    }
    return found | changes


def make_diverged_row(step: int) -> dict[str, Any]:
    gone = dict.fromkeys(("loss", "sharpness", "normalised", "residual", "lower", "upper"))
    counts = {"matvecs": 0, "probed": 0, "converged": False, "diverged": True, "values": [None, None]}
    return make_row(step, 0.0) | gone | counts


def make_batch(step: int, normalised: float, **changes: Any) -> dict[str, Any]:
    """Batch sharpness beside an edge of 30, known to a tenth."""
    means = {"largest": 60.0, "interaction": 12.0, "noise": 3.5, "signal_to_noise": 0.25}
    sharpness = 15 * normalised
    found = {"step": step, "samples": 8, "batches": 32, "sharpness": sharpness, "edge": 30.0, "normalised": normalised}
    found |= {"lower": 0.9 * sharpness, "upper": 1.1 * sharpness, "note": "", "diverged": False}
    return found | {name: {"value": v, "lower": v / 2, "upper": 2 * v} for name, v in means.items()} | changes


def make_critical(step: int, multiple: float) -> dict[str, Any]:
    """A search that closed to within a twentieth."""
    bounds = {"multiple": multiple, "lower": 0.97 * multiple, "upper": 1.02 * multiple}
    return {"step": step, "lr": 0.05, "forwards": 5, "advice": f"the rate may rise by {multiple}", **bounds}


def make_series(
    *,
    diverged: bool = False,
    layers: bool = False,
    flow: bool = False,
    batch: bool = False,
    central: bool = False,
    **changes: Any,
) -> dict[str, Any]:
    """Sharpness that rises to the edge at step 20 and stays about it until step 40."""
    rows = [make_row(10 * i, value) for i, value in enumerate((0.5, 1.5, 2.1, 1.9, 2.2))]
    for row in rows if layers else []:
        row["layers"] = {
            name: {"sharpness": row["sharpness"] / (2 + i), "residual": 0.01, "matvecs": 3}
            for i, name in enumerate(LAYERS)
        }
    for row, normalised in zip(rows if batch else [], (0.4, 0.9, 1.4, 1.9, 2.0), strict=False):
        row["batch"] = make_batch(row["step"], normalised)
        row |= {"critical": make_critical(row["step"], 2 / normalised)} if row["step"] else {}
    for row in rows if central else []:
        known = {"loss": row["loss"], "predicted_loss": 1.1 * row["loss"], "relative_l2": 0.001}
        row["central"] = known | {"normalised": min(row["normalised"], 2.0), "variance": 0.002 * (row["step"] > 10)}
    for row in rows if flow else []:
        far = row["step"] / 1000
        row["flow"] = {"time": row["step"] * 0.05, "relative_l2": far, "rel_l1": 3 * far, "evaluations": 30}
    losses: list[float | None] = [2.3 / (1 + step / 10) + 0.01 * (step % 2) for step in range(41)]
    return {
        "format": 1,
        "recipe": RECIPE,
        "every": "10",
        "k": 2,
        "layers": layers,
        "flow": flow,
        "flow_rtol": 1e-5 if flow else None,
        "seed": 1,
        "images": 1000,
        "device": "cpu",
        "steps": 40,
        "measured_images": 5000,
        "full_batch": True,
        "batch_norm": False,
        "parameters": 656810,
        "edge": "2/lr: gradient descent",
        "stands": "training is at the edge of full batches" if batch else None,
        "small_batch_edge": "2(1-m)/lr: heavy ball",
        "rows": [*rows, make_diverged_row(41)] if diverged else rows,
        "losses": [*losses, None] if diverged else losses,
        "rises": 12,
        "finding": "Sharpness reaches the edge at step 20 and then moves between 1.9 and 2.2, where 2 is the edge",
        "numerics": {"torch": "2.13.0", "threads": 1},
    } | changes
