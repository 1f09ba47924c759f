"""Scalar and direction maps: known tensors, bounds, and dipy's chunks."""

import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor

from medrev.dti import (
    color_fa,
    from_voxel_frame,
    invariant_maps,
    principal_direction,
    rotate,
    scalar_maps,
    scalars,
    sine_squared,
    tensor_maps,
)
from medrev.errors import InputError
from medrev.volumes import direction_cosines


def test_a_known_tensor():
    t = torch.tensor([1.7e-3, 0, 0, 0.3e-3, 0, 0.2e-3]).reshape(6, 1, 1, 1)
    maps = {name: float(values) for name, values in scalar_maps(t).items()}
    mean = (1.7 + 0.3 + 0.2) / 3
    deviation = sum((value - mean) ** 2 for value in (1.7, 0.3, 0.2))
    fa = np.sqrt(1.5 * deviation / (1.7**2 + 0.3**2 + 0.2**2))
    expected = {"fa": fa, "md": mean * 1e-3, "ad": 1.7e-3, "rd": 0.25e-3}
    assert maps == pytest.approx(expected, rel=1e-5)
    assert principal_direction(t).abs().ravel().tolist() == [1, 0, 0]
    assert color_fa(t).ravel().tolist() == pytest.approx([fa, 0, 0], rel=1e-5)


def test_maps_hold_together_and_do_not_turn(tensors):
    maps = scalar_maps(tensors)
    torch.testing.assert_close(3 * maps["md"], maps["ad"] + 2 * maps["rd"], rtol=1e-5, atol=0)
    assert ((maps["fa"] >= 0) & (maps["fa"] <= 1)).all()
    R, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    turned = rotate(tensors, R)
    for name, values in scalar_maps(turned).items():
        torch.testing.assert_close(values, maps[name], rtol=1e-5, atol=1e-9)
    before, after = principal_direction(tensors), principal_direction(turned)
    cosine = torch.einsum("aijk,ab,bijk->ijk", after, torch.as_tensor(R).float(), before).abs()
    assert cosine.min() > 1 - 1e-5


def test_background_is_zero_and_chunks_do_not_show(tensors, monkeypatch):
    tensors[:, 0] = 0
    t = MetaTensor(tensors, affine=torch.eye(4) * 2)
    whole = scalar_maps(t), principal_direction(t), color_fa(t)
    monkeypatch.setattr("medrev.dti.maps.CHUNK", 7)
    parts = scalar_maps(t), principal_direction(t), color_fa(t)
    for name in ("fa", "md", "ad", "rd"):
        assert torch.equal(whole[0][name].as_tensor(), parts[0][name].as_tensor())
        assert (whole[0][name][0] == 0).all()
        assert (whole[0][name][1:] > 0).all()
        assert whole[0][name].shape == (3, 4, 5)
        assert torch.equal(whole[0][name].affine, t.affine)
    for a, b in zip(whole[1:], parts[1:], strict=True):
        assert torch.equal(a.as_tensor(), b.as_tensor())
        assert (a[:, 0] == 0).all()
    norms = torch.linalg.vector_norm(whole[1].as_tensor()[:, 1:], dim=0)
    torch.testing.assert_close(norms, torch.ones_like(norms))


def test_negative_eigenvalues_count_as_zero():
    t = torch.tensor([1e-3, 0, 0, 1e-3, 0, -1e-3]).reshape(6, 1, 1, 1)
    assert float(scalar_maps(t)["md"]) == pytest.approx(2e-3 / 3)
    assert 0 <= float(scalar_maps(t)["fa"]) <= 1


def test_six_components_are_needed():
    for function in (scalar_maps, principal_direction, color_fa):
        with pytest.raises(InputError, match="6, I, J, K"):
            function(torch.zeros(3, 2, 2, 2))


def test_all_maps_at_once_are_those_one_by_one():
    rng = np.random.default_rng(5)
    t = torch.from_numpy(rng.normal(0, 1e-3, (6, 5, 6, 7)).astype(np.float32))
    t[:, 0] = 0
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] * [1, 2, 3]
    maps = tensor_maps(t, direction_cosines(affine))
    for name, values in scalar_maps(t).items():
        np.testing.assert_array_equal(maps.pop(name)[0].numpy(), values.numpy())
    expected = color_fa(from_voxel_frame(t, affine, "ras"))
    np.testing.assert_allclose(maps.pop("colorfa").numpy(), expected.numpy(), atol=2e-4)
    assert maps == {}


def test_negative_eigenvalues_that_are_given_count_as_zero():
    """Fitted tensors have them in noise, and metrics ask for their maps, too."""
    found = scalars(np.array([[1.5e-3, -2e-4], [6e-4, -3e-4], [-3e-4, -4e-4]]))
    assert found["md"] == pytest.approx([7e-4, 0])
    assert found["rd"] == pytest.approx([3e-4, 0])
    assert found["fa"] == pytest.approx([np.sqrt(0.5 * (0.81 + 0.36 + 2.25) / 2.61), 0])


def test_they_are_those_of_dipy():
    from dipy.reconst import dti

    rng = np.random.default_rng(0)
    eigenvalues = np.sort(rng.gamma(1.0, 1e-3, (3, 500)), axis=0)[::-1].copy()
    eigenvalues[:, 0] = 0
    found, values = scalars(eigenvalues), eigenvalues.T
    np.testing.assert_array_equal(found["fa"], dti.fractional_anisotropy(values))
    np.testing.assert_array_equal(found["md"], dti.mean_diffusivity(values))
    np.testing.assert_array_equal(found["ad"], dti.axial_diffusivity(values))
    np.testing.assert_array_equal(found["rd"], dti.radial_diffusivity(values))
    t = torch.from_numpy(rng.normal(0, 1e-3, (6, 4, 4, 4))).float()
    matrix = t.double().numpy()[[0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(3, 3, -1).transpose(2, 0, 1)
    w, v = np.linalg.eigh(matrix)
    fa = dti.fractional_anisotropy(w[:, ::-1].clip(min=0))
    colours = dti.color_fa(fa, v[..., ::-1]).T.reshape(3, 4, 4, 4)
    np.testing.assert_allclose(color_fa(t).numpy(), colours, atol=1e-6)


def test_negative_eigenvalues_count_as_none():
    tensor = torch.tensor([3e-3, 0.0, 0.0, 1e-3, 0.0, -1e-3]).reshape(6, 1, 1, 1)
    maps = {name: float(values) for name, values in scalar_maps(tensor).items()}
    assert maps["md"] == pytest.approx(4e-3 / 3)
    assert maps["rd"] == pytest.approx(0.5e-3)
    assert maps["fa"] == pytest.approx(np.sqrt(0.5 * (4 + 1 + 9) / 10))


def random_tensors():
    torch.manual_seed(0)
    t = 3e-4 * torch.randn(6, 12, 13, 14)
    t[[0, 3, 5]] += 1e-3
    t[:, :2] = 0
    t[:, 2] = torch.tensor([1e-3, 0, 0, 1e-3, 0, 1e-3])[:, None, None]
    return t


def test_maps_are_those_of_the_eigenvalues():
    t = random_tensors()
    found, expected = invariant_maps(t), scalar_maps(t)
    assert list(found) == list(expected)
    for name, values in expected.items():
        atol = 1e-5 if name == "fa" else 1e-8
        torch.testing.assert_close(found[name][0], values, rtol=1e-4, atol=atol)


def test_angles_are_those_of_the_eigenvectors():
    t = random_tensors()[:, 3:]
    turned = t + 1e-4 * torch.randn_like(t)
    direction = principal_direction(t)
    expected = 1 - (principal_direction(turned) * direction).sum(0).square()
    found = sine_squared(turned, direction)[0]
    assert (found - expected).abs().max() < 5e-3  # float32, where two eigenvalues nearly agree
    assert (found - expected).abs().mean() < 1e-5
    assert sine_squared(t, direction).median() < 1e-5


def test_where_there_is_no_direction_the_sine_is_a_number():
    alike = torch.tensor([1e-3, 0, 0, 1e-3, 0, 1e-3])[:, None]
    both = torch.cat([alike, 0 * alike], 1)
    for tensors in (both, both.double()):
        sine = sine_squared(tensors, torch.tensor([[1.0], [0], [0]]))
        assert ((sine >= 0) & (sine <= 1)).all()
