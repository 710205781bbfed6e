"""Wrong results of figures 1, 2, 4, 5, 11 and tables 2, 3, 9."""

from wrong_results import both, put, times

WINDOWS = {
    "are those that simulations find": [
        put("series", 0, "rows", {"kernel": 4}, "simulated", "lower", to=times(1.02)),
        put("series", 2, "rows", {"kernel": 4}, "simulated", "upper", to=times(0.98)),
        put("series", 0, "rows", {"kernel": 4}, "simulated", to=None),
        put("series", 1, "rows", {"kernel": 16}, "simulated", to={"lower": 1.6e4, "upper": 3.3e3}),
    ],
    "checkerboard 16 x 16, valid: a kernel of one pixel": [
        put("series", 0, "rows", {"kernel": 1}, "pixel", "upper", to=times(1.02)),
        put("series", 0, "rows", {"kernel": 1}, "simulated", to=None),
    ],
    "noise 16 x 16, circular: a kernel of one pixel": [
        put("series", 2, "rows", {"kernel": 1}, "simulated", "lower", to=times(1.05)),
        put("series", 2, "rows", {"kernel": 1}, "infinite", "lower", to=1.0),
    ],
    "checkerboard 16 x 16, valid: the bounds approach": [
        put("series", 0, "rows", {"kernel": 8}, "infinite", "lower", to=1296.0),
    ],
    "checkerboard 16 x 16, circular: the bounds approach": [
        put("series", 1, "rows", {"kernel": 16}, "infinite", "lower", to=times(1.05)),
        put("series", 1, "rows", {"kernel": 2}, "infinite", "lower", to=1.0),
    ],
    "noise 16 x 16, circular: the bounds approach": [
        put("series", 2, "rows", {"kernel": 16}, "infinite", "lower", to=times(1.05)),
    ],
    "lie between those of one pixel": [
        put("series", 2, "rows", {"kernel": 4}, "exact", "lower", to=times(0.1)),
        put("series", 2, "rows", {"kernel": 4}, "exact", "lower", to=times(10.0)),
        put("series", 2, "rows", {"kernel": 4}, "exact", "upper", to=times(2.0)),
        put("series", 2, "rows", {"kernel": 4}, "exact", "upper", to=times(0.5)),
    ],
}

BELOW = {
    "Below a weight decay": [
        put("runs", 0, "regime", to="stable"),
        put("runs", 2, "regime", to="blow-up"),
        put("bounds", "exact", "lower", to=times(1.02)),
    ],
    "Up to a weight decay": [
        put("runs", 6, "regime", to="stable"),
        put("runs", 2, "regime", to="blow-up"),
    ],
}

MUTATIONS = {
    "figure1": {
        "Δt = 0.4 satisfies": [
            put("runs", 0, "max_abs", 5, to=2.0),
            put("runs", 0, "max_abs", -1, to=1.0),
            put("runs", 0, "blow_up_step", to=900),
        ],
        "Δt = 0.8 violates": [
            put("runs", 1, "blow_up_step", to=None),
            put("runs", 1, "amplification_max", to=2.0),
        ],
        "starts locally and spreads": [
            lambda result: result["runs"][1]["snapshots"][-1].update(u=result["start"]),
            lambda result: result["runs"][1]["snapshots"].reverse(),
        ],
    },
    "figure2": {
        "converges to the minimiser": [put("runs", 0, "late_max", to=0.1), put("runs", 0, "blow_up_step", to=5)],
        "At 10 times the strict step the instability": [
            put("runs", 1, "blow_up_step", to=5),
            put("runs", 1, "late_max", to=50.0),
            put("runs", 1, "late_min", to=1e-9),
            put("runs", 1, "unstable_share", to=1.0),
        ],
        "At 100 times the strict step the instability": [
            put("runs", 2, "unstable_share", to=0.0),
            put("runs", 2, "late_max", to=50.0),
        ],
        "oscillations are larger": [
            put("runs", 2, "late_max", to=0.3),
            both(put("runs", 2, "late_max", to=None), put("runs", 2, "blow_up_step", to=9)),
        ],
        "every point is unstable": [put("runs", 3, "blow_up_step", to=None), put("runs", 3, "dt", to=1.0)],
    },
    "figure4": BELOW
    | {
        "infinite window’s bound": [
            lambda result: result["bounds"]["infinite"].update(lower=result["bounds"]["exact"]["lower"])
        ],
    },
    "figure11": BELOW
    | {
        "Theorem 5.6": [
            put("runs", 3, "regime", to="restrained"),
            put("bounds", "damping-free", "upper", to=times(0.9)),
        ],
        "damping has no impact": [
            lambda result: result["bounds"]["exact"].update(upper=result["settings"]["published"]["upper"])
        ],
    },
    "figure5": {
        "The loss blows up": [
            put("runs", {"lr": 0.105}, "regime", to="restrained"),
            put("runs", {"lr": 0.07}, "regime", to="blow-up"),
        ],
        "the kernel converges": [
            put("runs", {"lr": 0.02}, "regime", to="restrained"),
            put("runs", {"lr": 0.01}, "loss", -1, to=times(1.001)),
        ],
        "the loss oscillates": [put("runs", {"lr": 0.05}, "regime", to="stable")],
        "grows to a plateau": [
            put("twins", -1, "rel_l1", "9", ..., to=1e-9),
            lambda result: result["twins"][-1]["rel_l1"].update({"9": [2.0 * (i / 1000) ** 6 for i in range(1000)]}),
        ],
        "Wherever the instability is restrained": [put("runs", {"lr": 0.04}, "rel_l1", "3", -1, to=1.0)],
        "Where training converges": [
            put("runs", {"lr": 0.02}, "rel_l1", "3", -1, to=1e-6),
            put("runs", {"lr": 0.02}, "rel_l1", "3", -1, to=None),
            put("twins", 0, "rel_l1", "11", -1, to=1e-6),
        ],
    },
    "table2": WINDOWS,
    "table9": WINDOWS,
    "table3": {
        **{
            f"{name}: the linear PDE of each regime": [
                put("cases", case, "rows", {"regime": "not activated"}, "simulated", "above upper", to="stable"),
                put("cases", case, "rows", {"regime": "activated"}, "simulated", "above lower", to="blow-up"),
                put("cases", case, "rows", ..., "simulated", to={}),
            ]
            for case, name in enumerate(("figure 4", "figure 5", "noise, β = 1"))
        },
        **{
            f"{name}: not activated": [
                put("cases", case, "rows", {"regime": "not activated"}, "upper", to=times(1.001)),
                put("cases", case, "rows", {"regime": "not activated"}, "lower", to=1.0),
            ]
            for case, name in enumerate(("figure 4", "figure 5", "noise, β = 1"))
        },
        "At figure 5's": [
            put("cases", 1, "rows", {"regime": "transitioning"}, "lower", to=10.0),
            put("cases", 1, "rows", {"regime": "activated"}, "upper", to=19.0),
            put("cases", 1, "rows", {"regime": "not activated"}, "upper", to=19.0),
        ],
    },
    "phase": {
        "exact bounds separate": [
            put("linear", "regimes", ..., to=lambda row: row[::-1]),
            put("linear", "bounds", {"kind": "exact"}, "upper", to=times(2.0)),
            put("linear", "bounds", {"kind": "exact"}, "lower", to=times(0.3)),
        ],
        "blows up where lr·α > 2": [
            put("network", "bounds", {"regime": "not activated", "kind": "exact"}, "upper", to=times(1.5)),
            put("network", "regimes", 3, to=lambda row: ["blow-up" for _ in row]),
        ],
        "all three regimes hold": [
            put("network", "bounds", {"regime": "transitioning", "kind": "exact"}, "lower", to=times(0.01)),
            put("network", "bounds", ..., "upper", ..., to=0.0),
        ],
        "only the transitioning regime’s": [
            lambda result: [
                row.__setitem__(i, "restrained")
                for row in result["network"]["regimes"]
                for i, regime in enumerate(row)
                if regime == "stable"
            ],
        ],
        "above 2/λ": [
            put("network", "sharpness", to=times(0.5)),
            put("network", "sharpness", to=times(1.5)),
        ],
    },
}
