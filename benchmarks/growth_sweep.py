"""How activation, β, depth, batch size and length of training move the growth of the last bit.

Each row trains twins of a recipe in lock-step (k = 3 against k = 1, everything else the same) and prints how their
distance grew. Rows of one table differ in one setting.

    python benchmarks/growth_sweep.py [--only activation,batch] [--steps 200] [--seeds 1,2] [--smoke] [--json FILE]
"""

import torch

from lastbit.noise import Scale
from lastbit.training.catalogue import load_recipe
from lastbit.training.task import prepare
from lastbit.training.twins import run_twins
from options import parsed, parser_of, write

SWISH = ("model.activation=swish",)
CIFAR = ("data.train=2000", "data.test=1000", "model.name=resnet8", "data.augment=false", "measure.snapshot_epochs=1")
TABLES = {
    "activation": {
        "ReLU": ("demo", ()),
        **{f"Swish, β = {beta:g}": ("demo", (*SWISH, f"model.beta={beta}")) for beta in (0.3, 1.0, 5.0, 20.0, 100.0)},
    },
    "batch": {
        f"{name}, batch {size}": ("demo", (*changes, f"batch_size={size}"))
        for name, changes in (("ReLU", ()), ("Swish", SWISH))
        for size in (32, 128, 512)
    },
    "depth": {
        f"{name}, depth {depth}": ("demo", (*changes, f"model.name=resnet{depth}", "data.train=1000", "data.test=500"))
        for name, changes in (("ReLU", ()), ("Swish", SWISH))
        for depth in (8, 20)
    },
    "length": {
        "ReLU, 9 epochs": ("demo", ()),
        "Swish, 9 epochs": ("demo", SWISH),
        "Swish, 9 epochs, lr 0.1 throughout": ("demo", (*SWISH, "schedule.milestones=[]")),
        "Swish, β = 5, 9 epochs, lr 0.1 throughout": ("demo", (*SWISH, "model.beta=5.0", "schedule.milestones=[]")),
    },
    "cifar": {
        "ResNet-8, ReLU": ("resnet56-cifar10", CIFAR),
        "ResNet-8, Swish": ("resnet56-cifar10", (*CIFAR, *SWISH)),
    },
}
STEPS = {"depth": 60, "length": 288, "cifar": 80}  # others take --steps


def measure(recipe, task, seed, steps):
    """Twins of one setting."""
    found = run_twins(recipe, task, noise=Scale(3), baseline=Scale(1), seed=seed, steps=steps)
    content = found.as_json()
    jumps = content["growth"]["jumps"]
    return {
        "seed": seed,
        "steps": len(content["step"]),
        "first": content["rel_l1"][0],
        "last": content["rel_l1"][-1],
        "relative_l2": content["relative_l2"][-1],
        "first_flip": next((s for s, n in zip(content["step"], content["flips"], strict=True) if n), None),
        "flips": sum(content["flips"]),
        "jumps": jumps,
        "segments": content["growth"]["segments"],
        "churn": found.churn,
        "test_accuracy": content["test_accuracy"],
    }


def show(name, row):
    """Print a row of the table."""
    leaps = ", ".join(f"x{jump['factor']:.0f} at {jump['step']} ({jump['flips']} flips)" for jump in row["jumps"])
    print(
        f"| {name} | {row['seed']} | {row['steps']} | {row['first']:.1e} | {row['last']:.1e} | "
        f"{row['first_flip'] or 'none'} | "
        f"{leaps or 'none'} | {row['churn']:.1f} | {row['test_accuracy'][0]:.1f} / {row['test_accuracy'][1]:.1f} |",
        flush=True,
    )


def main():
    """Print every table."""
    parser = parser_of(__doc__)
    parser.add_argument("--only", default=",".join(TABLES), help="tables, by name")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", default="1")
    options = parsed(parser, only="activation", steps=5)
    tables = {name: TABLES[name] for name in options.only.split(",")}
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    rows = []
    for table, settings in tables.items():
        print(
            f"\n{table}\n\n| setting | seed | steps | RelL1 first | last | first flip | jumps | churn % | accuracy % |"
        )
        print("| --- " * 9 + "|")
        for name, (recipe_name, changes) in settings.items():
            recipe = load_recipe(recipe_name, changes=changes)
            task = prepare(recipe)
            for seed in map(int, options.seeds.split(",")):
                row = measure(recipe, task, seed, STEPS.get(table, options.steps))
                show(name, row)
                rows.append({"table": table, "setting": name, **row})
    write(rows, options.json)


if __name__ == "__main__":
    main()
