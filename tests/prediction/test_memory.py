"""Estimates of memory against what PyTorch really allocates."""

import pytest
import torch

from medrev.config.schema import Pipeline
from medrev.prediction import InferenceOptions, Model, direction_of, translate
from medrev.prediction.engines import bfloat16_speedup
from medrev.prediction.plan import peak_bytes

from .networks import random_network
from .tensors import predict

GIB = 2**30
#: What a volume of this size takes at least is far below what the network would take whole.
SHAPE = (40, 26, 28)
MODELS = [
    {"norm": "none", "width": 16, "depth": 2, "global_residual": "cubic", "padding": "zeros"},
    {"norm": "batch", "width": 16, "depth": 3, "data": {"input_grid": "target"}},
    {"norm": "batch", "width": 16, "coupling": "affine"},
    {"norm": "batch", "width": 8, "downsamplings": 1},
    {"norm": "instance", "width": 8, "data": {"patches": {"size": 16}}},
]


def peak(model, volume, inverse=False, **options) -> int:
    """Bytes that a translation holds at a time, the volume included."""
    options = InferenceOptions(**options)

    def function(x: torch.Tensor) -> torch.Tensor:
        return predict(model, x, inverse=inverse, options=options).values

    return peak_bytes(function, volume) + volume.nbytes


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_the_estimate_is_what_is_allocated(make_model, model, inverse, precision):
    if precision == "bfloat16" and not bfloat16_speedup(torch.device("cpu")):
        pytest.skip("this CPU does not convolve in bfloat16")
    built = make_model(**model)
    shape = tuple(n * 2 for n in SHAPE[::-1]) if inverse else SHAPE
    volume = torch.zeros(6, *shape)
    options = {"precision": precision, "engine": "torch"}
    predict(built, volume[:, :8, :8, :8], inverse=inverse, options=InferenceOptions(**options))
    measured = peak(built, volume, inverse, **options)
    estimated = predict(built, volume, inverse=inverse, options=InferenceOptions(**options)).plan
    assert 0.6 * estimated.memory <= measured <= estimated.memory


@pytest.mark.parametrize("share", [0.9, 0.7])
@pytest.mark.parametrize("model", MODELS[:3], ids=str)
def test_the_limit_is_obeyed(make_model, model, share):
    built = make_model(**model)
    volume = torch.zeros(6, *SHAPE)
    limit = share * direction_of(built).plan(SHAPE).memory / GIB
    plan = direction_of(built).plan(SHAPE, max_memory=limit)
    assert plan.memory <= limit * GIB
    measured = peak(built, volume, precision="float32", engine="torch", max_memory=limit)
    assert measured <= limit * GIB


@pytest.mark.parametrize("options", [{"ensemble": 4}, {"cycle_residual": True}], ids=str)
def test_accumulators_count_too(make_model, options):
    built = make_model(**MODELS[0])
    volume = torch.zeros(6, *SHAPE)
    options = {"precision": "float32", "engine": "torch", **options}
    chosen = predict(built, volume, options=InferenceOptions(**options)).plan
    assert chosen.memory > direction_of(built).plan(SHAPE).memory
    assert peak(built, volume, **options) <= chosen.memory


def test_a_brain_at_full_resolution_takes_less_than_a_gib(make_model):
    """The paper's network (K = 32, R = 4) on a scan of the Human Connectome Project."""
    model = make_model({"input_grid": "target"}, width=32, depth=4, norm="batch")
    plan = direction_of(model).plan((73, 87, 73))
    volumes = 4 * 6 * 146 * 174 * 146 * 2
    assert plan.kind == "whole"
    assert plan.memory - volumes <= GIB


def test_memory_is_counted_at_its_peak():
    def function(x: torch.Tensor) -> torch.Tensor:
        y = x * 2  # 1 unit
        z = torch.cat([y, y, y])  # 3 units; peak 4
        del y
        return z[: len(x)] + 1  # 3 + 1

    x = torch.zeros(1000, 10)
    assert peak_bytes(function, x) == 4 * x.nbytes


@pytest.mark.parametrize("kind", ["revgan", "self_inverse_unet"])
def test_slices_are_given_together_as_far_as_the_limit_allows(kind):
    pipeline = Pipeline.model_validate(
        {
            "name": "flat",
            "data": {"kind": "contrast", "root": "heads", "slices": {"size": 96}},
            "model": {"kind": kind, "width": 16, "spatial_dims": 2},
            "method": {"kind": "paired"},
            "training": {"steps": 1},
        }
    )
    model = Model(random_network(pipeline, 0.1).eval(), pipeline, 1.0)
    volume = torch.rand(1, 96, 96, 24) * 2 - 1

    def measured(limit: float) -> int:
        taken = peak_bytes(lambda x: translate(model, x, max_memory=limit), volume)
        return taken + volume.nbytes

    whole = direction_of(model).plan((96, 96, 24), max_memory=4)
    least = direction_of(model).plan((96, 96, 24), max_memory=1e-6)
    assert whole.slab == 24
    assert whole.memory <= 4 * GIB
    assert least.slab == 1
    for plan in (whole, least):
        assert 0.6 * plan.memory <= measured(plan.memory / GIB) <= plan.memory
    few = direction_of(model).plan((96, 96, 24), max_memory=(whole.memory - 1) / GIB)
    assert 1 < few.slab < 24
    slices = translate(model, volume, max_memory=1e-6)
    torch.testing.assert_close(slices, translate(model, volume), rtol=1e-4, atol=1e-5)
