"""No number of a pipeline is without bound: each is refused before anything is allocated."""

import math
from collections.abc import Iterator
from typing import Any

import pytest

from medrev.config import json_schema, load_pipeline
from medrev.errors import ConfigError

from ..conftest import ROOT

PIPELINE = ROOT / "pipelines" / "hcp_dti_sr.yaml"


def numbers(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if node.get("type") in ("integer", "number") and not node.keys() & {"enum", "const"}:
            yield path, node
        for key, value in node.items():
            yield from numbers(value, f"{path}/{key}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from numbers(value, f"{path}/{number}")


def test_every_number_has_two_finite_bounds():
    found = list(numbers(json_schema()))
    assert len(found) > 50
    for path, node in found:
        for names in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            bound = next((node[name] for name in names if name in node), None)
            assert bound is not None, path
            assert math.isfinite(bound), path


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("seed=-1", "seed must be a whole number from 0 to 2147483647, got -1"),
        ("seed=99999999999999999999", "seed must be a whole number from 0 to 2147483647"),
        ("data.batch_size=100000", "data.batch_size must be a whole number from 1 to 4096"),
        ("data.split.seed=-1", "data.split.seed must be a whole number from 0 to 2147483647"),
        ("data.patches.size=100000", "data.patches.size must be a whole number from 4 to 1024"),
        ("model.width=100000", "model.width must be a whole number from 2 to 8192"),
        ("model.depth=100000", "model.depth must be a whole number from 0 to 1000"),
        ("training.steps=1e30", "training.steps must be a whole number"),
        ("method.optimizer.lr=.inf", "method.optimizer.lr must be a number above 0 and of at most"),
        ("method.optimizer.lr=.nan", "method.optimizer.lr must be a number above 0"),
        (
            "training.clip_norm=.inf",
            "clip_norm must be a number above 0 and of at most 1000000000 or null, got .inf",
        ),
        ("data.scale=1000000001.0", "of at most 1000000000 or 'auto', got 1000000001.0"),
        ("inference.max_memory=.inf", "inference.max_memory must be a number above 0"),
    ],
)
def test_a_number_out_of_bounds_is_one_line_with_the_bounds(override, says):
    with pytest.raises(ConfigError) as caught:
        load_pipeline(PIPELINE, (override,))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
