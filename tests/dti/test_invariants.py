import torch

from medrev.dti import invariant_maps, principal_direction, scalar_maps, sine_squared


def tensors():
    torch.manual_seed(0)
    t = 3e-4 * torch.randn(6, 12, 13, 14)
    t[[0, 3, 5]] += 1e-3
    t[:, :2] = 0
    t[:, 2] = torch.tensor([1e-3, 0, 0, 1e-3, 0, 1e-3])[:, None, None]
    return t


def test_maps_are_those_of_the_eigenvalues():
    t = tensors()
    found, expected = invariant_maps(t), scalar_maps(t)
    assert list(found) == list(expected)
    for name, values in expected.items():
        atol = 1e-5 if name == "fa" else 1e-8
        torch.testing.assert_close(found[name][0], values, rtol=1e-4, atol=atol)


def test_angles_are_those_of_the_eigenvectors():
    t = tensors()[:, 3:]
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
