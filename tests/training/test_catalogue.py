import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastbit.training.catalogue import RecipeError, load_recipe, recipe_names, scale_names
from lastbit.training.recipe import Recipe

PAPER = {
    "resnet56-cifar10": ("resnet56", "relu", "cifar10", "sgd", "float32"),  # Table 1
    "resnet56-swish-cifar10": ("resnet56", "swish", "cifar10", "sgd", "float32"),  # Table 6
    "resnet56-swish-fashion-mnist": ("resnet56", "swish", "fashion-mnist", "sgd", "float32"),  # Table 6
    "vgg16bn-swish-cifar10": ("vgg16bn", "swish", "cifar10", "sgd", "float32"),  # Table 6
    "vgg16bn-swish-fashion-mnist": ("vgg16bn", "swish", "fashion-mnist", "sgd", "float32"),  # Table 6
    "resnet56-adam-cifar10": ("resnet56", "relu", "cifar10", "adam", "float32"),  # Table 7
    "resnet56-cifar10-float64": ("resnet56", "relu", "cifar10", "sgd", "float64"),  # Table 8
}


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_recipes_are_there_at_full_settings(name):
    recipe = load_recipe(name)
    found = (recipe.model.name, recipe.model.activation, recipe.data.name, recipe.optimizer.name, recipe.dtype)
    assert found == PAPER[name]
    assert (recipe.epochs, recipe.batch_size, recipe.schedule.milestones) == (200, 128, (40, 80, 120, 160))
    assert recipe.optimizer.weight_decay == 5e-4
    assert recipe.data.augment
    assert recipe.data.train is None
    assert recipe.cuts == ""
    if recipe.optimizer.name == "sgd":
        assert (recipe.optimizer.lr, recipe.optimizer.momentum, recipe.optimizer.nesterov) == (0.1, 0.9, True)


@pytest.mark.parametrize("name", recipe_names())
def test_every_reduced_scale_says_what_it_cuts_and_cuts_it(name):
    full = load_recipe(name)
    assert full.name == name
    assert full.description
    for scale in scale_names(name):
        reduced = load_recipe(name, scale=scale)
        assert reduced.scale == scale
        assert f"{reduced.epochs} of {full.epochs:,} epochs" in reduced.cuts
        assert (" of 60,000 training images" in reduced.cuts) == (reduced.data.name == "fashion-mnist")
        assert ("batches of" in reduced.cuts) == (reduced.batch_size != full.batch_size)
        assert (f"{reduced.model.name} in place of" in reduced.cuts) == (reduced.model.name != full.model.name)


LESS = "gradient fluctuation from 2 of 8 batches"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            "",
            "512 of 4,000 training images, 500 of 2,000 test images, 2 of 9 epochs, "
            f"learning rate divided after epoch 1 (full recipe: every 3 epochs), {LESS}",
        ),
        (
            "data.train=4000 data.test=64 epochs=20 schedule.milestones=[3,6]",
            f"64 of 2,000 test images, 20 in place of 9 epochs, {LESS}",
        ),
        (
            "schedule.milestones=[] epochs=9 data.train=2048 data.test=2000 batch_size=64",
            "2,048 of 4,000 training images, learning rate never divided (full recipe: every 3 epochs), "
            f"batches of 64 in place of 128, {LESS}",
        ),
        (
            "data.train=4000 data.test=2000 epochs=9 schedule.milestones=[3,6] measure.fluctuation_batches=8",
            "nothing, as it was changed",
        ),
    ],
)
def test_what_a_scale_cuts_is_what_is_trained(changes, expected):
    assert load_recipe("demo", scale="smoke", changes=tuple(changes.split())).cuts == expected


def test_a_recipe_built_on_another_cuts_its_own(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('based_on = "demo"\nepochs = 30\n[schedule]\nmilestones = [2, 5, 9]\n[scale.smoke]\ncuts = "x"\n')
    words = load_recipe(str(file), scale="smoke").cuts
    assert "2 of 30 epochs, learning rate divided after epoch 1 (full recipe: after epochs 2, 5 and 9)" in words


def test_fields_that_a_recipe_does_not_use_are_not_in_its_plain_data():
    """Trials are named by it: those of studies made before there were such fields must stay theirs."""
    plain = load_recipe("demo").model_dump(mode="json")
    assert set(plain["model"]) == {"name", "activation", "beta"}
    assert set(plain["data"]) == {"name", "train", "test", "pad", "augment", "mean", "std"}
    plain = load_recipe("fc-cifar10-5k").model_dump(mode="json")
    assert (plain["model"]["depth"], plain["model"]["width"], plain["data"]["per_pixel"]) == (2, 200, True)
    assert plain["batch_size"] is None
    assert Recipe.model_validate_json(load_recipe("fc-cifar10-5k").model_dump_json()) == load_recipe("fc-cifar10-5k")


@pytest.mark.parametrize("name", ["fc-cifar10-5k", "fc4-cifar10-5k", "fc-fashion-5k", "conv-mnist01", "conv3-mnist01"])
def test_the_recipes_of_section_6_are_gradient_descent(name):
    recipe = load_recipe(name)
    assert recipe.batch_size is None
    assert (recipe.optimizer.name, recipe.optimizer.momentum, recipe.optimizer.weight_decay) == ("sgd", 0, 0)
    assert not recipe.data.augment
    assert recipe.data.train is None
    assert recipe.schedule.milestones == ()


def test_the_demo_is_as_documented():
    recipe = load_recipe("demo")
    assert (recipe.model.name, recipe.model.activation, recipe.data.name) == ("small-cnn", "relu", "fashion-mini")
    assert (recipe.optimizer.lr, recipe.epochs, recipe.schedule.milestones) == (0.1, 9, (3, 6))
    assert load_recipe("demo-swish").model_copy(update={"name": "", "description": ""}) == load_recipe(
        "demo", changes=("model.activation=swish",)
    ).model_copy(update={"name": "", "description": ""})


def test_a_users_file_can_build_on_a_built_in_recipe(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('based_on = "demo"\n[optimizer]\nlr = 0.02\n')
    recipe = load_recipe(str(file))
    assert (recipe.name, recipe.optimizer.lr, recipe.optimizer.momentum) == ("mine", 0.02, 0.9)


def test_changes_take_toml_and_bare_words():
    recipe = load_recipe("demo", changes=("optimizer.lr=0.05", "model.activation = swish", "schedule.milestones=[2]"))
    assert (recipe.optimizer.lr, recipe.model.activation, recipe.schedule.milestones) == (0.05, "swish", (2,))


@pytest.mark.parametrize(
    ("source", "changes", "complaint"),
    [
        ("dmo", (), "there is no recipe 'dmo': the nearest is demo"),
        ("resnet56-cifar100", (), "the nearest "),
        ("absent.toml", (), "cannot read the recipe absent.toml: No such file"),
        ("demo", ("optimizer.lr=-1",), r"demo: optimizer.lr = -1: input should be greater than 0"),
        ("demo", ("optimizer.lr=nan",), r"optimizer.lr = nan: input should be"),
        ("demo", ("optimizer.lr='0.1'",), r"optimizer.lr = '0.1': input should be a valid number"),
        ("demo", ("epochs=true",), "epochs = True: input should be a valid integer"),
        ("demo", ("epochs=1.5",), "epochs = 1.5: input should be a valid integer"),
        ("demo", ("optimizer.lrr=1",), "there is no field optimizer.lrr, did you mean lr?"),
        ("demo", ("zzz=1",), "there is no field zzz, allowed are name, description"),
        ("demo", ("model.name=resnet9",), "model.name = 'resnet9': input should be 'small-cnn', 'resnet8'"),
        ("demo", ("optimizer.momentum=0",), "nesterov = true needs momentum > 0"),
        ("demo", ("data.per_pixel=true", "data.pad=2"), "data: per_pixel = true needs pad = 0 and augment = false"),
        ("fc-cifar10-5k", ("model.depth=0",), "fc-cifar10-5k: model: fully-connected needs a depth"),
        ("fc-cifar10-5k", ("model.depth=-1",), "model.depth = -1: input should be greater than or equal to 0"),
        ("demo", ("model.width=3",), "demo: model: small-cnn has no width"),
        ("demo", ("schedule.milestones=[3,2]",), r"milestones must increase, got \[3, 2\]"),
        ("demo", ("lr",), "--set 'lr': write FIELD=VALUE"),
        ("demo", ("optimizer=3",), "demo: optimizer = 3"),
    ],
)
def test_a_wrong_recipe_is_one_line_with_field_value_and_what_is_allowed(source, changes, complaint):
    with pytest.raises(RecipeError, match=complaint) as caught:
        load_recipe(source, changes=changes)
    assert "\n" not in str(caught.value)


def test_an_unknown_scale_names_the_known_ones():
    with pytest.raises(RecipeError, match="demo has no scale 'huge': allowed are paper, smoke"):
        load_recipe("demo", scale="huge")


@pytest.mark.parametrize(
    "content", [b"epochs = ", b"\xff\xfe", b'based_on = "nothing"', b"based_on = 3", b"scale = 3", b"scale.a = 3", b""]
)
def test_a_broken_file_is_one_line(tmp_path, content):
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(file))
    assert "\n" not in str(caught.value)


@given(st.text(max_size=30))
@settings(max_examples=300)
def test_whatever_is_set_gives_a_recipe_or_one_line(text):
    try:
        outcome = load_recipe("demo", changes=(text,))
    except RecipeError as error:
        outcome = error
    assert isinstance(outcome, Recipe) or "\n" not in str(outcome)


def test_recipes_round_trip_through_json():
    recipe = load_recipe("resnet56-swish-cifar10", scale="laptop")
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert tomllib.loads("x = 0.1")["x"] == recipe.optimizer.lr
