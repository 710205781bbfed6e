"""Tables 6 and 7 at the smoke scale; wrong results of theirs are in mutations_of_growth.py."""

from mutations import outcomes

from lastbit.paper.items.accuracy_tables import TABLE6, TABLE7


def test_reduced_networks_are_reported_to_stand_in(smoke):
    result = smoke("table6")
    assert all(made["claim"].startswith("In place of ") for made in TABLE6.claims(result))
    assert outcomes(TABLE6, result)[0] is True
    assert TABLE6.claims(result | {"scale": "paper"})[0]["claim"].startswith("ResNet-56, CIFAR-10: ")
    drawings = TABLE6.draw(result)
    assert len({each.name for each in drawings}) == len(drawings) == 4


def test_adam_learns_at_the_smoke_scale_and_its_last_bit_decides_nothing_yet(smoke):
    result = smoke("table7")
    assert outcomes(TABLE7, result) == [True, None, None, None]
    assert result["study"]["settings"]["optimizer"]["name"] == "adam"
