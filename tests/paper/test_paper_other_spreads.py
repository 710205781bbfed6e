"""Tables 6 and 7: networks, images and an optimizer other than Table 1's."""

import pytest
from mutations import grown, outcomes, set_share, set_spread

from lastbit.paper.table6 import TABLE6
from lastbit.paper.table7 import TABLE7

FULL = "ResNet-56, CIFAR-10"
OTHER = "VGG16-BN, Fashion-MNIST"


def as_published(study, std):
    set_spread(grown(study), "noise", std, [0.9 * std, 1.2 * std])
    set_share(study, 0.9, [0.6, 1.0])


@pytest.fixture
def table6(smoke):
    result = smoke("table6") | {"scale": "paper"}
    as_published(result["studies"][FULL], 0.17)
    as_published(result["studies"][OTHER], 0.10)
    return result


@pytest.fixture
def table7(smoke):
    result = smoke("table7") | {"scale": "paper"}
    as_published(result["study"], 0.26)
    return result


# The four claims of a study, and a change that each must notice.
CHANGES = [
    lambda study: study["trials"][0].update(test_accuracy=19.0),
    lambda study: study["std"]["noise"]["per_seed"]["2"].update(std=0.0),
    lambda study: set_share(study, 0.2, [0.1, 0.4]),
    lambda study: study["std"]["noise"]["pooled"].update(lower=0.3, upper=0.5),
]


def test_what_the_paper_found_holds(table6, table7):
    assert outcomes(TABLE6, table6) == [True] * 8
    assert outcomes(TABLE7, table7) == [True] * 4


@pytest.mark.parametrize("name", [FULL, OTHER])
@pytest.mark.parametrize("index", range(4))
def test_a_wrong_network_fails_and_is_named(table6, name, index):
    CHANGES[index](table6["studies"][name])
    failing = [made for made in TABLE6.claims(table6) if made["holds"] is False]
    assert [made["claim"].startswith(name) for made in failing] == [True]


@pytest.mark.parametrize("index", range(4))
def test_a_wrong_table_7_fails(table7, index):
    CHANGES[index](table7["study"])
    assert [i for i, held in enumerate(outcomes(TABLE7, table7)) if held is False] == [index]


def test_reduced_networks_are_said_to_stand_in(smoke):
    result = smoke("table6")
    assert all(made["claim"].startswith("In place of ") for made in TABLE6.claims(result))
    assert outcomes(TABLE6, result)[0] is True
    drawings = TABLE6.draw(result)
    assert len({each.name for each in drawings}) == len(drawings) == 4


def test_adam_learns_at_the_smoke_scale_and_its_last_bit_decides_nothing_yet(smoke):
    result = smoke("table7")
    assert outcomes(TABLE7, result) == [True, None, None, None]
    assert result["study"]["settings"]["optimizer"]["name"] == "adam"
