"""Options of evaluations mean the same from Python as from the command line."""

import pytest

from medrev.config.schema import HeldOutConfig
from medrev.errors import ConfigError, InputError
from medrev.evaluation import EvaluationConfig, Sources, find_cases
from medrev.metrics import BASELINES
from medrev.options import InferenceOptions, Request

from .conftest import brain, save


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"direction": "sideways"}, "direction must be forward or inverse, got 'sideways'"),
        ({"baselines": ("cubic", "x")}, "baselines must be one of nearest, .*, got 'x'"),
        ({"baselines": "x"}, "baselines must be one of nearest, .*, got 'x'"),
        ({"mask": "half"}, "mask must be nonzero or whole, got 'half'"),
        ({"colours": "ade20k"}, "colours must be cityscapes, got 'ade20k'"),
        ({"absent": "one"}, "absent must be skip or zero"),
        ({"edge": 4}, "^edge must be odd"),
        ({"value_range": -1}, "^value_range must be positive"),
        ({"ensemble": 49}, "^ensemble must be 1 to 48"),
    ],
)
def test_wrong_values_are_refused_in_words_of_python(wrong, said):
    with pytest.raises(ConfigError, match=said):
        EvaluationConfig(**wrong)


def test_other_options_likewise():
    with pytest.raises(ConfigError, match=r"part must be one of test, .*, got 'tset'"):
        Sources(inputs="a", part="tset")
    with pytest.raises(InputError, match=r"tensor_order must be one of fsl, .*ants, got 'nobody'"):
        Request(tensor_order="nobody")
    with pytest.raises(InputError, match="spacing must be one of keep, auto, train, got None"):
        InferenceOptions(spacing=None)
    assert Request(tensor_order=None).tensor_order is None
    assert EvaluationConfig(baselines="cubic").baselines == ("cubic",)
    assert EvaluationConfig().baselines == HeldOutConfig().baselines == BASELINES


def test_whole_is_no_folder_of_masks(tmp_path):
    for place in ("a", "ref"):
        save(tmp_path / place / "sub-1_T1w.nii.gz", brain(1))
    inside = brain(1) != 0
    save(tmp_path / "ref" / "sub-1_mask.nii.gz", inside.astype("uint8"))
    places = {"inputs": str(tmp_path / "a"), "reference": tmp_path / "ref"}
    assert find_cases(Sources(**places)).cases[0].files["mask"].name == "sub-1_mask.nii.gz"
    found = find_cases(Sources(**places, mask="whole"))
    loaded = found.cases[0].load(EvaluationConfig(**found.options))
    assert loaded.mask is None
    assert loaded.facts["mask"] == "whole volume"
    with pytest.raises(InputError, match=r"^edge is of masks, got mask whole"):
        EvaluationConfig(**found.options, edge=3)
