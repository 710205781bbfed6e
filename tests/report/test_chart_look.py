import pytest

from lastbit.report.charts.look import INK, colours, config, shapes

GROUND = {"light": "#ffffff", "dark": "#14181c"}


def _luminance(colour):
    """Relative luminance of the Web Content Accessibility Guidelines."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(one, other):
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("ground", ["light", "dark"])
def test_text_and_the_first_colour_stand_out_from_the_ground(ground):
    look = config(ground)
    assert _contrast(INK[ground], GROUND[ground]) > 12
    assert _contrast(look["mark"]["color"], GROUND[ground]) > 4.5
    assert look["axis"]["labelColor"] == INK[ground]


@pytest.mark.parametrize("ground", ["light", "dark"])
def test_the_hues_are_okabe_and_ito_s(ground):
    published = {"#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"}
    hues = config(ground)["range"]["category"]
    assert set(hues) == published
    assert len(hues) == 7


def test_categories_beyond_the_hues_are_graded():
    assert "scheme" not in colours(list("abcdefg")).to_dict()
    assert colours(list("abcdefgh")).to_dict() == {"domain": list("abcdefgh"), "scheme": "viridis"}
    drawn = shapes(list("abcdefghi")).to_dict()["range"]
    assert len(set(drawn[:7])) == 7
    assert drawn[7:] == drawn[:2]
