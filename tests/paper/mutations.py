"""Changes of a result that its claims must notice."""


def outcomes(item, result):
    """What each claim came to."""
    return [made["holds"] for made in item.claims(result)]


def grown(study, *, value=0.3):
    """A study whose runs parted as far as full trainings do, so that its spreads decide."""
    for row in study["rel_l1"]:
        row["value"] = value
    return study


def set_spread(study, source, std, interval, *, dof=30.0):
    """Give a study a pooled spread, and its parts the same."""
    spread = {"std": std, "lower": interval[0], "upper": interval[1], "dof": dof}
    parts = study["std"][source]["per_seed" if source == "noise" else "per_noise"]
    study["std"][source]["pooled"] = spread
    parts.update({name: dict(spread) for name in parts})


def set_share(study, value, interval):
    """Give a study a share of the last bit in the spread of seeds."""
    study["std"]["noise_over_seed"] = {"value": value, "lower": interval[0], "upper": interval[1]}
