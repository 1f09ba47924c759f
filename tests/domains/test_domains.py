"""Domains: codecs that invert each other, symmetries, names of results, options refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medrev.config.schema import Pipeline
from medrev.domains.domain import Domain
from medrev.domains.kinds import domains_of
from medrev.domains.values import Scan
from medrev.errors import InputError

KINDS = ("dti", "contrast", "slices", "images")


def sides(kind: str, **data: Any) -> tuple[Domain, Domain]:
    flat = kind in {"slices", "images"}
    samples = {"contrast": {"samples": "patches"}, "slices": {"samples": "slices"}}
    document = {
        "name": "tiny",
        "data": {
            "kind": {"slices": "contrast"}.get(kind, kind),
            "root": "nowhere",
            **samples.get(kind, {}),
            **data,
        },
        "model": {"width": 8, "depth": 0, "spatial_dims": 2 if flat else 3},
        "method": {"kind": "paired"},
        "training": {"steps": 1},
    }
    return domains_of(Pipeline.model_validate(document))


def scan_of(domain: Domain) -> Scan:
    torch.manual_seed(0)
    if domain.accepts == "image":
        return Scan(values=torch.randint(0, 256, (3, 5, 6)).float(), largest=255)
    mask = torch.zeros(1, 5, 6, 7, dtype=torch.bool)
    mask[:, 1:4, 1:5, 2:6] = True
    values = torch.rand(domain.channels, 5, 6, 7) * mask
    return Scan(values=values, mask=mask, affine=np.diag([2.0, 2, 2, 1]))


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_undoes_encoding(kind):
    x, y = sides(kind)
    for domain in (x, y):
        scan = scan_of(domain)
        values = scan.values
        scale = domain.scale_of(scan, 0.5)
        if kind in {"contrast", "slices"}:
            values = values.clamp(max=scale)  # what lies above is cut off
        back = domain.decode(domain.encode(values, scale), scale)
        torch.testing.assert_close(back, values, atol=1e-6, rtol=1e-6)
        if kind == "images":
            assert torch.equal(back, values)


def test_values_that_become_minus_one_and_one():
    for kind, scale in (("contrast", 200.0), ("images", 255.0), ("images", 65535.0)):
        x, _ = sides(kind)
        ends = torch.tensor([0.0, scale]).reshape(1, 1, 2)
        assert x.encode(ends, scale).flatten().tolist() == [-1, 1]
    x, _ = sides("dti")
    assert x.encode(torch.tensor([2e-3]), 1e-3).item() == 2


@pytest.mark.parametrize(
    ("kind", "counts"),
    [("dti", (1, 2, 4, 8, 24, 48)), ("contrast", (1, 2, 4, 8)), ("slices", (1, 2, 4))],
)
def test_symmetries_are_groups_and_turning_back_is_exact(kind, counts):
    x, _ = sides(kind)
    values = scan_of(x).values
    for count in counts:
        group = x.symmetries(count)
        assert len({each.tobytes() for each in group}) == count
        assert np.array_equal(group[0], np.eye(3))
        for each in group:
            assert torch.equal(x.turn(x.turn(values, each), each.T), values)
            turned = x.squared(x.turn(values, each)).sum()
            torch.testing.assert_close(turned, x.squared(values).sum())
    with pytest.raises(InputError, match="one of"):
        x.symmetries(3)


def test_slices_are_not_mirrored_along_their_axis():
    axes = {"sagittal": {1, 2}, "coronal": {0, 2}, "axial": {0, 1}}
    for name, allowed in axes.items():
        x, _ = sides("slices", slices={"axis": name})
        group = x.symmetries(4)
        assert {axis for each in group for axis in range(3) if each[axis, axis] < 0} == allowed


def test_mirror_images_that_training_had_none_of_are_said():
    x, _ = sides("contrast")
    assert x.untrained(x.symmetries(2)) == []
    (line,) = x.untrained(x.symmetries(4))
    assert "mirror images of front and back" in line
    plain, _ = sides("contrast", augmentation={"flips": False})
    assert "left and right" in plain.untrained(plain.symmetries(2))[0]


def test_the_norm_of_tensors_counts_off_diagonals_twice():
    x, _ = sides("dti")
    tensor = torch.tensor([1.0, 2, 0, 0, 0, 0])[:, None, None, None]
    assert x.squared(tensor).item() == 9


def test_names_of_results_of_both_directions():
    out = Path("out")
    x, y = sides("dti")
    forward = y.result_paths("sub-01", out, source=x, beside=("picture", "std", "cycle"))
    assert list(forward) == [
        "diffusivity",
        "fa",
        "md",
        "ad",
        "rd",
        "colorfa",
        "std",
        "cycle",
        "picture",
    ]
    assert forward["fa"].name == "sub-01_res-hi_model-tensor_param-fa_desc-sr_dwimap.nii.gz"
    assert forward["cycle"].name.startswith(
        "sub-01_res-lo_model-tensor_param-diffusivity_desc-srcycle"
    )
    inverse = x.result_paths("sub-01", out, source=y, format="nrrd", beside=())
    assert inverse["fa"].name == "sub-01_res-lo_model-tensor_param-fa_desc-sr_dwimap.nrrd"
    x, y = sides("contrast", source="t1", target="t1ce")
    made = y.result_paths("sub-01_run-2", out, source=x, beside=("cycle", "picture"))
    assert {name: path.name for name, path in made.items()} == {
        "volume": "sub-01_ce-gadolinium_run-2_desc-synth_T1w.nii.gz",
        "cycle": "sub-01_run-2_desc-synthcycle_T1w.nii.gz",
        "picture": "sub-01_ce-gadolinium_run-2_desc-synth_T1w.png",
    }
    x, y = sides("images")
    assert y.result_paths("photo", out, source=x) == {"image": out / "photo_fake_B.png"}
    assert x.result_paths("photo", out, source=y) == {"image": out / "photo_fake_A.png"}


@pytest.mark.parametrize(
    ("kind", "option", "message"),
    [
        (
            "contrast",
            "--tensor-order",
            "is for models of diffusion tensors; tiny takes a scalar 3D",
        ),
        ("contrast", "--spacing train", "--spacing train: contrasts are not resampled"),
        ("contrast", "--voxel-size", "--voxel-size is for models of super-resolution"),
        ("images", "--voxel-size", "--voxel-size is for models of super-resolution"),
        ("images", "--mask", "--mask is for volumes; tiny takes images"),
        ("images", "--engine openvino", "is for models of diffusion tensors; tiny takes an image"),
    ],
)
def test_options_that_mean_nothing_are_refused(kind, option, message):
    x, _ = sides(kind)
    x.check(["--ensemble"] if kind == "contrast" else [])
    with pytest.raises(InputError, match=message):
        x.check([option])


def test_scenes_are_named_like_pictures_and_images_have_none():
    _, y = sides("dti")
    assert (
        y.scene_path("sub-01", Path("out")).name == "sub-01_res-hi_model-tensor_desc-sr_dwimap.mrb"
    )
    _, y = sides("images")
    with pytest.raises(InputError, match="--slicer is for volumes; tiny takes images"):
        y.scene_path("photo", Path("out"))


def test_the_same_contrast_by_another_name_is_like():
    one, other, third = (
        sides("contrast", source="T1w", target=target)[0] for target in ("t2", "t2", "flair")
    )
    assert one.is_like(other)
    assert one.is_like(sides("contrast")[0])
    assert third.is_like(one)
    assert not one.is_like(sides("contrast")[1])
    assert not one.is_like(sides("dti")[0])


def test_the_intensity_of_a_result_is_that_of_training():
    x, y = sides("contrast")
    scan, known = scan_of(x), {"intensity": {"t2": 321.0}}
    scales = {"model_scale": 1.0, "input_scale": 55.0}
    assert y.result_scale(scan, known, **scales) == (321.0, ())
    value, (note,) = y.result_scale(scan, {}, **scales)
    assert value == 1000
    assert "does not say what intensities t2 had in training" in note
    fixed = sides("contrast", scale=77.0)[1]
    assert fixed.result_scale(scan, known, **scales) == (77.0, ())


@pytest.mark.parametrize("kind", ["contrast", "slices"])
def test_intensities_are_never_negative(kind):
    """What a network gives below its range is written as nothing, not as less than nothing."""
    _, y = sides(kind)
    made = torch.tensor([-1.3, -1.0, 0.0, 1.0, 1.2]).reshape(1, 5, 1, 1)
    found = y.decode(made, 200.0)
    torch.testing.assert_close(found.flatten(), torch.tensor([-30.0, 0, 100, 200, 220]))
    written, _ = y.as_written(found, torch.tensor([1, 1, 1, 1, 0]).reshape(1, 5, 1, 1) > 0)
    torch.testing.assert_close(written.flatten(), torch.tensor([0.0, 0, 100, 200, 0]))
    scored = y.measured_result(made, 200.0, None)
    torch.testing.assert_close(scored.flatten(), torch.tensor([0.0, 0, 0.5, 1, 1.1]))
