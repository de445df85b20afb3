"""FlowParams: defaults, conversions, and errors that name the parameter."""

import pytest

from lib.flow import FlowParams


def test_lists_become_tuples_and_one_alpha_serves_both_axes():
    params = FlowParams(alpha=[2, 3.5], sigma=[[1, 1, 0.1], [2, 2, 0.1]], weight=[1, 3])
    assert params.alpha_xy == (2, 3.5)
    assert params.channel_sigma(2) == ((1, 1, 0.1), (2, 2, 0.1))
    assert params.channel_weight(2) == (0.25, 0.75)
    assert FlowParams(alpha=4.0).alpha_xy == (4.0, 4.0)
    assert FlowParams().channel_weight(4) == (0.25,) * 4
    hash(params)


@pytest.mark.parametrize("quality, level", [("quality", 0), ("balanced", 4), ("fast", 6)])
def test_quality_names_the_finest_level(quality, level):
    assert FlowParams(quality=quality).finest_level == level
    assert FlowParams(quality=quality, min_level=2).finest_level == 2


@pytest.mark.parametrize(
    "name, value",
    [
        ("quality", "best"),
        ("alpha", 0),
        ("alpha", (1, -1)),
        ("alpha", (1, 2, 3)),
        ("alpha", "auto"),
        ("alpha", True),
        ("levels", 0),
        ("min_level", -2),
        ("eta", 1.0),
        ("iterations", 2.5),
        ("update_lag", 0),
        ("a_data", 1.5),
        ("a_smooth", 0),
        ("constancy_assumption", "brightness"),
        ("sigma", (1, 1)),
        ("sigma", (1, -1, 0)),
        ("channel_normalization", "none"),
        ("weight", (0, 0)),
        ("weight", (1, float("nan"))),
        ("interpolation_method", "spline"),
    ],
)
def test_wrong_values_are_named(name, value):
    with pytest.raises(ValueError, match=name) as error:
        FlowParams(**{name: value})
    assert repr(value) in str(error.value)
    assert "expected" in str(error.value)


def test_channel_counts_must_agree():
    with pytest.raises(ValueError, match="weight"):
        FlowParams(weight=(1, 2, 3)).channel_weight(2)
    with pytest.raises(ValueError, match="sigma"):
        FlowParams(sigma=((1, 1, 0), (1, 1, 0))).channel_sigma(1)
