"""The explorer's page, as a marimo app: each cell redraws when what it names has changed, and no other."""

import marimo

app = marimo.App(width="full", app_title="lastbit explorer", css_file="page.css")


@app.cell
def imports():
    """What all cells use."""
    import marimo as mo

    from lastbit.explore import (
        amplification,
        blocks,
        controls,
        edge,
        pictures,
        plane,
        study_blocks,
        study_view,
        training,
    )
    from lastbit.explore.drawing import ReadyChart
    from lastbit.explore.layer import Descent, Layer

    return (
        Descent,
        Layer,
        ReadyChart,
        amplification,
        blocks,
        controls,
        edge,
        mo,
        pictures,
        plane,
        study_blocks,
        study_view,
        training,
    )


@app.cell
def given_place(mo):
    """The directory that the command was given; empty where it was given none."""
    given = mo.query_params().get("study") or ""
    return (given,)


@app.cell
def heading(controls, given, mo):
    """The title, and which view is shown."""
    view = controls.view_switch(given)
    mo.Html(f"<header><h1>lastbit explorer</h1>{view.text}</header>")
    return (view,)


@app.cell
def shown_view(mo, view):
    """Hide the cells of the other view, which keep what was chosen in them."""
    mo.Html(f'<div class="view-{view.value}"></div>')
    return


@app.cell
def states(controls, mo):
    """What a click in the plane and a picture of one's own move controls to."""
    get_point, set_point = mo.state(controls.START)
    get_picture, set_picture = mo.state(controls.START_PICTURE)
    return get_picture, get_point, set_picture, set_point


@app.cell
def layer_picture(blocks, controls, get_picture):
    """The picture."""
    picture = controls.picture_choice(get_picture())
    blocks.labelled("picture", picture)
    return (picture,)


@app.cell
def layer_upload(blocks, controls, pictures, set_picture):
    """A picture of one's own."""
    own = controls.upload(lambda files: set_picture(pictures.OWN))
    blocks.labelled("or your own", own)
    return (own,)


@app.cell
def layer_kernel(blocks, controls):
    """The kernel."""
    kernel = controls.kernel_slider()
    blocks.labelled("kernel side W, pixels", kernel)
    return (kernel,)


@app.cell
def layer_beta(blocks, controls):
    """Swish's β."""
    beta = controls.beta_slider()
    blocks.labelled("Swish’s β", beta)
    return (beta,)


@app.cell
def layer_label(blocks, controls):
    """The label."""
    label = controls.label_choice()
    blocks.labelled("label y", label)
    return (label,)


@app.cell
def layer_lr(blocks, controls, get_point):
    """The learning rate."""
    lr = controls.lr_slider(get_point()[0])
    blocks.labelled("learning rate", lr)
    return (lr,)


@app.cell
def layer_weight_decay(blocks, controls, get_point):
    """The weight decay."""
    weight_decay = controls.weight_decay_slider(get_point()[1])
    blocks.labelled("weight decay", weight_decay)
    return (weight_decay,)


@app.cell
def layer_momentum(blocks, controls):
    """The momentum."""
    momentum = controls.momentum_slider()
    blocks.labelled("momentum μ (heavy ball)", momentum)
    return (momentum,)


@app.cell
def layer_complaint(blocks, own, picture, pictures):
    """The picture's pixels, or what is wrong with it."""
    chosen = pictures.choose(picture.value, [(file.name, file.contents) for file in own.value])
    blocks.message(chosen.complaint) if chosen.complaint else None
    return (chosen,)


@app.cell
def layer_choice(Layer, beta, chosen, kernel, label):
    """The layer."""
    layer = Layer(chosen.image, kernel.value, beta.value, label.value)
    return (layer,)


@app.cell
def descent_choice(Descent, lr, momentum, weight_decay):
    """The descent."""
    descent = Descent(lr.value, weight_decay.value, momentum.value)
    return (descent,)


@app.cell
def layer_amplification(amplification, blocks, descent, layer):
    """|A(ω)| against 1."""
    blocks.chart_block(amplification.amplification_drawing(amplification.amplification(layer, descent), layer.kernel))
    return


@app.cell
def layer_band(layer, momentum, plane):
    """The bounds, which a move of the point leaves as they are."""
    band = plane.band(layer, momentum.value)
    return (band,)


@app.cell
def layer_plane(ReadyChart, band, blocks, descent, layer, mo, plane, set_point):
    """The plane and its point."""
    drawing = plane.plane_drawing(band, plane.bounds_here(layer, descent), descent)

    def move(_):
        """Move the point to where the click was."""
        point = plane.clicked(clicks.selections)
        if point is not None:
            set_point(point)

    clicks = mo.ui.altair_chart(ReadyChart(drawing), chart_selection=False, legend_selection=False, on_change=move)
    blocks.chart_block(drawing, clicks)
    return (clicks,)


@app.cell
def layer_training(blocks, descent, layer, mo, training):
    """The training, simulated: its loss, and how far a twin gets."""
    run = training.train(layer, descent)
    mo.Html("".join(blocks.chart_block(each).text for each in training.drawings(run)))
    return (run,)


@app.cell
def layer_edge(blocks, descent, edge, layer, run):
    """Where it is restrained: the crossing of the edge."""
    blocks.chart_block(edge.edge_drawing(layer, descent, run.regime))
    return


@app.cell
def study_place(blocks, given, mo):
    """The directory of a study, or a folder of studies."""
    place = mo.ui.text(value=given, placeholder="runs", full_width=True)
    blocks.labelled("directory of a study, or a folder of studies", place)
    return (place,)


@app.cell
def study_choice(blocks, controls, place, study_view):
    """Which of a folder's studies."""
    listed = study_view.studies_in(place.value)
    chosen_study = controls.study_choice(listed)
    blocks.labelled("study", chosen_study) if listed else None
    return chosen_study, listed


@app.cell
def study_loaded(blocks, chosen_study, listed, place, study_view):
    """The study, or why there is none."""
    reading = study_view.read(f"{place.value.strip()}/{chosen_study.value}" if listed else place.value)
    blocks.message(reading.complaint) if reading.complaint else None
    return (reading,)


@app.cell
def study_charts(reading, study_blocks):
    """All trials."""
    study_blocks.charts(reading)
    return


@app.cell
def study_pair(blocks, controls, mo, reading):
    """Which two trials are compared."""
    one, other = controls.trial_choice(reading.trials, 0), controls.trial_choice(reading.trials, -1)
    mo.Html(blocks.labelled("one trial", one).text + blocks.labelled("another", other).text) if reading.trials else None
    return one, other


@app.cell
def study_compared(one, other, reading, study_blocks):
    """The two against each other."""
    study_blocks.compared(reading, one.value, other.value)
    return


@app.cell
def symbols(blocks):
    """What every symbol and word of the page means."""
    blocks.glossary()
    return


if __name__ == "__main__":
    app.run()
