"""Why smoothing helps: twins of the demo's recipe beside what linearised training predicts of their distance.

For ReLU and smooth activations at several learning rates, and for other remedies at the recipe's, it prints where
prediction and twins part, the flips there, how much the first step's rounding alone was amplified, and where the twins
end. All are of k = 3 against k = 1, on the same batches.

    python benchmarks/why_smoothing.py [--rates 0.5,1,2,4] [--seeds 1] [--steps 96] [--smoke] [--json FILE]
"""

import time

import torch

from lastbit.divergence import horizon
from lastbit.noise import Scale
from lastbit.training.catalogue import load_recipe
from lastbit.training.task import prepare
from lastbit.training.twins import run_twins
from options import parsed, parser_of, write

ACTIVATIONS = {
    "ReLU": (),
    "SiLU": ('remedy.smooth.to="silu"',),
    "GELU": ('remedy.smooth.to="gelu"',),
}
OTHERS = {
    "ReLU, clip 1": ("remedy.clip.norm=1.0",),
    "ReLU, warm-up 32 updates": ("remedy.warmup.updates=32",),
    "ReLU, capped 0.9": ("remedy.capped.margin=0.9",),
}


def measure(name, rate, changes, seed, steps):
    """Twins of one setting and their prediction."""
    recipe = load_recipe("demo", changes=(f"optimizer.lr={0.1 * rate:.10g}", *changes))
    began = time.process_time()
    found = run_twins(
        recipe, prepare(recipe), noise=Scale(3), baseline=Scale(1), seed=seed, steps=steps, linearised=True
    )
    linear, history = found.linear, found.history
    parting = linear.parting()
    return {
        "setting": name,
        "rate": rate,
        "seed": seed,
        "steps": len(history.steps),
        "first": linear.measured[0],
        "last": linear.measured[-1],
        "horizon": horizon(linear.measured, linear.steps, level=1e-2),
        "first_flip": next((step for step, count in zip(history.steps, history.flips, strict=True) if count), None),
        "parting": found.as_json()["linearised"]["parting"],
        "before_parting": linear.measured[(parting.step if parting else len(linear.steps) + 1) - 2],
        "largest_gap_before": max(linear.gaps[: parting.step - 1 if parting else None]),
        "amplification": linear.amplification,
        "predicted_last": linear.predicted[-1],
        "noise": sorted(linear.noise)[len(linear.noise) // 2],
        "noise_of_updates": sorted(linear.of_updates)[len(linear.of_updates) // 2],
        "churn": found.churn,
        "accuracies": list(found.accuracies),
        "seconds": time.process_time() - began,
        "series": {
            "measured": [float(f"{value:.4g}") for value in linear.measured],
            "predicted": [float(f"{value:.4g}") for value in linear.predicted],
            "amplified": [float(f"{value:.4g}") for value in linear.amplified],
            "gap": [float(f"{value:.4g}") for value in linear.gaps],
            "flips": list(history.flips),
        },
    }


def show(row):
    """Print a row of the table."""
    parting = row["parting"]
    flips = sum(parting["flips_by_module"].values()) if parting else 0
    where = f"{parting['step']}, {parting['tensor']}, {flips} flips" if parting else "never"
    print(
        f"| {row['setting']} | {row['rate']:g} | {row['seed']} | {row['first_flip'] or 'none'} | {where} | "
        f"{row['largest_gap_before']:.0e} | {row['before_parting']:.1e} | {row['amplification']:.2g} | "
        f"{row['last']:.1e} | {row['predicted_last']:.1e} | {row['churn']:.2f} | "
        f"{row['accuracies'][0]:.1f} / {row['accuracies'][1]:.1f} | {row['seconds']:.0f} |",
        flush=True,
    )


def main():
    """Print the table."""
    parser = parser_of(__doc__)
    parser.add_argument("--rates", default="0.5,1,2,4", help="factors of the recipe's learning rate")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--steps", type=int, default=96)
    options = parsed(parser, rates="1", steps=3)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    heads = (
        "setting | rate | seed | first flip | parting | largest gap before | distance before | first difference "
        "amplified | distance at the end | predicted | churn % | accuracy % | core-seconds"
    )
    print(f"| {heads} |\n{'| --- ' * 13}|")
    rates = [float(rate) for rate in options.rates.split(",")]
    settings = [(name, rate, ACTIVATIONS[name]) for rate in rates for name in ACTIVATIONS]
    settings += [(name, 1.0, OTHERS[name]) for name in OTHERS]
    rows = []
    for name, rate, changes in settings:
        for seed in map(int, options.seeds.split(",")):
            rows.append(measure(name, rate, changes, seed, options.steps))
            show(rows[-1])
            write(rows, options.json)


if __name__ == "__main__":
    main()
