"""A ramp in world coordinates survives from file to file to 1e-4 mm."""

import functools
import itertools

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from medrev.dti import convert_order, from_voxel_frame
from medrev.prediction import infer_file as infer
from medrev.volumes import read_nifti, write_nifti

from .conftest import BASE, SLOPE, oblique, save_ramp, world

infer_file = functools.partial(infer, quick_look=False)  # drawing takes half a second


GRIDS = {
    "isotropic": (oblique(), (10, 11, 12)),
    "anisotropic": (oblique((1.5, 2.0, 3.5)), (11, 9, 13)),
    "left-handed": (oblique((2.0, 2.5, 1.2), left=True), (9, 13, 11)),
    "flipped and permuted": (
        np.array([[0, 0, 2.0, -30], [-2.2, 0, 0, 40], [0, -1.8, 0, 7], [0, 0, 0, 1]]),
        (12, 10, 9),
    ),
}
MODELS = {
    "low grid": {},
    "target grid": {"data": {"input_grid": "target", "upsampling": "trilinear"}},
    "downsampling": {"downsamplings": 1},
    "factor 3": {"data": {"degradation": {"factor": 3}}},
}


def positions(path) -> tuple[np.ndarray, np.ndarray]:
    """Where the tensors say they are, and where the file says: (3, I, J, K) mm each."""
    image = nibabel.load(path)
    values = np.moveaxis(image.get_fdata(), -1, 0)
    assert np.allclose(image.get_sform(), image.get_qform(), atol=1e-4)
    return (values[[0, 3, 5]] - BASE) / SLOPE, world(values.shape[1:], image.affine)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("kind", MODELS)
def test_super_resolution(residual_model, tmp_path, grid, kind):
    affine, shape = GRIDS[grid]
    model = residual_model(**MODELS[kind])
    path = save_ramp(tmp_path / "ramp.nii.gz", shape, affine)
    written = infer_file(path, model=model, output=tmp_path / "out")
    told, placed = positions(written[0])
    assert told.shape[1:] == tuple(n * model.factor for n in shape)
    inner = (slice(None), *[slice(model.factor, -model.factor)] * 3)
    assert np.abs(told - placed)[inner].max() < 1e-4


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("kind", MODELS)
def test_the_way_back(residual_model, tmp_path, grid, kind):
    affine, shape = GRIDS[grid]
    model = residual_model(**MODELS[kind])
    shape = tuple(n + 6 for n in shape)
    path = save_ramp(tmp_path / "ramp.nii.gz", shape, affine)
    written = infer_file(path, model=model, output=tmp_path / "out", direction="inverse")
    told, placed = positions(written[0])
    assert told.shape[1:] == tuple(-(-n // model.factor) for n in shape)
    whole = tuple(slice(n // model.factor) for n in shape)  # blocks without padding
    assert np.abs(told - placed)[(slice(None), *whole)].max() < 1e-4


@pytest.mark.parametrize(
    ("order", "frame"),
    list(itertools.product(["fsl", "dipy", "mrtrix", "ants"], ["fsl", "voxel", "ras"])),
)
@pytest.mark.parametrize("left", [False, True])
def test_order_and_frame_of_the_input_are_those_of_the_output(
    residual_model, tmp_path, order, frame, left
):
    """Constant tensors come out as they went in, whatever the convention."""
    index = {"fsl": [0, 1, 2, 3, 4, 5], "mrtrix": [0, 3, 5, 1, 2, 4]}.get(order, [0, 1, 3, 2, 4, 5])
    components = np.array([1.4, 0.3, 0.1, 0.8, -0.1, 0.5])[index] * 1e-3
    values = np.broadcast_to(components, (5, 6, 5, 6)).astype(np.float32)
    image = nibabel.Nifti1Image(values, oblique((1.5, 2.0, 2.5), left=left))
    nibabel.save(image, tmp_path / "t.nii")
    written = infer_file(
        tmp_path / "t.nii",
        model=residual_model(),
        output=tmp_path,
        tensor_order=order,
        tensor_frame=frame,
    )
    result = nibabel.load(written[0]).get_fdata()
    np.testing.assert_allclose(result, np.broadcast_to(components, result.shape), atol=1e-9)


def test_the_network_sees_the_voxel_frame(make_model, tmp_path):
    """A model with random weights gives the same anatomy from any convention of the same data."""
    rng = np.random.default_rng(0)
    affine, model = oblique((2, 2, 2)), make_model()
    inside = (BASE * (np.array([1, 0, 0, 1, 0, 1])[:, None, None, None])) + 1e-4 * (
        rng.standard_normal((6, 6, 6, 6))
    )
    fa = []
    for order, frame in (("fsl", "voxel"), ("mrtrix", "ras"), ("dipy", "fsl")):
        turned = from_voxel_frame(torch.from_numpy(inside), affine, frame)
        stored = convert_order(turned, "fsl", order).float()
        path = tmp_path / f"{order}_{frame}.nii.gz"
        write_nifti(path, MetaTensor(stored, affine=torch.from_numpy(affine)))
        written = infer_file(
            path, model=model, output=tmp_path / order, tensor_order=order, tensor_frame=frame
        )
        fa.append(read_nifti(written[2]).as_tensor())
    torch.testing.assert_close(fa[0], fa[1], atol=2e-4, rtol=0)
    torch.testing.assert_close(fa[0], fa[2], atol=2e-4, rtol=0)
