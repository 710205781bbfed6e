"""Made-up results of studies, in the shape that `Results.as_json` gives."""

from typing import Any

FINGERPRINT = {"torch": "2.13.0", "threads": 1, "device": "cpu", "autocast": False, "cudnn": None, "environment": ""}
STEPS = (1, 3, 10, 32, 100)
LAYERS = ("first.weight", "first.bias", "last.weight")


def make_study(
    name: str = "grown",
    *,
    ks: tuple[int, ...] = (1, 3, 5),
    seeds: tuple[int, ...] = (1, 2),
    steps: tuple[int, ...] = STEPS,
    layers: tuple[str, ...] = LAYERS,
    growth: float = 1e-7,
    **changes: Any,
) -> dict[str, Any]:
    """A finished study whose RelL1 at a step is `growth * k * step**2`; `changes` replace its parts."""
    return {
        "name": name,
        "settings": {
            "name": name,
            "description": "A made-up study",
            "scale": "paper",
            "cuts": "",
            "dtype": "float32",
            "epochs": 9,
            "optimizer": {"name": "sgd", "lr": 0.1, "weight_decay": 0.0005, "betas": [0.9, 0.999]},
            "model": {"name": "small-cnn", "activation": "relu"},
        },
        "noises": [f"k={k}" for k in ks],
        "seeds": list(seeds),
        "controls": {"power_of_two": True, "repeat": True},
        "trials": [make_trial(seed, k) for seed in seeds for k in ks],
        "std": make_std(ks, seeds),
        "sampling_error": 0.854,
        "variance": make_variance(),
        "noise_floor": 0.448,
        "least_detectable_gain": {str(runs): 2.1 / runs**0.5 for runs in (2, 3, 4, 6, 8, 12, 20, 50)},
        "churn": {
            "unit": "percent",
            "noise": {"mean": 1.833, "largest": 2.75, "pairs": 6},
            "seed": {"mean": 5.171, "largest": 5.55, "pairs": 3},
        },
        "rel_l1": [
            {"kind": "scale", "k": k, "seed": seed, "step": step, "value": growth * k * step**2}
            for k in ks[1:]
            for seed in seeds
            for step in steps
        ],
        "rel_l1_layers": [
            {"layer": layer, "step": step, "value": growth * depth * step**2}
            for step in steps
            for depth, layer in enumerate(layers)
        ],
        "gradient_fluctuation": 18.402,
        "fingerprints": [FINGERPRINT],
        "verdict": f"The verdict of {name}.",
    } | changes


def make_trial(seed: int, k: int, **changes: Any) -> dict[str, Any]:
    """A finished trial with the accuracy 80 + seed + k / 100."""
    return {
        "id": f"{1000 * seed + k:016x}",
        "seed": seed,
        "kind": "scale",
        "k": k,
        "status": "finished",
        "diverged_at": None,
        "test_accuracy": 80 + seed + k / 100,
        "train_loss": 0.387288,
        "test_loss": 0.511904,
    } | changes


def make_std(ks: tuple[int, ...], seeds: tuple[int, ...]) -> dict[str, Any]:
    """Spreads that all differ, so that one in another's place is noticed."""
    return {
        "unit": "percent",
        "ddof": 1,
        "interval": "95 % chi-square",
        "noise": {
            "pooled": _spread(0.14, dof=9.0),
            "per_seed": {str(seed): _spread(0.2 + seed / 100) for seed in seeds},
        },
        "seed": {"pooled": _spread(0.37, dof=2.555), "per_noise": {f"k={k}": _spread(0.3 + k / 100) for k in ks}},
        "noise_over_seed": {"value": 0.3825, "lower": 0.0648, "upper": 0.7444},
    }


def make_variance() -> dict[str, Any]:
    """A split with every part known."""
    parts = {"test_set": (0.81, 0.82), "batch_order": (0.34, 0.145), "last_bit": (0.14, 0.035)}
    return {
        **{
            name: {"std": std, "lower": 0.7 * std, "upper": 2 * std, "truncated": False, "share": share}
            for name, (std, share) in parts.items()
        },
        "test_set_by": "examples",
        "dropped_seeds": 0,
    }


def make_empty_study(name: str = "empty") -> dict[str, Any]:
    """A study of which everything that can be missing is missing."""
    empty = make_study(name, ks=(1, 3), seeds=(1,))
    std = empty["std"] | {
        "noise": {"pooled": None, "per_seed": {"1": None}},
        "seed": {"pooled": None, "per_noise": {"k=1": None, "k=3": None}},
        "noise_over_seed": None,
    }
    return empty | {
        "settings": {},
        "controls": None,
        "trials": [],
        "std": std,
        "sampling_error": None,
        "variance": make_variance() | {"test_set": None, "batch_order": None, "last_bit": None},
        "noise_floor": None,
        "least_detectable_gain": None,
        "churn": {"unit": "percent", "noise": None, "seed": None},
        "rel_l1": [],
        "rel_l1_layers": [],
        "gradient_fluctuation": None,
        "fingerprints": [],
    }


def _spread(std: float, dof: float = 2.0) -> dict[str, float]:
    return {"std": std, "lower": 0.6 * std, "upper": 3 * std, "dof": dof}
