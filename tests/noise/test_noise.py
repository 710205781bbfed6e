import pytest

from lastbit.noise import Noise, Scale, noise_from_json


def test_scale_is_a_noise():
    assert isinstance(Scale(3), Noise)
    assert not isinstance(3, Noise)


@pytest.mark.parametrize("k", [1, 3, 2**24])
def test_json_round_trip(k):
    data = Scale(k).as_json()
    assert noise_from_json(data) == Scale(k)
    assert data == {"kind": "scale", "k": k}


@pytest.mark.parametrize("data", [{"kind": "gamma", "k": 3}, {"k": 3}, {}])
def test_unknown_kind_names_the_known_ones(data):
    with pytest.raises(
        ValueError, match=r"one of operations, order, rounding, scale, .*ulp, unperturbed; got (None|'gamma')"
    ):
        noise_from_json(data)


@pytest.mark.parametrize("data", [{"kind": "scale"}, {"kind": "scale", "k": 3, "ulp": 1}])
def test_settings_that_do_not_belong_are_named(data):
    with pytest.raises(ValueError, match="these are not the settings of the noise 'scale'"):
        noise_from_json(data)


def test_settings_out_of_range():
    with pytest.raises(ValueError, match="got 0"):
        noise_from_json({"kind": "scale", "k": 0})
