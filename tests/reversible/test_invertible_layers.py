"""The fixed invertible layers are undone, orthogonal and seeded locally."""

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from medrev.errors import ConfigError
from medrev.reversible import Checkerboard, Haar, OrthogonalMixing, Permutation, SpaceToDepth, Split

# By name: what builds the layer for d axes; all take 4 channels and even sizes.
LAYERS: dict[str, Callable[[int], nn.Module]] = {
    "space_to_depth": lambda d: SpaceToDepth(2, d),
    "checkerboard": Checkerboard,
    "checkerboard_streams": lambda d: Checkerboard(d, streams=2),
    "haar": Haar,
    "haar_low_pass_first": lambda d: Haar(d, low_pass_first=True),
    "mixing": lambda d: OrthogonalMixing(4, seed=3),
    "permutation": lambda d: Permutation.random(4, seed=3),
    "reversal": lambda d: Permutation.reversal(4),
}
EXACT = [name for name in LAYERS if not name.startswith(("haar", "mixing"))]
every_layer = pytest.mark.parametrize("name", LAYERS)
every_dimension = pytest.mark.parametrize("dims", [1, 2, 3])


def image(
    dims: int, *, batch: int = 2, cube: int | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Random numbers of the same edge along all axes, or of different ones."""
    sizes = [cube or 4 + 2 * i for i in range(dims)]
    return torch.randn(batch, 4, *sizes, generator=torch.Generator().manual_seed(dims), dtype=dtype)


def jacobian(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """d y / d x of one sample, by plain reverse-mode autograd."""
    j: Tensor = torch.autograd.functional.jacobian(lambda t: function(t[None])[0], x[0])
    return j.reshape(x[0].numel(), -1)


@settings(max_examples=60)
@given(
    name=st.sampled_from(EXACT),
    halves=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    batch=st.integers(0, 3),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]),
    strides=st.sampled_from(["contiguous", "channels_last", "transposed", "sliced"]),
)
def test_what_only_moves_numbers_is_undone_bit_for_bit(
    name: str, halves: list[int], batch: int, dtype: torch.dtype, strides: str
) -> None:
    layer, x = (
        LAYERS[name](len(halves)),
        laid_out([2 * n for n in halves], batch, strides).to(dtype),
    )
    before = x.clone()
    y = layer(x)
    assert y.dtype == dtype
    assert torch.equal(layer.inverse(y), before)
    assert torch.equal(y.flatten().sort().values, x.flatten().sort().values)
    assert torch.equal(x, before)


@settings(max_examples=60)
@given(
    name=st.sampled_from(["haar", "haar_low_pass_first", "mixing"]),
    halves=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    batch=st.integers(1, 3),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    strides=st.sampled_from(["contiguous", "channels_last", "transposed", "sliced"]),
)
def test_what_adds_numbers_is_undone_to_rounding_and_keeps_energy(
    name: str, halves: list[int], batch: int, dtype: torch.dtype, strides: str
) -> None:
    layer, x = (
        LAYERS[name](len(halves)),
        laid_out([2 * n for n in halves], batch, strides).to(dtype),
    )
    before, tol = x.clone(), 1e-6 if dtype == torch.float32 else 2e-15
    y = layer(x)
    torch.testing.assert_close(layer.inverse(y), before, rtol=0, atol=tol * before.abs().max())
    torch.testing.assert_close(y.norm(), x.norm(), rtol=tol, atol=0)
    assert torch.equal(x, before)


def laid_out(sizes: list[int], batch: int, strides: str) -> Tensor:
    """A tensor (batch, 4, *sizes) of some memory format."""
    x = torch.randn(batch, 4, *sizes)
    if strides == "channels_last":
        return x.movedim(1, -1).contiguous().movedim(-1, 1)
    if strides == "transposed":
        return x.transpose(-1, -2).contiguous().transpose(-1, -2)
    if strides == "sliced":
        return torch.randn(batch, 9, *sizes)[:, 1:9:2]
    return x


@every_layer
@every_dimension
def test_log_det_is_that_of_autograds_jacobian(name: str, dims: int) -> None:
    layer, x = LAYERS[name](dims), image(dims, cube=2, dtype=torch.float64)
    j = jacobian(layer, x)
    torch.testing.assert_close(j @ j.T, torch.eye(len(j), dtype=j.dtype), rtol=0, atol=1e-14)
    torch.testing.assert_close(j.inverse(), jacobian(layer.inverse, layer(x)))
    assert j.slogdet().logabsdet.abs() < 1e-12
    assert layer.log_det(x).tolist() == [0.0, 0.0]
    assert layer.log_det(x).dtype == torch.float64
    assert layer.log_det(x.bfloat16()).dtype == torch.float32


@every_layer
@every_dimension
def test_gradients_of_any_order_are_right(name: str, dims: int) -> None:
    layer, x = LAYERS[name](dims), image(dims, cube=2, dtype=torch.float64).requires_grad_()

    def there_and_back(t: Tensor) -> Tensor:
        return layer.inverse(layer(t).sin() ** 2)

    assert torch.autograd.gradcheck(there_and_back, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(there_and_back, x, fast_mode=True)
    assert torch.autograd.gradcheck(
        there_and_back, x, fast_mode=True, check_forward_ad=True, check_backward_ad=False
    )


@every_layer
def test_the_transforms_of_torch_func_apply(name: str) -> None:
    layer, x = LAYERS[name](2), image(2, batch=3, dtype=torch.float64)
    y = layer(x)
    one_by_one = torch.vmap(lambda t: layer(t[None])[0])
    torch.testing.assert_close(one_by_one(x), y)
    inner = torch.vmap(layer, in_dims=2, out_dims=-1)(torch.stack([x, -x], 2))
    torch.testing.assert_close(inner, torch.stack([y, -y], -1))
    j = torch.func.jacrev(lambda t: layer.inverse(t[None])[0])(y[0]).reshape(y[0].numel(), -1)
    torch.testing.assert_close(j, jacobian(layer.inverse, y[:1]))


@every_layer
def test_backward_keeps_no_activation(name: str) -> None:
    layer, kept = LAYERS[name](3), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape), lambda t: t):
        y = layer(image(3).requires_grad_())
        layer.inverse(y)
    assert kept == []


class ThereAndBack(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.layer(x)
        return y, self.layer.inverse(2 * y)


@pytest.mark.parametrize("dims", [2, 3])
@every_layer
def test_layers_are_exported_with_a_free_batch_size(name: str, dims: int) -> None:
    layer = ThereAndBack(LAYERS[name](dims))
    x, batch = image(dims), torch.export.Dim("batch", min=1, max=64)
    with torch.set_grad_enabled(dims == 3):  # exports are made with and without gradients
        exported = torch.export.export(layer, (x,), dynamic_shapes={"x": {0: batch}}).module()
    x = image(dims, batch=5)
    torch.testing.assert_close(exported(x), layer(x))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
@every_layer
def test_layers_are_traced_under_gradients(name: str) -> None:
    layer = ThereAndBack(LAYERS[name](3)).double()
    x = image(3, dtype=torch.float64).requires_grad_()
    traced = torch.jit.trace(layer, x)
    torch.testing.assert_close(traced(x), layer(x))
    (actual,) = torch.autograd.grad((traced(x)[1] ** 3).sum(), x)
    (expected,) = torch.autograd.grad((layer(x)[1] ** 3).sum(), x)
    torch.testing.assert_close(actual, expected)


@every_layer
def test_layers_are_copied_and_cast(name: str) -> None:
    layer, x = LAYERS[name](2), image(2)
    twin = copy.deepcopy(layer)
    assert torch.equal(twin(x), layer(x))
    x64 = x.double()
    y64 = layer.double()(x64)
    torch.testing.assert_close(layer.inverse(y64), x64, rtol=0, atol=1e-14)
    torch.testing.assert_close(y64, twin(x64), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SpaceToDepth(0, 2), "must be at least 1, got 0"),
        (lambda: SpaceToDepth((1, 0), 2), r"at least 1 along each of 2 axes, got \(1, 0\)"),
        (lambda: SpaceToDepth((1, 2), 3), r"at least 1 along each of 3 axes, got \(1, 2\)"),
        (lambda: Checkerboard(4), "spatial_dims must be 1, 2 or 3, got 4"),
        (lambda: Checkerboard(2, streams=3), "streams must be 1 or 2, got 3"),
        (lambda: Haar(0), "spatial_dims must be 1, 2 or 3, got 0"),
        (lambda: OrthogonalMixing(0, seed=0), "channels must be at least 1, got 0"),
        (lambda: Permutation([0, 2]), r"every number from 0 to 1 once, got \[0, 2\]"),
        (lambda: Permutation([]), "order must hold every number"),
        (lambda: Split([3]), r"two or more positive numbers, got \[3\]"),
        (lambda: Split([3, 0]), r"two or more positive numbers, got \[3, 0\]"),
    ],
)
def test_what_cannot_be_built_is_said(build: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()


@pytest.mark.parametrize(
    "name", [name for name in LAYERS if name not in ("mixing", "permutation", "reversal")]
)
@every_dimension
def test_sizes_that_do_not_fit_are_named(name: str, dims: int) -> None:
    layer = LAYERS[name](dims)
    kind = type(layer).__name__
    odd = (1, 4, *[4] * (dims - 1), 5)
    with pytest.raises(ValueError, match=f"{kind} takes .* multiples of 2, got shape .*5"):
        layer(torch.zeros(odd))
    with pytest.raises(ValueError, match=f"with {dims} spatial axes"):
        layer(torch.zeros(1, 4, *[4] * (dims + 1)))
    with pytest.raises(ValueError, match=f"with {dims} spatial axes"):
        layer.inverse(torch.zeros(1, 4 * 2**dims))
    need = 2**dims * getattr(layer, "streams", 1)
    with pytest.raises(ValueError, match=f"a multiple of {need} channels, got shape"):
        layer.inverse(torch.zeros(1, need + 1, *[4] * dims))


def test_channels_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"Permutation takes .* with 4 channels, got .*\(1, 3\)"):
        Permutation.reversal(4)(torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"OrthogonalMixing takes .* with 4 channels"):
        OrthogonalMixing(4, seed=0).inverse(torch.zeros(1, 8, 2))
    with pytest.raises(ValueError, match=r"Checkerboard takes .* a multiple of 2 channels"):
        Checkerboard(1, streams=2)(torch.zeros(1, 3, 4))
    with pytest.raises(ValueError, match=r"Split takes .* with 5 channels"):
        Split([2, 3])(torch.zeros(1, 6, 2))
    with pytest.raises(ValueError, match=r"Split takes .* a multiple of 2 channels"):
        Split()(torch.zeros(1, 5, 2))
    with pytest.raises(ValueError, match=r"parts of \(2, 3\) channels, got \(3, 2\)"):
        Split([2, 3]).inverse((torch.zeros(1, 3), torch.zeros(1, 2)))
    with pytest.raises(ValueError, match=r"two parts of equal size, got \(1, 2\)"):
        Split().inverse((torch.zeros(1, 1), torch.zeros(1, 2)))
