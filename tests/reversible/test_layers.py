"""Convolution, normalisation and padding equal their stock counterparts."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from medrev.errors import ConfigError
from medrev.reversible import Conv, InstanceNorm, stock_operations
from medrev.reversible import convolution as convolution_module
from medrev.reversible.padding import pad

STOCK = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def results(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Output, input gradient and parameter gradients."""
    x = x.detach().requires_grad_()
    y = module(x)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    inputs = [x, *module.parameters()]
    return [y.detach(), *torch.autograd.grad((y * weights).sum(), inputs)]


def assert_same(actual: list[Tensor], expected: list[Tensor], tol: float) -> None:
    for a, e in zip(actual, expected, strict=True):
        assert (a - e).abs().max() <= tol * max(1.0, e.abs().max().item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_conv_equals_the_stock_module(dims: int, mode: str, batch: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    conv = Conv(dims, 3, 5, 3, padding_mode=mode).to(dtype)
    stock = STOCK[dims](3, 5, 3, padding=1, padding_mode=mode).to(dtype)
    stock.load_state_dict(conv.state_dict())
    x = torch.randn(batch, 3, *[7, 6, 9][:dims], dtype=dtype)
    tol = 1e-5 if dtype == torch.float32 else 1e-12
    assert_same(results(conv, x), results(stock, x), tol)
    with stock_operations():
        assert_same(results(conv, x), results(stock, x), tol)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "bias"),
    [(1, 1, 0, True), (3, 2, 1, False), (5, 1, 2, True), (7, 1, 3, False), (4, 2, 1, True)],
)
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_conv_of_any_kernel_and_stride(
    kernel: int, stride: int, padding: int, bias: bool, mode: str
) -> None:
    conv = Conv(3, 2, 3, kernel, stride=stride, padding=padding, padding_mode=mode, bias=bias)
    stock = nn.Conv3d(2, 3, kernel, stride=stride, padding=padding, padding_mode=mode, bias=bias)
    stock.load_state_dict(conv.state_dict())
    x = torch.randn(1, 2, 8, 9, 10)
    assert_same(results(conv, x), results(stock, x), 1e-5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate"])
@pytest.mark.parametrize("dims", [2, 3])
def test_conv_in_bfloat16_equals_the_stock_one(
    dims: int, mode: str, batch: int, stride: int
) -> None:
    torch.manual_seed(0)
    conv = Conv(dims, 3, 5, 3, stride=stride, padding_mode=mode)
    x = torch.randn(batch, 3, *[7, 6, 9][:dims])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = conv(x)
        actual = results(conv, x)
        with stock_operations():
            expected = results(conv, x)
    assert y.dtype == actual[0].dtype == expected[0].dtype == torch.bfloat16
    assert [a.dtype for a in actual[1:]] == [torch.float32] * 3
    assert_same(actual, expected, 2**-6)
    half = Conv(dims, 3, 5, 3, stride=stride, padding_mode=mode).bfloat16()
    half.load_state_dict(conv.state_dict())
    assert_same([half(x.bfloat16())], [y], 2**-6)


@pytest.mark.parametrize("shape", [(1, 3, 7, 6), (1, 4, 5, 6, 7), (2, 4, 5, 6, 7)])
def test_instance_norm_in_bfloat16_takes_any_order_in_memory(shape: tuple[int, ...]) -> None:
    x = (3 * torch.randn(shape) + 5).bfloat16()
    order = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
    norm = InstanceNorm(shape[1])
    expected = results(norm, x.double())
    for stored in (x, x.contiguous(memory_format=order)):
        assert_same(results(norm, stored), expected, 0.03)


def test_a_large_volume_and_a_non_contiguous_one() -> None:
    conv = Conv(3, 4, 4, 3, padding_mode="reflect")
    stock = nn.Conv3d(4, 4, 3, padding=1, padding_mode="reflect")
    stock.load_state_dict(conv.state_dict())
    for x in (torch.randn(1, 4, 80, 80, 6), torch.randn(1, 8, 6, 9, 7)[:, 2:6].transpose(2, 4)):
        assert_same(results(conv, x), results(stock, x), 1e-4)


def test_the_fast_path_is_taken_where_pytorch_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = torch.mkldnn_convolution
    monkeypatch.setattr(
        convolution_module.torch,
        "mkldnn_convolution",
        lambda *args: calls.append(1) or original(*args),
    )
    conv, x = Conv(3, 16, 16, 3), torch.randn(1, 16, 24, 24, 24)
    conv(x)
    assert calls
    calls.clear()
    with stock_operations():
        conv(x)
    conv(x.expand(2, -1, -1, -1, -1))  # stock takes oneDNN by itself here
    assert not calls


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate"])
def test_conv_can_be_differentiated_twice(mode: str) -> None:
    conv = Conv(3, 2, 2, 3, padding_mode=mode)
    x = torch.randn(1, 2, 4, 5, 4, requires_grad=True)

    def penalty() -> list[Tensor]:
        (g,) = torch.autograd.grad((conv(x) ** 3).sum(), x, create_graph=True)
        return list(torch.autograd.grad((g**2).sum(), [x, *conv.parameters()]))

    ours = penalty()
    with stock_operations():
        assert_same(ours, penalty(), 1e-4)


def test_conv_freezes_and_refuses_like_the_stock_module() -> None:
    conv = Conv(3, 2, 2, 3, padding_mode="reflect")
    conv.weight.requires_grad_(False)
    x = torch.randn(1, 2, 5, 5, 5)
    conv(x).sum().backward()
    assert conv.weight.grad is None
    assert conv.bias.grad is not None
    with pytest.raises(ConfigError, match="'zeros', 'reflect' or 'replicate', got 'mirror'"):
        Conv(3, 1, 1, 3, padding_mode="mirror")
    with pytest.raises(ConfigError, match="spatial_dims must be 1, 2 or 3, got 4"):
        Conv(4, 1, 1, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(2, 3, 9), (1, 3, 7, 6), (2, 4, 5, 6, 7)])
def test_instance_norm_equals_the_stock_module(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    stock = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d, 5: nn.InstanceNorm3d}[len(shape)]
    x = 5 + 3 * torch.randn(shape, dtype=dtype)
    tol = 2e-5 if dtype == torch.float32 else 1e-12
    assert_same(results(InstanceNorm(shape[1]), x), results(stock(shape[1]), x), tol)


def test_instance_norm_goes_by_the_channels_it_gets_and_refuses_one_voxel() -> None:
    x = torch.randn(2, 4, 5, 5)
    assert_same(results(InstanceNorm(2), x), results(nn.InstanceNorm2d(4), x), 2e-5)
    for size in (2, 1):
        with pytest.raises(ValueError, match="more than 1 spatial element"):
            InstanceNorm(4)(torch.zeros(size, 4, 1, 1))


def test_a_parametrised_convolution_computes_its_weight_once_as_the_stock_module() -> None:
    conv, stock = Conv(3, 2, 2, 3), nn.Conv3d(2, 2, 3, padding=1)
    stock.load_state_dict(conv.state_dict())
    torch.manual_seed(0)
    nn.utils.parametrizations.spectral_norm(conv)
    torch.manual_seed(0)
    nn.utils.parametrizations.spectral_norm(stock)
    x = torch.randn(1, 2, 5, 5, 5)
    for _ in range(2):  # every computation of the weight goes on with the power iteration
        torch.testing.assert_close(conv(x), stock(x), rtol=1e-5, atol=1e-6)


def test_fast_layers_under_the_transforms_of_torch_func() -> None:
    net = nn.Sequential(Conv(3, 2, 2, 3, padding_mode="reflect"), InstanceNorm(2))
    x = torch.randn(1, 2, 5, 5, 5, requires_grad=True)
    ours = torch.func.grad(lambda t: (net(t) ** 3).sum())(x.detach())
    (expected,) = torch.autograd.grad((net(x) ** 3).sum(), x)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=25)
@given(data=st.data(), dims=st.integers(1, 3))
def test_the_gradient_of_reflection_padding_is_exact(data: st.DataObject, dims: int) -> None:
    sizes = data.draw(st.lists(st.integers(2, 6), min_size=dims, max_size=dims))
    amount = [data.draw(st.integers(0, n - 1)) for n in sizes]
    x = torch.randn(2, 2, *sizes, dtype=torch.float64, requires_grad=True)
    widths = [n for a in reversed(amount) for n in (a, a)]
    reference = F.pad(x, widths, mode="reflect") if any(amount) else x
    ours = pad(x, amount, "reflect")
    assert torch.equal(ours, reference)
    weights = torch.randn_like(reference)
    (a,) = torch.autograd.grad((ours * weights).sum(), x)
    (e,) = torch.autograd.grad((reference * weights).sum(), x)
    torch.testing.assert_close(a, e)


def test_reflection_padding_can_be_differentiated_twice() -> None:
    x = torch.randn(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda t: pad(t, (2, 1), "reflect") ** 3, (x,))
