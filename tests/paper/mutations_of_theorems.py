"""Wrong results of the theorems and of the horizons."""

from wrong_results import both, put, times


def separates(case):
    return [
        put("cases", case, "runs", {"position": 0.5}, "regime", to="restrained"),
        put("cases", case, "runs", {"position": 0.99}, "regime", to="blow-up"),
        put("cases", case, "runs", {"position": 1.01}, "regime", to="stable"),
        put("cases", case, "runs", {"position": 1.2}, "regime", to="restrained"),
    ]


def grows():
    return [
        put("cases", 0, "runs", 0, "measured", to=times(1.05)),
        put("cases", -1, "runs", -1, "predicted", to=times(0.9)),
        put("cases", 0, "runs", 3, "measured", to=None),
    ]


def activation(place, horizons):
    known = [step for step in horizons if step is not None]
    return both(
        put("activations", place, "horizons", to=horizons),
        put("activations", place, "never", to=len(horizons) - len(known)),
        put("activations", place, "median", to=known[0] if len(known) == len(horizons) else None),
        put("activations", place, "range", to=[min(known), max(known)] if known else None),
    )


def second_order(result):
    for case in result["cases"]:
        case["kinds"]["moving_residual"].update(order=2.0, range=[2.0, 2.0])


MUTATIONS = {
    "theorem5.1": {
        "that autograd finds": [put("cases", 3, "autograd", 0, to=1e-3), put("cases", 0, "autograd", 0, to=None)],
        "slope of the loss along it": [put("cases", 8, "loss difference", 1, to=1e-3)],
        "cut to its window": [
            put("cases", 7, "no window", 0, to=1e-3),
            put("cases", ..., "no window", to=[]),
        ],
    },
    "theorem5.2": {
        "With the residual a held": [put("cases", 1, "kinds", "constant_residual", "order", to=1.0)],
        "also as its residual a moves": [second_order],
        "appendix D.4": [put("cases", 2, "kinds", "tangent", "order", to=1.0)],
    },
    "theorem5.3": {
        "by eq. 12": [put("windows", 2, "eq. 12", 0, to=1e-6)],
        "multiplies each DFT coefficient": [put("windows", -1, "eq. 13", 5, to=1e-6)],
        "With a smaller window it does not": [put("windows", 3, "eq. 13", 1, to=1e-14)],
    },
    "theorem5.4": {
        "y = 1, no window": separates(0),
        "y = 0, no window": separates(1),
        "y = 1, W = 5": separates(2),
        "y = 0, W = 5": separates(3),
        "Updates grow and decay": grows(),
        "needs no weight decay": [put("cases", 0, "lower", to=0.0), put("cases", 3, "lower", to=1.0)],
    },
    "theorem5.5": {
        "PyTorch’s SGD": [put("cases", 1, "optimizer_difference", to=1e-3)],
        "tends to the path": [
            put("cases", 0, "order", to=0.3),
            put("cases", 0, "order", to=2.0),
            put("cases", 2, "error", -1, to=1.0),
        ],
    },
    "theorem5.6": {
        "at every damping": [put("cases", 5, "runs", {"position": 0.5}, "regime", to="restrained")],
        **{
            f"y = {label}, μ = {mu}:": separates(4 * (1 - label) + place)
            for label in (1, 0)
            for place, mu in enumerate(("0.98", "0.9", "0.6", "0.33"))
        },
        "Updates grow and decay": grows(),
        "is the limit of no damping": [
            put("cases", 1, "edge_in_dt", to=1.3),
            put("cases", 0, "edge_in_dt", to=1.6),
            both(*(put("cases", case, "edge_in_dt", to=1.4) for case in (0, 4))),
        ],
        "larger learning rates than plain": [put("cases", ..., "edge", to=2.1)],
    },
    "theorem5.7": {
        "as autograd finds": [put("gradients", 7, "error", to=1e-3)],
        "above activated, g_1": [
            put("signals", "activated", -1, to=0.1),
            put("signals", "activated", to=[1e-3, 1e-4, 0.0]),
        ],
        "above not activated, g_1": [put("signals", "not activated", 1, to=0.5)],
        "above transitioning, g_1": [put("signals", "transitioning", -1, to=0.1)],
        "Wrapping round": [put("blocks", "circular", -1, 1, to=0.5)],
        "Without wrapping round": [put("blocks", "valid", -1, ..., to=1e-3)],
    },
    "beta": {
        "With ReLU the twins pass": [activation(-1, [None])],
        "is amplified like with ReLU": [activation(0, [50]), activation(0, [95])],
        "times as far as with ReLU": [activation(0, [2]), activation(-1, [None])],
        "The larger β, the nearer": [both(activation(0, [30]), activation(1, [60]))],
        "At the largest β": [activation(1, [None]), activation(1, [5]), activation(-1, [None])],
    },
}
