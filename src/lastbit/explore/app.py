"""The explorer's page, as a marimo app. A cell runs again when a value that it names has changed."""

import marimo

app = marimo.App(width="full", app_title="lastbit explorer", css_file="page.css")


@app.cell
def imports():
    """What all cells use."""
    import marimo as mo

    from lastbit.explore import layer as choices
    from lastbit.explore import page, study_view, theory, training

    return choices, mo, page, study_view, theory, training


@app.cell
def given_place(mo):
    """The directory that the command was given; empty if it was given none."""
    given = mo.query_params().get("study") or ""
    return (given,)


@app.cell
def heading(given, mo, page):
    """The title, and which view is shown."""
    view = page.view_switch(given)
    mo.Html(f"<header><h1>lastbit explorer</h1>{view.text}</header>")
    return (view,)


@app.cell
def shown_view(mo, view):
    """Hide the cells of the other view, which keep what was chosen in them."""
    mo.Html(f'<div class="view-{view.value}"></div>')
    return


@app.cell
def states(mo, page):
    """Where a click in the plane and an upload move the controls."""
    get_point, set_point = mo.state(page.START)
    get_picture, set_picture = mo.state(page.START_PICTURE)
    return get_picture, get_point, set_picture, set_point


@app.cell
def layer_picture(choices, get_picture, page):
    """The picture."""
    names = [*choices.PICTURES, choices.OWN]
    picture = page.choice(names, names.index(get_picture()))
    page.labelled("picture", picture)
    return (picture,)


@app.cell
def layer_upload(choices, mo, page, set_picture):
    """A picture of the person's own."""
    own = mo.ui.file(label="File", on_change=lambda files: set_picture(choices.OWN), max_size=50_000_000)
    page.labelled("or your own", own)
    return (own,)


@app.cell
def layer_kernel(choices, page):
    """The kernel."""
    kernel = page.slider(choices.KERNELS, 8)
    page.labelled("kernel side W, pixels", kernel)
    return (kernel,)


@app.cell
def layer_beta(choices, page):
    """Swish's β."""
    beta = page.slider(choices.BETAS, 1.0)
    page.labelled("Swish’s β", beta)
    return (beta,)


@app.cell
def layer_label(mo, page):
    """The label."""
    label = mo.ui.radio({"0": 0, "1": 1}, value="1", inline=True)
    page.labelled("label y", label)
    return (label,)


@app.cell
def layer_lr(choices, get_point, page):
    """The learning rate."""
    lr = page.slider(choices.LEARNING_RATES, get_point()[0])
    page.labelled("learning rate", lr)
    return (lr,)


@app.cell
def layer_weight_decay(choices, get_point, page):
    """The weight decay."""
    weight_decay = page.slider(choices.WEIGHT_DECAYS, get_point()[1])
    page.labelled("weight decay", weight_decay)
    return (weight_decay,)


@app.cell
def layer_momentum(choices, page):
    """The momentum."""
    momentum = page.slider(choices.MOMENTA, 0.0)
    page.labelled("momentum μ (heavy ball)", momentum)
    return (momentum,)


@app.cell
def layer_complaint(choices, own, page, picture):
    """The picture's pixels, or what is wrong with it."""
    chosen = choices.choose_picture(picture.value, [(file.name, file.contents) for file in own.value])
    page.message(chosen.complaint) if chosen.complaint else None
    return (chosen,)


@app.cell
def layer_choice(beta, choices, chosen, kernel, label):
    """The layer."""
    layer = choices.Layer(chosen.image, kernel.value, beta.value, label.value)
    return (layer,)


@app.cell
def descent_choice(choices, lr, momentum, weight_decay):
    """The descent."""
    descent = choices.DescentSettings(lr.value, weight_decay.value, momentum.value)
    return (descent,)


@app.cell
def layer_amplification(descent, layer, page, theory):
    """|A(ω)| against 1."""
    page.chart_block(theory.amplification_figure(theory.amplification(layer, descent), layer.kernel))
    return


@app.cell
def layer_band(layer, momentum, theory):
    """The bounds, which do not change when the point moves."""
    band = theory.band(layer, momentum.value)
    return (band,)


@app.cell
def layer_plane(band, descent, layer, mo, page, set_point, theory):
    """The plane and its point."""
    plane = theory.plane_figure(band, theory.bounds_here(layer, descent), descent)

    def move(_):
        """Move the point to where the click was."""
        point = theory.clicked(clicks.selections)
        if point is not None:
            set_point(point)

    clicks = mo.ui.altair_chart(page.ReadyChart(plane), chart_selection=False, legend_selection=False, on_change=move)
    page.chart_block(plane, clicks)
    return (clicks,)


@app.cell
def layer_training(descent, layer, mo, page, training):
    """The loss of the simulated training, and the distance of its twin."""
    run = training.train(layer, descent)
    mo.Html(page.chart_block(training.loss_figure(run)).text + page.chart_block(training.twins_figure(run)).text)
    return (run,)


@app.cell
def layer_edge(descent, layer, page, run, training):
    """The crossing of the edge, if the run is restrained."""
    page.chart_block(training.edge_figure(layer, descent, run.regime))
    return


@app.cell
def study_place(given, mo, page):
    """The directory of a study, or a folder of studies."""
    place = mo.ui.text(value=given, placeholder="runs", full_width=True)
    page.labelled("directory of a study, or a folder of studies", place)
    return (place,)


@app.cell
def study_choice(page, place, study_view):
    """Which of a folder's studies."""
    listed = study_view.studies_in(place.value)
    chosen_study = page.choice(listed)
    page.labelled("study", chosen_study) if listed else None
    return chosen_study, listed


@app.cell
def study_loaded(chosen_study, listed, page, place, study_view):
    """The study, or why there is none."""
    reading = study_view.read(f"{place.value.strip()}/{chosen_study.value}" if listed else place.value)
    page.message(reading.complaint) if reading.complaint else None
    return (reading,)


@app.cell
def study_charts(page, reading):
    """All trials."""
    page.study_charts(reading)
    return


@app.cell
def study_pair(mo, page, reading):
    """Which two trials are compared."""
    first, second = page.choice(reading.trials, 0), page.choice(reading.trials, -1)
    controls = page.labelled("one trial", first).text + page.labelled("another", second).text
    mo.Html(controls) if reading.trials else None
    return first, second


@app.cell
def study_compared(first, page, reading, second):
    """The two trials compared."""
    page.trials_compared(reading, first.value, second.value)
    return


@app.cell
def symbols(page):
    """What every symbol and term of the page means."""
    page.glossary()
    return


if __name__ == "__main__":
    app.run()
