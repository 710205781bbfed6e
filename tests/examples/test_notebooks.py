"""The notebooks run from beginning to end at their small size, and the numbers that they state are right."""

import copy
import importlib
import json
import sys

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from scipy import optimize, stats
from torch import nn


def notebook(name):
    """A notebook's app; imported late, for transformers takes a process in which marimo is for a notebook."""
    return importlib.import_module(f"examples.{name}").app


def run(name, **settings):
    """What a notebook defines and says, run at its small size."""
    outputs, names = notebook(name).run(defs={"small": True, **settings})
    return names, " ".join(" ".join(part.text.split()) for part in outputs if hasattr(part, "text"))


@pytest.fixture(scope="module")
def paper():
    return run("paper_in_ten_minutes")


@pytest.fixture(scope="module")
def layers():
    return run("layer_bounds")


@pytest.fixture(scope="module")
def recipes(tmp_path_factory):
    return run("compare_two_recipes", out=tmp_path_factory.mktemp("studies"))


def test_the_weights_that_differ_are_those_of_numpys_float32(paper):
    names, said = paper
    generator = torch.Generator().manual_seed(0)
    start, slope = (torch.randn(10_000, generator=generator).numpy() for _ in range(2))

    def stepped(k):
        return start - np.float32(0.01 * k) * (slope / np.float32(k))

    # torch fuses multiplication and addition where the processor can: float64 and one rounding is the same.
    def fused(k):
        product = np.float64(np.float32(0.01 * k)) * np.float64(slope / np.float32(k))
        return (np.float64(start) - product).astype(np.float32)

    counts = dict(names["moved"].select("k", "weights that differ").iter_rows())
    assert counts in [{k: int((step(k) != step(1)).sum()) for k in counts} for step in (stepped, fused)]
    assert counts[2] == counts[4] == 0 < counts[3]
    assert "Powers of two move <strong>0</strong> weights" in said


def test_the_first_distance_of_the_twins_is_that_of_two_plain_steps(paper):
    names, _ = paper
    batch = next(names["batches"]())
    model = names["network"](nn.SiLU)
    nn.functional.cross_entropy(model(names["pixels"][batch]), names["labels"][batch]).backward()
    # Nesterov's first step is along g + 0.9 g.
    ends = []
    for k in (1, 3):
        with torch.no_grad():
            directions = [weight.grad.add(weight.grad, alpha=0.9) for weight in model.parameters()]
            ends.append(
                torch.cat(
                    [
                        weight.add(direction / k, alpha=-0.1 * k).flatten()
                        for weight, direction in zip(model.parameters(), directions, strict=True)
                    ]
                ).double()
            )
    one, other = ends
    apart = (one - other).abs() / (one.abs() + other.abs())
    assert names["histories"]["Swish"].rel_l1[0] == pytest.approx(2 * float(apart.nanmean()), rel=1e-6)


def test_relu_twins_part_and_swish_twins_stay_together(paper):
    names, said = paper
    relu, swish = (names["histories"][name] for name in ("ReLU", "Swish"))
    assert relu.rel_l1[-1] > 10 * swish.rel_l1[-1] > 0
    # Whether ReLU's distance leaps at once or in a few steps depends on the processor's last bits.
    leaps = [(jump.factor, jump.step) for jump in relu.growth().jumps]
    how = f"with its largest leap at step {max(leaps)[1]}, {max(leaps)[0]:,.0f}-fold" if leaps else "without a leap"
    assert f"from {relu.rel_l1[0]:.1e} to {relu.rel_l1[-1]:.1e} in 64 steps, {how}" in said
    assert f"to {swish.rel_l1[-1]:.1e} in 64 steps, without a leap" in said


def eigenvalues_of_one_kernel(image, side):
    """Of Z for Swish, label 1 and the mean over positions: a β/2 times the mean of the patches' outer products."""
    patches = sliding_window_view(image, (side, side)).reshape(-1, side * side)
    return np.linalg.eigvalsh(-0.5 / 2 * patches.T @ patches / len(patches))


def test_the_paper_bounds_are_those_of_the_dense_operator(paper):
    names, said = paper
    ends = eigenvalues_of_one_kernel(names["digit"], 7)
    lower, upper = -ends[0], 2 / 0.5 - ends[-1]
    assert (names["bounds"].lower, names["bounds"].upper) == pytest.approx((lower, upper), rel=1e-9)
    assert f"<strong>{lower:.4g} to {upper:.4g}</strong>. Of 10 simulations, 10 decay inside or grow outside" in said
    decays = names["factors"]["weight decay"].to_numpy()
    largest = np.abs(1 - 0.5 * (decays[:, None] + ends)).max(1)
    np.testing.assert_allclose(names["factors"]["simulated growth"].to_numpy(), largest, rtol=0, atol=2e-3)


def test_only_weight_decay_blows_the_network_up(paper):
    names, said = paper
    regimes = names["regimes"]
    blown = regimes["network"] == "blow-up"
    assert blown.to_list() == (regimes["lr"] > 2 / 20).to_list()
    assert (regimes["linear PDE"] == "blow-up").all()
    assert "the network blows up at lr in [0.12]" in said


def test_the_last_sharpness_is_that_of_the_dense_hessian(paper):
    names, said = paper
    model = names["descending"]
    shapes = {name: weight.shape for name, weight in model.named_parameters()}
    flat = torch.cat([weight.detach().flatten() for weight in model.parameters()])

    def loss(weights):
        parts = weights.split([shape.numel() for shape in shapes.values()])
        named = {name: part.view(shapes[name]) for name, part in zip(shapes, parts, strict=True)}
        made = torch.func.functional_call(model, named, (names["inputs"],))
        return nn.functional.mse_loss(made, names["targets"])

    dense = torch.autograd.functional.hessian(loss, flat, vectorize=True)
    largest = float(torch.linalg.eigvalsh(dense)[-1])
    found = names["sharpness"]["lr · sharpness"]
    assert found[-1] == pytest.approx(names["edge_lr"] * largest, rel=1e-3)
    assert found[0] < 1 < 2 < found.max() < 3
    assert "first reaches the edge at step" in said


def test_the_first_layers_bounds_are_those_of_its_dense_hessian(layers):
    names, said = layers
    layer, model = names["first_layers"][0], copy.deepcopy(names["model"])
    torch.manual_seed(0)
    for part in model:
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
    model.double()
    weight = model[0].weight.detach()

    def loss(kernel):
        made = torch.func.functional_call(model, {"0.weight": kernel.view_as(weight)}, (names["inputs"].double(),))
        return nn.functional.cross_entropy(made, names["targets"])

    curvatures = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, weight.flatten()))
    assert layer.max_lr() == pytest.approx(2 / (float(curvatures[-1]) + 5e-4), rel=2e-3)
    assert layer.min_weight_decay() == pytest.approx(max(0.0, -float(curvatures[0])), rel=2e-3)
    assert f"the whole network's bound is lower than any layer's: <strong>{names['whole_later']:.3g}</strong>" in said


def test_at_the_bound_a_step_turns_an_error_round(layers):
    names, _ = layers
    times = names["checks"]["error times"].to_numpy().reshape(-1, 3)
    shares = np.array([0.9, 1.0, 1.1])
    np.testing.assert_allclose(times, np.tile(1 - 2 * shares, (len(times), 1)), atol=3e-3)
    assert names["whole_at_first"] < names["at_first"]["lr below"].min()
    assert names["whole_later"] < names["later"]["lr below"].min()


def test_the_pictures_bounds_are_those_of_the_dense_operator(layers):
    names, said = layers
    ends = eigenvalues_of_one_kernel(names["image"], 5)
    lower, upper = -ends[0], 2 / names["lr"] - ends[-1]
    assert f"<strong>{lower:.4g} to {upper:.4g}</strong>, and 3 of 3 simulations agree" in said
    assert names["simulated"]["simulated"].to_list() == ["blow-up", "stable", "blow-up"]


def test_a_picture_can_be_given_on_the_command_line(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    monkeypatch.setattr(sys, "argv", ["layer_bounds.py", "--small", "--picture", str(tmp_path / "mine.png")])
    _, names = notebook("layer_bounds").run()
    assert names["small"]
    np.testing.assert_allclose(names["image"], pixels / 255)
    assert names["at_any_rate"].lower == pytest.approx(-eigenvalues_of_one_kernel(pixels / 255, 5)[0])


def logged(directory):
    """Final accuracies by seed, straight from the files of a study, shape (seeds, noises)."""
    found = {}
    for trial in directory.glob("**/trial.json"):
        what = json.loads(trial.read_text())
        lines = [json.loads(line) for line in (trial.parent / "metrics.jsonl").read_text().splitlines()]
        last = [line["test_accuracy"] for line in lines if "test_accuracy" in line][-1]
        if not what.get("replica") and what["noise"].get("k") in (1, 3):
            found[what["seed"], what["noise"]["k"]] = last
    return np.array([[found[seed, k] for k in (1, 3)] for seed in (1, 2, 3)])


def test_the_comparison_is_scipys_paired_test_of_the_seeds_means(recipes):
    names, said = recipes
    relu, swish = (logged(names["out"] / name) for name in ("ReLU", "Swish"))
    paired = stats.ttest_rel(relu.mean(1), swish.mean(1))
    lower, upper = paired.confidence_interval(0.95)
    difference = relu.mean() - swish.mean()
    assert f"{difference:+.2f} points, 95 % interval {lower:.2f} to {upper:.2f}, p = {paired.pvalue:.3g}" in said
    assert ("yes, at 5 %" in said) == (paired.pvalue <= 0.05)
    wrong = stats.ttest_ind(relu.flatten(), swish.flatten()).pvalue
    assert f"6 for each recipe, says p = {wrong:.3g}" in said


def test_the_least_detectable_difference_has_a_power_of_80_percent(recipes):
    names, said = recipes
    relu, swish = (logged(names["out"] / name).mean(1) for name in ("ReLU", "Swish"))
    error = np.std(relu - swish, ddof=1) / np.sqrt(3)
    limit = stats.t.ppf(0.975, 2)
    gain = optimize.brentq(lambda gain: stats.nct.sf(limit, 2, gain / error) - 0.8, error, 30 * error)
    assert f"shows a difference of <strong>{gain:.2f} points</strong> in 80 % of cases" in said
    assert names["least"]["least gain"].is_sorted(descending=True)
