"""Remedies as people write them: in words and as plain data, each in one form; and what is wrong with wrong ones."""

from importlib.metadata import EntryPoint

import pytest

from lastbit.errors import LastbitError
from lastbit.remedies import Remedy
from lastbit.remedies.given import (
    hidden_by,
    label_of,
    parse_treatment,
    parse_treatments,
    remedies_as_json,
    remedies_from_json,
    together,
)
from lastbit.remedies.remedy import REMEDIES


def test_each_file_of_the_room_is_a_remedy_with_all_that_people_are_told():
    kinds = REMEDIES.here()
    assert {"smooth", "average", "capped", "clip", "lr", "warmup", "anneal"} <= {*kinds}
    for name, kind in kinds.items():
        assert kind.name == name
        assert kind.help
        assert kind.changes.startswith("the ")
        assert any(digit.isdecimal() for digit in kind.source)  # a year
        assert kind.main in ("", *kind.__dataclass_fields__)
        assert any(map(kind.acts_by, ("on_model", "on_setting", "on_optimizer", "rate", "average")))
        assert parse_treatment(kind().label) == (kind(),)
        assert isinstance(kind.usual(steps=300), kind)


@pytest.mark.parametrize(
    ("text", "kinds", "is_hidden"),
    [
        ("float64", {"scale"}, True),
        ("float64=loss/head", {"scale"}, False),
        ("smooth+compensated", {"ulp", "scale"}, True),
        ("stochastic_rounding", {"scale"}, True),
        ("stochastic_rounding", {"ulp"}, False),
        ("smooth", {"scale"}, False),
    ],
)
def test_a_remedy_that_takes_the_noise_away_says_so(text, kinds, is_hidden):
    reason = hidden_by(parse_treatment(text), kinds)
    assert bool(reason) == is_hidden
    assert not is_hidden or reason.endswith(
        "rounds away what the noise scale does to an update, so that its churn would say nothing of the training: "
        "give --noise ulp or --noise rounding"
    )


@pytest.mark.parametrize(
    ("text", "data", "label"),
    [
        ("smooth", {"smooth": {"to": "silu"}}, "smooth=silu"),
        ("smooth=gelu:width=0.5", {"smooth": {"to": "gelu", "width": 0.5}}, "smooth=gelu:width=0.5"),
        ("smooth=silu:width=1.0", {"smooth": {"to": "silu"}}, "smooth=silu"),
        ("smooth=silu:max_pool=true", {"smooth": {"to": "silu", "max_pool": True}}, "smooth=silu:max_pool=true"),
        ("average=uniform:start=5", {"average": {"decay": "uniform", "start": 5}}, "average=uniform:start=5"),
        (
            " lr=0.5 + average=0.99 ",
            {"average": {"decay": 0.99}, "lr": {"factor": 0.5}},
            "average=0.99+lr=0.5",
        ),
        ("clip=1", {"clip": {"norm": 1}}, "clip=1"),
        ("warmup=20", {"warmup": {"updates": 20}}, "warmup=20"),
        ("anneal", {"anneal": {"to": 0.0}}, "anneal=0"),
        ("compensated", {"compensated": True}, "compensated"),
        ("stochastic_rounding:seed=3", {"stochastic_rounding": {"seed": 3}}, "stochastic_rounding:seed=3"),
        ("float64=loss/head*", {"float64": {"parts": "loss/head*"}}, "float64=loss/head*"),
        ("same_order:portable=true", {"same_order": {"portable": True}}, "same_order:portable=true"),
        ("distil", {"distil": {"teacher": ""}}, "distil"),
        ("distil=a/b.pt:weight=0.9", {"distil": {"teacher": "a/b.pt", "weight": 0.9}}, "distil=a/b.pt:weight=0.9"),
        ("capped=0.8:every=20", {"capped": {"margin": 0.8, "every": 20}}, "capped=0.8:every=20"),
    ],
)
def test_words_and_plain_data_are_the_same_remedies(text, data, label):
    treatment = parse_treatment(text)
    assert remedies_as_json(treatment) == data
    assert remedies_from_json(data) == treatment
    assert label_of(treatment) == label
    assert parse_treatment(label) == treatment


def test_a_recipe_may_write_the_main_option_alone_or_true():
    full = remedies_from_json({"smooth": {"to": "silu"}, "average": {"decay": 0.9}, "anneal": {}})
    assert remedies_from_json({"anneal": True, "average": 0.9, "smooth": "silu"}) == full


def test_treatments_of_a_list_are_apart():
    assert [label_of(one) for one in parse_treatments("smooth,lr=0.5+clip")] == ["smooth=silu", "clip=1+lr=0.5"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("smoth", "there is no remedy 'smoth', did you mean smooth? There are anneal, average, "),
        ("xyz", "there is no remedy 'xyz'; there are anneal, average, "),
        ("", "there is no remedy ''; there are"),
        ("smooth=sill", "there is no smooth activation 'sill': did you mean silu?"),
        ("smooth=3", "there is no smooth activation 3: allowed are silu, gelu, smelu, softplus"),
        ("smooth=silu:widht=2", "the remedy smooth has no option 'widht', did you mean width?"),
        ("smooth:foo=1", "the remedy smooth has no option 'foo'; it has to, width, first, last, max_pool"),
        ("smooth:name=silu", "the remedy smooth has no option 'name'; it has to, "),
        ("compensated:seed=1", "the remedy compensated has no option 'seed'; it has none"),
        ("smooth=silu:width", "write further options as NAME=VALUE after a colon, not 'width'"),
        ("smooth=silu:width=-1", "width = -1: the slope changes over a positive, finite width"),
        ("smooth=silu:width=true", "width = True: the slope changes over a positive, finite width"),
        ("average=1.0", "decay = 1.0: an exponential average has a decay above 0 and below 1"),
        ("average=0", "decay = 0: an exponential average"),
        ("average=half", "decay = half: an exponential average"),
        ("average=0.9:start=-1", "average: start = -1: write a whole number from 0"),
        ("capped=1.5", "margin = 1.5: a cap is above 0 and at most 1 times the edge"),
        ("capped=much", "margin = much: a cap"),
        ("clip=0", "clip: norm = 0: write a positive, finite number"),
        ("clip=Infinity", "clip: norm = inf"),
        ("lr=-2", "lr: factor = -2: write a positive, finite number"),
        ("warmup=2.5", "warmup: updates = 2.5: write a whole number from 1"),
        ("anneal=1", "anneal: to = 1: write a share of the rate, from 0 and below 1"),
        ("lr=0.5+lr=0.1", "the remedy lr is given twice for one training"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text, message):
    with pytest.raises(LastbitError) as refused:
        parse_treatment(text)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_treatment_counts_once_however_it_is_written():
    with pytest.raises(LastbitError, match=r"smooth=silu is given twice"):
        parse_treatments("smooth,smooth=silu:width=1")


@pytest.mark.parametrize("given", [False, None, 3])
def test_a_table_of_a_recipe_holds_options_or_true(given):
    with pytest.raises(LastbitError, match=r"smooth = False: write true|no smooth activation"):
        remedies_from_json({"smooth": given})


def unlisted(name, **attributes):
    """A kind of remedy that does not enter the registry, since it is named afterwards."""
    kind = type(name, (Remedy,), {})
    kind.name = name
    for attribute, value in attributes.items():
        setattr(kind, attribute, value)
    return kind()


@pytest.mark.parametrize("turned", [False, True])
def test_two_that_exclude_each_other_are_refused_in_either_order(turned):
    pair = [unlisted("snow", excludes=frozenset({"fire"})), unlisted("fire")]
    with pytest.raises(LastbitError, match="the remedies snow and fire exclude each other: give one of them"):
        together(reversed(pair) if turned else pair)
    assert together(pair[:1]) == (pair[0],)


def test_a_remedy_of_an_installed_package_is_found_by_its_entry_point(tmp_path, monkeypatch):
    lines = ["from lastbit.remedies import Remedy", "class Rest(Remedy):", "    name = 'rest'", "    main = ''"]
    (tmp_path / "restful.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    entry = EntryPoint("rest", "restful:Rest", REMEDIES.group)
    monkeypatch.setitem(vars(REMEDIES), "_declared", {"rest": entry})
    monkeypatch.setattr(REMEDIES, "_classes", REMEDIES.here().copy())
    assert "rest" in REMEDIES.names()
    assert label_of(parse_treatment("rest")) == "rest"
    with pytest.raises(LastbitError, match="the remedy rest takes no value"):
        parse_treatment("rest=3")
    with pytest.raises(LastbitError, match="there is no remedy 'ret', did you mean"):
        parse_treatment("ret")
