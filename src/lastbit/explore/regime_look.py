"""The colours of what a training does, and words for it."""

import altair as alt

# Okabe and Ito's, dark enough for a line on white.
COLOURS = {"stable": "#0072B2", "restrained": "#E69F00", "blow-up": "#D55E00"}
WORDS = {"stable": "Training is stable", "restrained": "The instability is restrained", "blow-up": "Training blows up"}


def regime_colour(field: str) -> alt.Color:
    """The colour of a regime in a field of the rows, without a legend: titles name it."""
    return alt.Color(f"{field}:N", scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())), legend=None)
