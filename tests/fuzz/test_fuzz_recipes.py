"""Recipes near valid ones, as text, as structures, and as changes on the command line."""

import json
import random
from importlib import resources

import pytest
from fuzzing import HOSTILE, SCALARS, check_line, damaged, deadline, inputs, mutated
from hypothesis import given
from hypothesis import strategies as st

from lastbit.training.catalogue import load_recipe, recipe_names
from lastbit.training.recipe import Recipe

TEXTS = [(resources.files("lastbit.training") / "recipes" / f"{name}.toml").read_bytes() for name in recipe_names()]
STRUCTURES = [
    load_recipe(name).model_dump(mode="json") | {"scale": {"smoke": {"epochs": 1}}, "based_on": "demo"}
    for name in recipe_names()
]
FIELDS = ["optimizer.lr", "epochs", "model.name", "data.mean", "schedule.milestones", "model", "scale", "nonsense.x"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("recipes") / "recipe.toml"


def load(source, **options):
    """Load a recipe, or be told in one line what is wrong with it."""
    try:
        with deadline():
            assert isinstance(load_recipe(str(source), **options), Recipe)
    except ValueError as error:
        check_line(error)


def toml(value):
    """A value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return "{}" if value is None else json.dumps(value)


@given(seed=st.integers(0, 2**32))
@inputs(1500)
def test_recipes_of_damaged_text(seed, path):
    chance = random.Random(seed)
    path.write_bytes(damaged(chance.choice(TEXTS), chance))
    load(path, scale=chance.choice(("paper", "smoke", "")))


@given(seed=st.integers(0, 2**32))
@inputs(1300)
def test_recipes_of_other_structure(seed, path):
    chance = random.Random(seed)
    changed = mutated(chance.choice(STRUCTURES), chance)
    path.write_text("\n".join(f"{json.dumps(str(key))} = {toml(value)}" for key, value in changed.items()))
    load(path, scale=chance.choice(("paper", "smoke")))


@given(text=st.text(st.characters(codec="utf-8"), max_size=40))
@inputs(500)
def test_recipes_of_any_text(text, path):
    path.write_text(text, encoding="utf-8")
    load(path)


@given(field=st.sampled_from(FIELDS) | st.text(max_size=8), value=st.sampled_from(HOSTILE), as_toml=st.booleans())
@inputs(2000)
def test_changes_to_a_recipe(field, value, as_toml):
    load("demo", changes=(f"{field}={toml(value) if as_toml else value}",), scale="smoke")


@given(name=st.sampled_from([str(scalar) for scalar in SCALARS]) | st.text(max_size=12), scale=st.text(max_size=6))
@inputs(1300)
def test_names_of_recipes_and_scales(name, scale):
    load(name, scale=scale)
