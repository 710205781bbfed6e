import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Your model's layer bounds")


@app.cell
def _():
    import math

    import altair as alt
    import marimo as mo
    import numpy as np
    import polars as pl
    import polars.selectors as cs
    import torch
    from torch import nn

    import lastbit as lb
    from lastbit.training.data import load

    # Sums are then made in one order, on however many cores.
    torch.set_num_threads(1)
    return alt, cs, lb, load, math, mo, nn, np, pl, torch


@app.cell
def _(cs, mo, pl):
    def table(frame, digits=4):
        """A table with its numbers to so many significant digits."""
        rounded = frame.with_columns(
            cs.float().map_elements(lambda number: f"{number:.{digits}g}", return_dtype=pl.String)
        )
        return mo.ui.table(
            rounded, selection=None, pagination=False, show_search=False, show_download=False, show_data_types=False
        )

    return (table,)


@app.cell
def _(mo):
    # `python layer_bounds.py --small --picture mine.png`, or behind `--` of `marimo edit layer_bounds.py`
    small = "small" in mo.cli_args()
    return (small,)


@app.cell
def _(mo):
    picture = mo.cli_args().get("picture")
    return (picture,)


@app.cell
def _(mo):
    mo.md(r"""
    # Your model's layer bounds

    A convolution under gradient descent is a discretised PDE. Along an eigenvector of curvature $c$ a step multiplies
    an error by $1 - \eta (c + \alpha)$, with learning rate $\eta$ and weight decay $\alpha$. So each layer bounds both:
    errors die out only while $0 < \eta (c + \alpha) < 2$ for all its curvatures (for plain gradient descent; momentum
    has another edge).

    Put your own network, loss, batch and optimizer into the next cell.
    """)
    return


@app.cell
def _(load, nn, small, torch):
    samples = 64 if small else 256
    fashion = load("fashion-mini")
    inputs = (fashion.train_images[:samples].float() / 255 - 0.286) / 0.353
    targets = fashion.train_labels[:samples]

    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, stride=2), nn.SiLU()),
        *(nn.Conv2d(4, 8, 3, stride=2), nn.SiLU()),
        *(nn.Conv2d(8, 8, 3), nn.SiLU()),
        *(nn.Flatten(), nn.Linear(8 * 4 * 4, 10)),
    )
    loss = nn.functional.cross_entropy
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=5e-4)
    return inputs, loss, model, optimizer, targets


@app.cell
def _(inputs, lb, loss, model, optimizer, pl, targets):
    def train(steps):
        """So many updates on the whole batch."""
        for _ in range(steps):
            optimizer.zero_grad()
            loss(model(inputs), targets).backward()
            optimizer.step()

    def measured(when):
        """The layers' bounds, and the whole network's, at the present weights."""
        layers = lb.pde.layer_bounds(model, loss, (inputs, targets), optimizer=optimizer)
        tracker = lb.SharpnessTracker(model, loss, (inputs, targets), optimizer=optimizer)
        (edge,) = lb.edge_of_stability(optimizer)
        whole = 2 * edge.lr / edge.normalised(tracker.measure().sharpness)
        rows = [
            {
                "when": when,
                "layer": layer.name,
                "weights": " x ".join(map(str, layer.weight_shape)),
                "lr below": layer.max_lr(),
                "by the Gauss-Newton part": layer.max_lr("gauss-newton"),
                "weight decay above": layer.min_weight_decay(),
            }
            for layer in layers
        ]
        return layers, pl.DataFrame(rows), whole

    def amplified(layer, lr):
        """What one step at `lr` multiplies a small error along the layer's stiffest direction by.

        From two gradients of the loss, on either side of the weights: it knows nothing of the bound but the direction.
        """
        weight = model.get_submodule(layer.name).weight
        direction = weight.new_tensor(layer.hessian.highest_vector)
        size = 1e-2
        slopes = []
        for sign in (1, -1):
            weight.data += sign * size * direction
            model.zero_grad()
            loss(model(inputs), targets).backward()
            slopes.append(weight.grad.clone())
            weight.data -= sign * size * direction
        curvature = float(((slopes[0] - slopes[1]) * direction).sum()) / (2 * size)
        return 1 - lr * (curvature + layer.weight_decay)

    return amplified, measured, train


@app.cell
def _(amplified, measured, pl, small, train):
    first_layers, at_first, whole_at_first = measured("at initialisation")
    checks = pl.DataFrame(
        [
            {"layer": layer.name, "lr": share * layer.max_lr(), "error times": amplified(layer, share * layer.max_lr())}
            for layer in first_layers
            for share in (0.9, 1.0, 1.1)
        ]
    )
    updates = 20 if small else 300
    train(updates)
    _, later, whole_later = measured(f"after {updates} updates")
    bounds = pl.concat([at_first, later])
    return at_first, bounds, checks, first_layers, later, updates, whole_at_first, whole_later


@app.cell
def _(
    alt, at_first, bounds, checks, first_layers, later, mo, optimizer, pl, table, updates, whole_at_first, whole_later
):
    used = optimizer.param_groups[0]["lr"]
    rule = alt.Chart(pl.DataFrame({"lr": [used]})).mark_rule(strokeDash=[5, 4]).encode(y="lr:Q")
    bars = (
        alt.Chart(bounds)
        .mark_point(filled=True, size=120)
        .encode(
            x=alt.X("layer:N", title="convolution", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("lr below:Q", title="largest stable learning rate", scale=alt.Scale(type="log")),
            color=alt.Color("when:N", title=None),
            shape=alt.Shape("when:N", title=None),
        )
        .properties(width=420, height=260, title="Each layer's bound; dashed: the learning rate in use")
    )
    strictest = later.sort("lr below").row(0, named=True)
    moved = later["lr below"].min() / at_first["lr below"].min()
    turned = 1 - first_layers[0].edge
    verdict = "below" if used < whole_later else "above"
    mo.vstack(
        [
            bars + rule,
            table(bounds),
            mo.md(
                f"After {updates} updates layer **{strictest['layer']}** is the strictest: lr below"
                f" **{strictest['lr below']:.3g}**, {moved:.2g} times the strictest bound at initialisation. Layers"
                f" move together, so the whole network's bound is lower than any layer's: **{whole_later:.3g}** now,"
                f" {whole_at_first:.3g} at initialisation. The learning rate in use, {used:g}, lies {verdict} it."
            ),
            mo.md(
                "The bounds held against two gradients: what one step does to an error, at 0.9, 1 and 1.1 times each"
            ),
            table(checks),
            mo.md(
                f"At the bound a step of plain gradient descent must turn an error round, times {turned:g}. Measured:"
                f" between {checks.gather_every(3, 1)['error times'].min():.4f} and"
                f" {checks.gather_every(3, 1)['error times'].max():.4f}."
            ),
        ]
    )
    return


@app.cell
def _(mo):
    mo.md(r"""
    ## One kernel on a picture of yours

    For one kernel, one image and one label the bounds are exact (Theorem 5.4). With label 1 some frequency grows at
    *any* learning rate unless weight decay is large enough; with label 0 none does. `--picture FILE` takes a square
    picture of yours; without it, a zero of MNIST.
    """)
    return


@app.cell
def _(mo):
    kernel_side = mo.ui.slider(1, 11, value=5, step=2, label="side of the kernel", show_value=True)
    label = mo.ui.radio({"label 1": 1, "label 0": 0}, value="label 1", inline=True)
    mo.hstack([kernel_side, label], justify="start", gap=2)
    return kernel_side, label


@app.cell
def _(kernel_side, label, lb, load, math, np, picture, pl):
    image = load("mnist01").train_images[0, 0].numpy() / 255.0 if picture is None else lb.pde.read_image(picture)
    net = lb.pde.OneLayerCNN(image, kernel=kernel_side.value, label=label.value, beta=1.0, pool="mean")
    at_any_rate = net.bounds(lr=1.0, window="exact")
    # Where both bounds meet there is no stable weight decay left.
    meeting = 2 / (at_any_rate.lower + 2 - at_any_rate.upper)
    top = meeting if math.isfinite(meeting) and meeting > 0 else 1.0
    region = pl.DataFrame(
        [
            {"lr": float(lr), "lower": found.lower, "upper": found.upper}
            for lr in np.geomspace(top / 30, top, 40)
            for found in [net.bounds(lr=float(lr), window="exact")]
        ]
    ).filter(pl.col("upper") >= pl.col("lower"))
    return at_any_rate, image, net, region, top


@app.cell
def _(alt, at_any_rate, image, lb, mo, net, pl, region, table, top):
    area = (
        alt.Chart(region)
        .mark_area(opacity=0.35, line=True)
        .encode(
            x=alt.X("lr:Q", scale=alt.Scale(type="log", nice=False), title="learning rate"),
            y=alt.Y("lower:Q", title="weight decay"),
            y2="upper:Q",
        )
        .properties(width=420, height=260, title="Stable weight decays at each learning rate")
    )
    lr = top / 2
    found = net.bounds(lr=lr, window="exact")
    linear = net.transitioning()

    def regime(weight_decay):
        """What a simulated run of the linear PDE does at a weight decay."""
        kernel = lb.pde.random_kernel(net.kernel, seed=7)
        run = lb.pde.simulate(linear, kernel, lr=lr, weight_decay=weight_decay, steps=2000)
        return {"weight decay": weight_decay, "within the bounds": weight_decay in found, "simulated": run.regime}

    simulated = pl.DataFrame(
        [regime(decay) for decay in (0.5 * found.lower, 0.5 * (found.lower + found.upper), 1.05 * found.upper)]
    )
    agreeing = simulated.filter(pl.col("within the bounds") == (pl.col("simulated") == "stable")).height
    needed = (
        f"needs a weight decay above {at_any_rate.lower:.4g} at every learning rate"
        if at_any_rate.lower > 0
        else "needs no weight decay"
    )
    mo.vstack(
        [
            mo.hstack([mo.image(image, width=160, height=160, vmin=0, vmax=1), area], justify="start"),
            table(simulated),
            mo.md(
                f"A {net.kernel} x {net.kernel} kernel on this picture {needed}. At lr = {lr:.3g} the stable weight"
                f" decays are **{found.lower:.4g} to {found.upper:.4g}**, and {agreeing} of {len(simulated)}"
                " simulations agree with that."
            ),
        ]
    )
    return found, lr, simulated


if __name__ == "__main__":
    app.run()
