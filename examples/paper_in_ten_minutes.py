import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="The paper in ten minutes")


@app.cell
def _():
    import copy

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
    return alt, copy, cs, lb, load, mo, nn, np, pl, torch


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
    # `python paper_in_ten_minutes.py --small`, or `marimo edit paper_in_ten_minutes.py -- --small`
    small = "small" in mo.cli_args()
    return (small,)


@app.cell
def _(mo):
    mo.md(r"""
    # The paper in ten minutes

    Sun, Lao, Yezzi and Sundaramoorthi, *A PDE-based Explanation of Extreme Numerical Sensitivities and Edge of
    Stability in Training Neural Networks* (arXiv 2206.02001), in five steps: change the last bit of an update; watch
    two trainings part; see when a linear step amplifies; see what restrains it; and see where training goes by itself.

    Every number below is computed by this notebook, on this machine.

    ## 1. The last bit

    An optimizer steps $\theta \leftarrow \theta - \eta\, d$. In mathematics this is the same step for every $k$:

    $$\theta \leftarrow \theta - (\eta k)\,(d / k)$$

    In floating point $d / k$ is rounded to 24 binary digits, unless $k$ is a power of two. One step of 10,000 weights:
    """)
    return


@app.cell
def _(lb, pl, torch):
    def stepped(k):
        """10,000 weights after one step of SGD that is written with `k`, shape (10000,)."""
        generator = torch.Generator().manual_seed(0)
        weights = torch.nn.Parameter(torch.randn(10_000, generator=generator))
        weights.grad = torch.randn(10_000, generator=generator)
        lb.perturb(torch.optim.SGD([weights], lr=0.01), lb.Scale(k=k)).step()
        return weights.detach()

    def compared(k):
        """How the step that is written with `k` ends beside the plain one."""
        ulps = lb.divergence.ulp_distance(stepped(k), stepped(1))
        return {"k": k, "weights that differ": int((ulps > 0).sum()), "largest difference in ulps": int(ulps.max())}

    moved = pl.DataFrame([compared(k) for k in (1, 2, 3, 4, 5, 7, 9, 11)])
    return (moved,)


@app.cell
def _(mo, moved, pl, table):
    powers = pl.col("k").is_in([1, 2, 4])
    counts = moved.filter(~powers)["weights that differ"]
    powers_moved = moved.filter(powers)["weights that differ"].sum()
    mo.vstack(
        [
            table(moved),
            mo.md(
                f"Powers of two move **{powers_moved}** weights, which every study checks as its control. The other k"
                f" move between {counts.min():,} and {counts.max():,} of 10,000. An *ulp* is a unit in the last place."
            ),
        ]
    )
    return


@app.cell
def _(mo):
    mo.md(r"""
    ## 2. Two trainings part

    Two copies of a small network, the same images in the same order; the second steps with $k = 3$. After every step
    their weights are compared by $\text{RelL1} = 2 \cdot \text{mean}\, |w - w'| / (|w| + |w'|)$, 0 for equal weights.
    """)
    return


@app.cell
def _(copy, lb, load, nn, small, torch):
    images_used, batch_size, epochs = 4000, 128, 2 if small else 5
    fashion = load("fashion-mini")
    pixels = (fashion.train_images[:images_used].float() / 255 - 0.286) / 0.353
    labels = fashion.train_labels[:images_used]

    def network(activation):
        """A small convolutional network, the same initial weights at every call."""
        torch.manual_seed(0)
        return nn.Sequential(
            *(nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8), activation()),
            *(nn.Conv2d(8, 16, 3, stride=2), nn.BatchNorm2d(16), activation()),
            *(nn.Flatten(), nn.Linear(16 * 6 * 6, 10)),
        )

    def batches():
        """Batches of all epochs, in an order of their own generator."""
        generator = torch.Generator().manual_seed(1)
        for _ in range(epochs):
            yield from torch.randperm(images_used, generator=generator).split(batch_size)

    def train_twins(activation, k=3):
        """Train two copies in lock-step and return their distances after each step."""
        model = network(activation)
        twin = copy.deepcopy(model)
        optimizers = [
            lb.perturb(torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True), lb.Scale(k=scale))
            for net, scale in ((model, 1), (twin, k))
        ]
        watched = lb.divergence.Twins(model, twin)
        for batch in batches():
            with watched.step():
                for net, optimizer in zip((model, twin), optimizers, strict=True):
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(net(pixels[batch]), labels[batch]).backward()
                    optimizer.step()
        return watched.history()

    histories = {"ReLU": train_twins(nn.ReLU), "Swish": train_twins(nn.SiLU)}
    return batches, histories, labels, network, pixels


@app.cell
def _(alt, histories, mo, pl):
    distances = pl.concat(
        pl.DataFrame({"step": history.steps, "RelL1": history.rel_l1, "activation": name})
        for name, history in histories.items()
    )
    parted = (
        alt.Chart(distances)
        .mark_line()
        .encode(
            x=alt.X("step:Q", title="update step"),
            y=alt.Y("RelL1:Q", scale=alt.Scale(type="log"), axis=alt.Axis(format=".0e")),
            color=alt.Color("activation:N"),
        )
        .properties(width=600, height=280, title="The distance of twins that differ in the last bit of their updates")
    )

    def described(name):
        history = histories[name]
        jumps = history.growth().jumps
        first, last = history.rel_l1[0], history.rel_l1[-1]
        leap = max(jumps, key=lambda jump: jump.factor, default=None)
        how = f"with its largest leap at step {leap.step}, {leap.factor:,.0f}-fold" if leap else "without a leap"
        return f"- **{name}**: from {first:.1e} to {last:.1e} in {len(history.steps)} steps, {how}."

    flips = sum(histories["ReLU"].flips)
    ratio = histories["ReLU"].rel_l1[-1] / histories["Swish"].rel_l1[-1]
    mo.vstack(
        [
            parted,
            mo.md(
                "\n".join(map(described, histories))
                + f"\n\nThe ReLU twins end {float(f'{ratio:.2g}'):,g} times as far apart as the Swish twins. A ReLU"
                f" has a kink, and {flips:,} times an activation lay on different sides of it in the two; Swish has"
                " none."
            ),
        ]
    )
    return


@app.cell
def _(mo):
    mo.md(r"""
    ## 3. When a linear step amplifies

    One kernel $K$, one image $I$, Swish, the mean over positions, one label. Around $I \star K = 0$ gradient descent on
    $K$ with learning rate $\eta$ and weight decay $\alpha$ is a linear PDE. A step multiplies its mode of eigenvalue
    $z$ by the *amplification factor* $A = 1 - \eta(\alpha + z)$, and von Neumann's condition $|A| \le 1$ for all modes
    bounds the weight decay from both sides (Theorem 5.4). Bounds and simulation know nothing of each other:
    """)
    return


@app.cell
def _(lb, load, np, pl, small):
    steps_linear = 400 if small else 1000
    lr = 0.5
    digit = load("mnist01").train_images[0, 0].numpy() / 255.0
    net = lb.pde.OneLayerCNN(digit, kernel=7, label=1, beta=1.0, pool="mean")
    bounds = net.bounds(lr=lr, window="exact")
    linear = net.transitioning()
    tried = np.concatenate(
        [bounds.lower * np.array([0.0, 0.5, 0.9, 1.1, 2.0]), bounds.upper * np.array([0.5, 0.9, 0.99, 1.01, 1.1])]
    )

    def factor(weight_decay):
        """The factor by which a simulated run's updates grow at each step in the end."""
        run = lb.pde.simulate(
            linear, lb.pde.random_kernel(7, seed=7), lr=lr, weight_decay=weight_decay, steps=steps_linear
        )
        return lb.pde.growth_factor(run)

    predicted = [
        lb.pde.predicted_factor(linear, lb.pde.Momentum(), window="exact", lr=lr, weight_decay=decay) for decay in tried
    ]
    factors = pl.DataFrame(
        {"weight decay": tried, "predicted |A|": predicted, "simulated growth": [factor(decay) for decay in tried]}
    ).with_columns(inside=pl.Series([float(decay) in bounds for decay in tried]))
    return bounds, digit, factors, lr


@app.cell
def _(bounds, factors, lr, mo, np, pl, table):
    agree = (factors["inside"] == (factors["simulated growth"] < 1)).sum()
    apart = float(np.abs(factors["predicted |A|"] - factors["simulated growth"]).max())
    mo.vstack(
        [
            table(factors, digits=6),
            mo.md(
                f"At lr = {lr} the stable weight decays are **{bounds.lower:.4g} to {bounds.upper:.4g}**. Of"
                f" {len(factors)} simulations, {agree} decay inside or grow outside as the bounds say; the measured"
                f" growth per step differs from $|A|$ by at most {apart:.1e}."
            ),
        ]
    )
    return


@app.cell
def _(mo):
    mo.md(r"""
    ## 4. What restrains it

    Outside the bounds the linear step blows up. The network's own step does not have to: a growing kernel is pushed to
    where Swish is straight, and there the bounds are others. Only where weight decay overshoots by itself, at
    $\eta > 2 / \alpha$, can no activation help. One kernel on a checkerboard, weight decay 20, the network beside its
    linear PDE, with a twin that steps with $k = 3$:
    """)
    return


@app.cell
def _(lb, np, pl, small):
    side, kernel_side, decay = (24, 16, 20.0) if small else (40, 32, 20.0)
    board = lb.pde.OneLayerCNN(lb.pde.checkerboard(side), kernel=kernel_side, label=1, beta=1.0, pool="mean")
    first_kernel = lb.pde.random_kernel(kernel_side, seed=7)

    def run_both(rate):
        """The network's run and its linear PDE's, at a learning rate."""
        return [
            lb.pde.simulate(model, first_kernel, lr=rate, weight_decay=decay, steps=1000, ks=(1, 3))
            for model in (board, board.transitioning())
        ]

    runs = {rate: run_both(rate) for rate in (0.02, 0.05, 0.07, 0.09, 0.12)}
    regimes = pl.DataFrame(
        [
            {
                "lr": rate,
                "network": own.regime,
                "linear PDE": pde.regime,
                "largest |K|, network": float(np.max(own.norm)),
                "largest |K|, linear PDE": float(np.max(pde.norm)),
                "last RelL1 of the twins": None if own.regime == "blow-up" else float(own.rel_l1[1][-1]),
            }
            for rate, (own, pde) in runs.items()
        ]
    )
    return decay, regimes, runs


@app.cell
def _(alt, decay, mo, np, pl, regimes, runs, table):
    paths = pl.concat(
        pl.DataFrame({"step": np.arange(len(own.norm)), "|K|": own.norm}).with_columns(lr=pl.lit(str(rate)))
        for rate, (own, _) in runs.items()
    ).filter(pl.col("step") < 300, pl.col("|K|") < 1e3)
    norms = (
        alt.Chart(paths)
        .mark_line(strokeWidth=1.2)
        .encode(
            x=alt.X("step:Q", title="update step"),
            y=alt.Y("|K|:Q", scale=alt.Scale(type="log"), title="length of the kernel (cut at 1000)"),
            color=alt.Color("lr:N", title="learning rate"),
        )
        .properties(width=600, height=280, title="The network's kernel, at five learning rates")
    )
    restrained = regimes.filter(pl.col("network") == "restrained")
    blown = regimes.filter(pl.col("network") == "blow-up")["lr"].to_list()
    freed = restrained.filter(pl.col("linear PDE") == "blow-up")
    mo.vstack(
        [
            norms,
            table(regimes),
            mo.md(
                f"$2 / \\alpha$ is {2 / decay:g}; the network blows up at lr in {blown}. At"
                f" {len(restrained)} learning rates it is restrained: bounded, and not at rest. At {len(freed)} of"
                f" these its linear PDE blows up. There the last bit has become a RelL1 of"
                f" {', '.join(f'{each:.2g}' for each in restrained['last RelL1 of the twins'])}"
                " (2 means opposite kernels)."
            ),
        ]
    )
    return


@app.cell
def _(mo):
    mo.md(r"""
    ## 5. Where training goes by itself

    For a whole network the place of $z$ is taken by the Hessian's largest eigenvalue $\lambda$, the *sharpness*, and
    gradient descent is stable iff $\eta \lambda < 2$. Cohen et al. (2021) found that training raises the sharpness up
    to that edge and keeps it there. A network of one hidden layer on 100 shrunken images:
    """)
    return


@app.cell
def _(lb, load, nn, pl, small, torch):
    edge_lr, edge_steps, measured_every = (1.0, 300, 20) if small else (1.0, 1200, 10)
    clothes = load("fashion-mini")
    shrunken = nn.functional.avg_pool2d(clothes.train_images[:100].float() / 255, 4).flatten(1)
    inputs = (shrunken - shrunken.mean()) / shrunken.std()
    targets = nn.functional.one_hot(clothes.train_labels[:100], 10).float()

    def small_network():
        """49 pixels to 10 numbers through 16 hidden units, at small initial weights."""
        torch.manual_seed(0)
        made = nn.Sequential(nn.Linear(49, 16), nn.Tanh(), nn.Linear(16, 10))
        with torch.no_grad():
            for weight in made.parameters():
                weight *= 0.3
        return made

    descending = small_network()
    descent = torch.optim.SGD(descending.parameters(), lr=edge_lr)
    tracker = lb.SharpnessTracker(descending, nn.functional.mse_loss, (inputs, targets))
    rows = []
    for update in range(edge_steps + 1):
        descent.zero_grad()
        loss = nn.functional.mse_loss(descending(inputs), targets)
        loss.backward()
        if update % measured_every == 0:
            rows.append({"step": update, "lr · sharpness": edge_lr * tracker.measure().sharpness, "loss": loss.item()})
        if update < edge_steps:
            descent.step()
    sharpness = pl.DataFrame(rows)
    return descending, edge_lr, inputs, sharpness, targets


@app.cell
def _(alt, mo, pl, sharpness):
    edge_rule = alt.Chart(pl.DataFrame({"edge": [2.0]})).mark_rule(strokeDash=[5, 4]).encode(y="edge:Q")
    risen = (
        alt.Chart(sharpness)
        .mark_line(point=True)
        .encode(x=alt.X("step:Q", title="update step"), y=alt.Y("lr · sharpness:Q"))
        .properties(width=600, height=280, title="Sharpness along gradient descent, and the edge at 2")
    )
    at_edge = sharpness.filter(pl.col("lr · sharpness") >= 2)
    if at_edge.is_empty():
        found = (
            f"In these steps the sharpness rises to {sharpness['lr · sharpness'].max():.2f} and stays below the edge."
        )
    else:
        since = at_edge["step"][0]
        later = sharpness.filter(pl.col("step") >= since)["lr · sharpness"]
        found = (
            f"It starts at {sharpness['lr · sharpness'][0]:.2f}, first reaches the edge at step {since}, and from then"
            f" on lies between {later.min():.2f} and {later.max():.2f}, while the loss goes from"
            f" {sharpness.filter(pl.col('step') == since)['loss'][0]:.4f} to {sharpness['loss'][-1]:.4f}."
        )
    mo.vstack([risen + edge_rule, mo.md(found)])
    return


@app.cell
def _(mo):
    mo.md(r"""
    The paper's account of all five: training goes to where it would be unstable if it were linear, what is not linear
    holds it there, and while it is there it multiplies what is in the last bit. How much of that reaches *your* results
    `lastbit run -- train.py` measures; what it means for a difference between two recipes is in
    `compare_two_recipes.py`, and the bounds of your own layers are in `layer_bounds.py`.
    """)
    return


if __name__ == "__main__":
    app.run()
