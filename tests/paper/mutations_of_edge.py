"""Wrong results of figures 6 to 9."""

from wrong_results import both, put

MUTATIONS = {
    "figure6": {
        "λ the sharpness of the minimum, and not beyond": [
            put("runs", {"lr": 0.528}, "regime", to="stable"),
            put("runs", {"lr": 0.512}, "regime", to="restrained"),
            put("runs", {"lr": 0.16}, "normalised", -1, to=0.5),
        ],
        "settles below 2": [put("runs", {"lr": 0.16}, "late", "max", to=2.2)],
        "is below 2 at every step": [
            both(*(put("runs", {"lr": lr}, "normalised", to=[1.9]) for lr in (0.48, 0.512))),
        ],
        "goes back and forth": [put("runs", {"lr": 1.12}, "late", "crossings", to=0)],
        "above 2 at every step": [
            put("runs", {"lr": 1.68}, "regime", to="restrained"),
            put("runs", {"lr": 1.68}, "normalised", to=[1.9, 2.1]),
        ],
    },
    "figure7": {
        "One layer is stable": [
            put("runs", {"depth": 1, "lr": 1}, "rises", to=2),
            put("runs", {"depth": 1, "lr": 1}, "blow_up_step", to=2),
        ],
        "Three layers are unstable": [
            put("runs", {"depth": 1, "lr": 6}, "rises", to=2),
            put("runs", {"depth": 3, "lr": 6}, "rises", to=0),
        ],
        "is restrained: no run blows up": [
            put("runs", {"depth": 3, "lr": 6}, "late_rises", to=0),
            put("runs", {"depth": 3, "lr": 6}, "blow_up_step", to=9),
        ],
        "rises only where normalised sharpness passes 2": [
            put("runs", {"depth": 3, "lr": 6}, "sharpness", "normalised", to=[1.9]),
            put("runs", {"depth": 3, "lr": 1}, "sharpness", "normalised", to=[2.1]),
        ],
    },
    "figure8": {
        "Along a slow descent": [
            put("search", "largest", to=1.0),
            put("search", "goal_reached", to=False),
        ],
        "stay below the edge": [put("shallow", "sharpness", "normalised", to=[2.1])],
        "never rises": [put("shallow", "rises", to=1), put("shallow", "goal_reached", to=False)],
        "four hidden layers passes": [put("deep", "sharpness", "normalised", to=[1.9])],
        "has spikes": [put("deep", "spikes", to=0), put("deep", "blow_up_step", to=5)],
    },
    "figure9": {
        "up to a lower learning rate": [
            put("searches", 0, "bracket", to=[9.0, 11.0]),
            put("searches", 1, "bracket", to=None),
        ],
        "of 1 layer is between": [
            put("searches", 0, "bracket", to=[91.0, 99.0]),
            put("searches", 0, "bracket", to=[20.0, 30.0]),
        ],
        "of 2 layers is between": [
            put("searches", 1, "bracket", to=[7.0, 8.0]),
            put("searches", 1, "bracket", to=[5.0, 50.0]),
        ],
        "It is 2/λ": [put("searches", 1, "edge", to=5.0)],
        "Beyond it no learning rate": [put("searches", 1, "runs", -1, "regime", to="stable")],
    },
}
