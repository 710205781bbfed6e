"""The page's controls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import marimo as mo

from lastbit.explore.layer import BETAS, KERNELS, LEARNING_RATES, MOMENTA, WEIGHT_DECAYS
from lastbit.explore.pictures import MADE, OWN

VIEWS = {"One layer": "layer", "A study": "study"}
# A layer whose instability is restrained and amplifies the last bit.
START = (0.501, 2.24)  # learning rate and weight decay
START_PICTURE = "checkerboard"


def view_switch(given: str) -> mo.ui.radio:
    """Which of the two views is shown: at first a study, where the command was given the directory of one."""
    return mo.ui.radio(VIEWS, value="A study" if given else "One layer", inline=True)


def study_choice(names: Sequence[str]) -> mo.ui.dropdown:
    """A study of a folder, at first the first one."""
    return mo.ui.dropdown(list(names), value=names[0] if names else None, full_width=True)


def picture_choice(chosen: str) -> mo.ui.dropdown:
    """The picture by name."""
    return mo.ui.dropdown([*MADE, OWN], value=chosen, full_width=True)


def upload(on_change: Callable[[Any], None]) -> mo.ui.file:
    """One's own picture."""
    return mo.ui.file(label="File", on_change=on_change, max_size=50_000_000)


def slider(values: Sequence[float], value: float) -> mo.ui.slider:
    """A slider over given values, which says where it stands."""
    return mo.ui.slider(steps=list(values), value=value, show_value=True, full_width=True)


def kernel_slider() -> mo.ui.slider:
    """The kernel's side."""
    return slider(KERNELS, 8)


def beta_slider() -> mo.ui.slider:
    """Swish's β."""
    return slider(BETAS, 1.0)


def label_choice() -> mo.ui.radio:
    """The picture's label."""
    return mo.ui.radio({"0": 0, "1": 1}, value="1", inline=True)


def lr_slider(value: float) -> mo.ui.slider:
    """The learning rate."""
    return slider(LEARNING_RATES, value)


def weight_decay_slider(value: float) -> mo.ui.slider:
    """The weight decay."""
    return slider(WEIGHT_DECAYS, value)


def momentum_slider() -> mo.ui.slider:
    """The momentum."""
    return slider(MOMENTA, 0.0)


def trial_choice(names: Sequence[str], place: int) -> mo.ui.dropdown:
    """A trial of a study, at first the one at a place."""
    return mo.ui.dropdown(list(names), value=names[place] if names else None, full_width=True)
