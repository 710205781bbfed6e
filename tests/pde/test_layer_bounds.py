import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lastbit.pde.layers.bounds import layer_bounds
from lastbit.pde.multilayer import MultiLayerCNN

torch.set_num_threads(1)

EXACT = {"tolerance": 1e-9, "max_products": 400}
KINDS = ("infinite", "pixel", "windowed", "frozen", "gauss-newton", "hessian")


class Swish(nn.Module):
    def __init__(self, beta):
        super().__init__()
        self.beta = beta

    def forward(self, z):
        return z * torch.sigmoid(self.beta * z)


class Pool(nn.Module):
    """Pooling by sum, to one logit."""

    def forward(self, h):
        return h.sum((1, 2, 3))


def paper_network(kernels, beta, **options):
    """The paper's network in torch: one channel, no bias, Swish, pooling by sum."""
    parts = []
    for kernel in kernels:
        conv = nn.Conv2d(1, 1, kernel.shape[-1], bias=False, **options).double()
        conv.weight.data = torch.tensor(np.array(kernel), dtype=torch.float64).reshape(conv.weight.shape)
        parts += [conv, Swish(beta)]
    return nn.Sequential(*parts, Pool())


def as_batch(image, label):
    return torch.tensor(image)[None, None], torch.tensor([float(label)], dtype=torch.float64)


@pytest.mark.parametrize("label", [0, 1])
def test_one_swish_layer_at_rest_has_the_papers_bounds(label):
    random = np.random.default_rng(0)
    image, beta = random.standard_normal((11, 11)), 1.5
    model = paper_network([np.zeros((4, 4))], beta)
    (found,) = layer_bounds(
        model, F.binary_cross_entropy_with_logits, as_batch(image, label), weight_decay=200.0, **EXACT
    )
    windows = np.lib.stride_tricks.sliding_window_view(image, (4, 4)).reshape(-1, 16)
    gram = np.linalg.eigvalsh(windows.T @ windows)
    power = abs(np.fft.fft2(image)) ** 2
    factor = (0.5 - label) * beta / 2
    for kind, values in (
        ("frozen", factor * gram),
        ("windowed", factor * gram),
        ("infinite", factor * power),
        ("pixel", factor * (image**2).sum()),
    ):
        assert found.extremes(kind).lowest == pytest.approx(np.min(values), rel=1e-9)
        assert found.extremes(kind).highest == pytest.approx(np.max(values), rel=1e-9)
        assert found.max_lr(kind) == pytest.approx(2 / (200 + np.max(values)))
        assert found.min_weight_decay(kind) == pytest.approx(max(0, -np.min(values)))
    # What the paper drops: the residual moves, by f (1 - f) times the square of half the image's window sums.
    sums = windows.sum(0) / 2
    assert found.gauss_newton.highest == pytest.approx(0.25 * sums @ sums)
    dense = factor * windows.T @ windows + 0.25 * np.outer(sums, sums)
    assert found.hessian.highest == pytest.approx(np.linalg.eigvalsh(dense)[-1])
    assert found.closed_form.weight == pytest.approx(abs(factor))
    assert found.closed_form.weight_error == pytest.approx(0, abs=1e-15)
    assert found.edge == 2


@pytest.mark.parametrize("window", ["infinite", "pixel", "exact"])
def test_the_top_of_a_deep_network_agrees_with_the_multi_layer_bounds(window):
    """The top layer transitions; its input comes through a layer that does not."""
    random = np.random.default_rng(1)
    image, first = random.standard_normal((9, 9)), random.standard_normal((3, 3))
    net = MultiLayerCNN(image, [first, np.zeros((2, 2))], label=1)
    model = paper_network(net.kernels, net.beta)
    found = layer_bounds(model, F.binary_cross_entropy_with_logits, as_batch(image, 1), **EXACT)[1]
    kind = "windowed" if window == "exact" else window
    bounds = net.bounds(2, lr=1e-3, window=window)
    assert found.weight_decay_range(1e-3, kind) == pytest.approx((bounds.lower, bounds.upper), rel=1e-9)


def test_a_lower_layer_bends_by_more_than_the_papers_frozen_signal():
    """With z = 0 throughout and a periodic image, the frozen part is (a beta / 2) |I|^2 (sum K_2 / 2 + |K_2|^2 / 4).

    The first term is the paper's, a mean signal of sum K_2 / 2; the second is the bending of the layer above.
    """
    random = np.random.default_rng(2)
    size, beta, label = 5, 1.5, 0
    image, above = random.standard_normal((size, size)), random.standard_normal((size, size))
    model = paper_network([np.zeros((size, size)), above], beta, padding=size // 2, padding_mode="circular")
    found = layer_bounds(model, F.binary_cross_entropy_with_logits, as_batch(image, label), **EXACT)[0]
    power, filtered = (abs(np.fft.fft2(part)) ** 2 for part in (image, above))
    values = 0.5 * beta / 2 * power * (above.sum() / 2 + filtered / 4)
    assert found.frozen.highest == pytest.approx(values.max(), rel=1e-8)
    assert found.frozen.lowest == pytest.approx(values.min(), rel=1e-8)
    net = MultiLayerCNN(image, [np.zeros((size, size)), above], beta=beta, label=label, boundary="circular")
    assert net.mean_signal(1) == pytest.approx(above.sum() / 2)


def small_network(activation=nn.Tanh):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding="same", padding_mode="circular"),
        activation(),
        nn.Conv2d(3, 4, 3, stride=2, bias=False),
        activation(),
        nn.Flatten(),
        nn.Linear(36, 2),
    ).double()
    generator = torch.Generator().manual_seed(1)
    batch = torch.randn(6, 1, 8, 8, generator=generator, dtype=torch.float64), torch.tensor([0, 1, 0, 1, 1, 0])
    return model, batch


def test_the_hessian_is_the_sum_of_its_parts_and_respects_their_ends():
    model, batch = small_network()
    for found in layer_bounds(model, F.cross_entropy, batch, **EXACT):
        assert found.hessian.highest <= found.frozen.highest + found.gauss_newton.highest + 1e-12
        assert found.hessian.lowest >= found.frozen.lowest - 1e-12
        assert found.gauss_newton.min_weight_decay == 0
        assert 0 < found.frozen_share < 1
        assert found.frozen.lowest < found.frozen.highest
        assert all(spectrum.converged for spectrum in (found.frozen, found.gauss_newton, found.hessian))
        assert found.hessian.highest_vector.shape == found.weight_shape


def test_layers_are_named_and_described():
    model, batch = small_network()
    first, second = layer_bounds(model, F.cross_entropy, batch)
    assert (first.name, second.name) == ("0", "2")
    assert second.weight_shape == (4, 3, 3, 3)
    assert first.input_shapes == ((6, 1, 8, 8),)
    assert second.input_shapes == ((6, 3, 8, 8),)
    assert second.output_shapes == ((6, 4, 3, 3),)
    (alone,) = layer_bounds(model, F.cross_entropy, batch, layers=["2"])
    assert alone.hessian == second.hessian
    assert alone.closed_form == second.closed_form


def test_bounds_are_named_in_one_line():
    (bounds,) = layer_bounds(
        paper_network([np.ones((2, 2))], 1.0),
        F.binary_cross_entropy_with_logits,
        as_batch(np.eye(5), 1),
        weight_decay=200.0,
    )
    low, high = bounds.lr_range()
    said = f"<LayerBounds 0 (1x1x2x2): stable for lr between {low:.3g} and {high:.3g} at weight decay 200>"
    assert repr(bounds) == said


def test_the_error_of_the_curvature_weights_shrinks_with_the_probes():
    model, batch = small_network()
    few, many = (layer_bounds(model, F.cross_entropy, batch, layers=["0"], probes=n)[0] for n in (8, 800))
    assert few.closed_form.weight_error == pytest.approx(10 * many.closed_form.weight_error, rel=0.3)
    assert few.closed_form.weight == pytest.approx(many.closed_form.weight, abs=4 * few.closed_form.weight_error)


def test_a_piecewise_linear_network_has_no_frozen_part():
    model, batch = small_network(nn.ReLU)
    for found in layer_bounds(model, F.cross_entropy, batch, **EXACT):
        assert found.frozen.lowest == found.frozen.highest == 0
        assert found.closed_form.highest == found.closed_form.lowest == 0
        assert found.hessian.highest == pytest.approx(found.gauss_newton.highest)
        assert found.frozen_share == 0
        assert found.max_lr("frozen") == math.inf


def settle(model, batch, layer, weight_decay):
    """Descend on one layer's weight to a stationary point, by Newton's method from a long gradient descent."""
    weight = model.get_submodule(layer).weight

    def loss(w):
        outputs = torch.func.functional_call(model, {f"{layer}.weight": w}, (batch[0],))
        return F.cross_entropy(outputs, batch[1]) + weight_decay / 2 * w.square().sum()

    def gradient(w):
        return torch.autograd.functional.jacobian(loss, w)

    w = weight.detach().clone()
    for _ in range(300):
        w -= 0.5 * gradient(w)
    for _ in range(20):
        hessian = torch.autograd.functional.hessian(loss, w).reshape(w.numel(), -1)
        w -= torch.linalg.solve(hessian, gradient(w).flatten()).reshape(w.shape)
    assert gradient(w).abs().max() < 1e-14
    weight.data.copy_(w)


@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}],
    ids=["gradient descent", "heavy ball", "Nesterov"],
)
def test_training_one_layer_converges_below_its_bound_and_diverges_above(options):
    weight_decay = 0.05
    model, batch = small_network()
    settle(model, batch, "2", weight_decay)
    (found,) = layer_bounds(model, F.cross_entropy, batch, weight_decay=weight_decay, layers=["2"], **options, **EXACT)
    assert found.min_weight_decay() < weight_decay

    def distance_after(lr, steps=400):
        twin = copy.deepcopy(model)
        weight, rest = twin[2].weight, model[2].weight.detach()
        weight.data.add_(1e-9 * torch.tensor(found.hessian.highest_vector))
        optimizer = torch.optim.SGD([weight], lr=lr, weight_decay=weight_decay, **options)
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(twin(batch[0]), batch[1]).backward()
            optimizer.step()
        return float((weight.detach() - rest).norm())

    assert distance_after(0.96 * found.max_lr()) < 1e-10
    assert distance_after(1.04 * found.max_lr()) > 1e-7


def test_negative_curvature_grows_at_any_learning_rate_unless_weight_decay_outweighs_it():
    model, batch = small_network()
    for found in layer_bounds(model, F.cross_entropy, batch, layers=["0"], **EXACT):
        assert found.min_weight_decay() > 0
        assert found.lr_range() == (0, 0)
        weight = model[0].weight
        step = 1e-6 * torch.tensor(found.hessian.lowest_vector)

        def update(w, decay, lr):
            outputs = torch.func.functional_call(model, {"0.weight": w}, (batch[0],))
            (gradient,) = torch.autograd.grad(F.cross_entropy(outputs, batch[1]), w)
            return w - lr * (gradient + decay * w)

        for lr in (1e-3, 1.0):
            for decay, grows in ((0.9, True), (1.1, False)):
                ends = [
                    update((weight.detach() + sign * step).requires_grad_(), decay * found.min_weight_decay(), lr)
                    for sign in (1, -1)
                ]
                growth = (ends[0] - ends[1]).detach().norm().item() / 2e-6
                assert (growth > 1) == grows


def test_settings_are_read_from_the_optimizer_layer_by_layer():
    model, batch = small_network()
    optimizer = torch.optim.SGD(
        [
            {"params": [model[0].weight], "weight_decay": 0.3},
            {"params": [model[2].weight], "momentum": 0.5, "nesterov": True},
        ],
        lr=0.1,
    )
    first, second = layer_bounds(model, F.cross_entropy, batch, optimizer=optimizer)
    assert (first.weight_decay, first.edge) == (0.3, 2)
    assert (second.weight_decay, second.edge) == (0, 1.5)
    assert first.max_lr() == pytest.approx(2 / (0.3 + first.hessian.highest))
    partial = torch.optim.SGD([model[2].weight], lr=0.1)
    assert [found.name for found in layer_bounds(model, F.cross_entropy, batch, optimizer=partial)] == ["2"]
    with pytest.raises(ValueError, match="does not step 0"):
        layer_bounds(model, F.cross_entropy, batch, optimizer=partial, layers=["0"])


def test_single_precision_agrees_with_double():
    model, (inputs, targets) = small_network()
    double = layer_bounds(model, F.cross_entropy, (inputs, targets), **EXACT)
    single = layer_bounds(model.float(), F.cross_entropy, (inputs.float(), targets), tolerance=1e-4)
    for coarse, fine in zip(single, double, strict=True):
        for kind in KINDS:
            assert coarse.max_lr(kind) == pytest.approx(fine.max_lr(kind), rel=1e-3)


def test_measuring_changes_nothing_and_repeats_itself():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.SiLU(inplace=True), nn.Flatten(), nn.Linear(8, 2))
    batch = torch.randn(4, 1, 4, 4), torch.tensor([0, 1, 1, 0])
    model[0].weight.grad = torch.ones_like(model[0].weight)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    results = [layer_bounds(model, F.cross_entropy, batch) for _ in range(2)]
    with torch.no_grad():
        results.append(layer_bounds(model, F.cross_entropy, batch))
    with torch.inference_mode():
        results.append(layer_bounds(model, F.cross_entropy, batch))
    assert all(result == results[0] for result in results)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(model[0].weight.grad, torch.ones_like(model[0].weight))
    assert model[0].bias.grad is None
    assert model.training


def test_a_network_that_diverged_gives_nan_not_an_error():
    model, batch = small_network()
    model[0].weight.data.fill_(math.nan)
    for found in layer_bounds(model, F.cross_entropy, batch):
        assert all(math.isnan(found.extremes(kind).highest) for kind in KINDS)
        assert math.isnan(found.max_lr())
        assert not found.hessian.converged


def test_a_compiled_network_is_measured_as_what_it_was_compiled_from():
    model, batch = small_network()
    compiled = torch.compile(model, backend="eager")
    assert layer_bounds(compiled, F.cross_entropy, batch) == layer_bounds(model, F.cross_entropy, batch)


def test_a_bare_convolution_and_an_idle_one_are_measured():
    conv = nn.Conv2d(1, 1, 2).double()
    x = torch.randn(2, 1, 3, 3, dtype=torch.float64)
    (found,) = layer_bounds(conv, F.mse_loss, (x, torch.zeros(2, 1, 2, 2, dtype=torch.float64)), **EXACT)
    windows = F.unfold(x, 2).transpose(1, 2).reshape(-1, 4).numpy()
    assert found.hessian.highest == pytest.approx(2 * np.linalg.eigvalsh(windows.T @ windows)[-1] / 8)

    class Idle(nn.Sequential):
        def forward(self, inputs):
            return self[0](inputs)

    _, idle = layer_bounds(Idle(conv, nn.Conv2d(1, 1, 2)), F.mse_loss, (x, torch.zeros(2, 1, 2, 2)), weight_decay=0.5)
    assert [idle.lr_range(kind) for kind in KINDS] == [(0, 4)] * 6
    assert idle.input_shapes == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"weight_decay": math.nan}, "weight_decay is nan"),
        ({"momentum": 1.0}, "momentum must lie in"),
        ({"nesterov": True}, "momentum above 0"),
        ({"layers": ["1"]}, "no nn.Conv2d is named 1; there are 0, 2"),
        ({"layers": []}, "no convolution to measure"),
        ({"tolerance": 0.0}, "tolerance is 0.0"),
        ({"max_products": 0}, "max_products is 0"),
        ({"probes": 1}, "probes is 1; it must be at least 2"),
    ],
)
def test_wrong_options_are_refused(options, message):
    model, batch = small_network()
    with pytest.raises(ValueError, match=message):
        layer_bounds(model, F.cross_entropy, batch, **options)


def test_wrong_optimizers_are_refused():
    model, batch = small_network()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    for optimizer, options, message in (
        (sgd, {"weight_decay": 0.1}, "or an optimizer that has them, not both"),
        (torch.optim.Adam(model.parameters()), {}, "optimizer is Adam"),
        (torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, dampening=0.5), {}, "dampening"),
        (torch.optim.SGD(model.parameters(), lr=0.1, maximize=True), {}, "maximize"),
    ):
        with pytest.raises(ValueError, match=message):
            layer_bounds(model, F.cross_entropy, batch, optimizer=optimizer, **options)


def test_wrong_networks_and_batches_are_refused():
    model, batch = small_network()
    with pytest.raises(ValueError, match=r"pair \(inputs, targets\)"):
        layer_bounds(model, F.cross_entropy, batch[0])
    with pytest.raises(ValueError, match=r"no nn.Conv2d"):
        layer_bounds(nn.Linear(2, 2), F.cross_entropy, batch)
    with pytest.raises(ValueError, match=r"torch.bfloat16; curvature needs"):
        layer_bounds(copy.deepcopy(model).bfloat16(), F.cross_entropy, batch)
    with pytest.raises(ValueError, match="the weight of 0 is parametrized"):
        layer_bounds(nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 1, 1))), F.cross_entropy, batch)

    class Standardised(nn.Conv2d):
        def forward(self, x):
            return self._conv_forward(x, self.weight - self.weight.mean(), self.bias)

    with pytest.raises(ValueError, match="0 is a Standardised with its own forward pass"):
        layer_bounds(nn.Sequential(Standardised(1, 1, 1)), F.cross_entropy, batch)


def test_wrong_questions_to_a_result_are_refused():
    model, batch = small_network()
    (found,) = layer_bounds(model, F.cross_entropy, batch, layers=["0"])
    with pytest.raises(ValueError, match="kind is 'exact'; it must be one of infinite, pixel"):
        found.max_lr("exact")
    with pytest.raises(ValueError, match="lr is 0"):
        found.weight_decay_range(0)
