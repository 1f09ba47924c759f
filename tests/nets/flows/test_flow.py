"""A flow's likelihoods are right, its samples come from it, and its memory does not grow."""

import math

import pytest
import torch
from torch import Tensor, nn

from medrev.config.schema import FlowModel
from medrev.errors import ConfigError, InputError
from medrev.nets import ConditioningNet, FeatureStage, Flow, multiscale_flow
from medrev.reversible import Haar, ReversibleSequence, Split

#: By number of spatial axes: the shape of the data and the stages of a flow.
SHAPES = {0: (6,), 2: (2, 4, 4), 3: (1, 4, 4, 4)}
STAGES = {
    0: [{"squeeze": "none", "couplings": 3, "hidden": 5}],
    2: [
        {"squeeze": "none", "couplings": 1, "hidden": 3},
        {"couplings": 2, "hidden": 3, "keep": 3},
        {"squeeze": "checkerboard", "couplings": 2, "hidden": 3, "keep": 4},
        {"squeeze": "flatten", "couplings": 2, "hidden": 4},
    ],
    3: [
        {"couplings": 2, "hidden": 3, "keep": 3},
        {"squeeze": "space_to_depth", "couplings": 1, "hidden": 3},
    ],
}


def small_flow(dims: int, condition: str = "none", **options: object) -> Flow:
    """With "image" the condition has the size of the data and a network h."""
    torch.manual_seed(dims)
    conditioner, shape = None, None
    if condition == "label":
        shape = (3,)
    elif condition == "image":
        shape = (1, *SHAPES[dims][1:])
        stages = [FeatureStage(width=3, convolutions=1)]
        conditioner = ConditioningNet(dims, 1, stages)
    model = FlowModel(stages=STAGES[dims], **({"clamp_form": "unit-slope"} | options))
    flow = multiscale_flow(
        model, shape=SHAPES[dims], condition_shape=shape, conditioner=conditioner
    )
    for p in flow.parameters():
        p.data += 0.1 * torch.randn_like(p)
    return flow.double().eval()


def data_for(flow: Flow, batch: int = 2) -> tuple[Tensor, Tensor | None]:
    """Random data and conditions."""
    y = torch.randn(batch, *flow.shape, dtype=torch.float64)
    if flow.condition_shape is None:
        return y, None
    return y, torch.randn(batch, *flow.condition_shape, dtype=torch.float64)


KINDS = [(0, "none"), (0, "label"), *((d, c) for d in (2, 3) for c in ("none", "label", "image"))]
every_flow = pytest.mark.parametrize(("dims", "condition"), KINDS)
COUPLINGS = ["affine", "additive", "swapped", "spline"]


@every_flow
@pytest.mark.parametrize("coupling", COUPLINGS)
def test_log_prob_is_that_of_autograds_jacobian(dims: int, condition: str, coupling: str) -> None:
    options = {"mixing": "plu", "actnorm": True} if coupling != "swapped" else {}
    flow = small_flow(dims, condition, coupling=coupling, **options)
    y, c = data_for(flow)
    z, log_det = flow.encode(y, c, log_det=True)
    for i in range(len(y)):
        given = None if c is None else c[i : i + 1]
        matrix = torch.autograd.functional.jacobian(
            lambda t, given=given: flow.encode(t[None], given)[0], y[i]
        )
        expected = torch.linalg.slogdet(matrix.reshape(flow.dimensions, -1)).logabsdet
        torch.testing.assert_close(log_det[i], expected, rtol=1e-10, atol=1e-12)
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
    torch.testing.assert_close(flow.log_prob(y, c), normal + log_det, rtol=1e-12, atol=0)
    restored, back = flow.decode(z, c, log_det=True)
    torch.testing.assert_close(restored, y, rtol=0, atol=1e-9)
    torch.testing.assert_close(back, -log_det, rtol=1e-9, atol=1e-9)


@every_flow
def test_gradients_equal_plain_autograd(dims: int, condition: str) -> None:
    flow = small_flow(dims, condition, mixing="plu", actnorm=True)
    y, c = data_for(flow)
    y.requires_grad_()
    inputs = [y, *flow.parameters()]
    if c is not None:
        inputs.append(c.requires_grad_())
    found = []
    for keep_graph in (False, True):
        for module in flow.modules():
            if isinstance(module, ReversibleSequence):
                module.keep_graph = keep_graph
        z, log_det = flow.encode(y, c, log_det=True)
        weights = torch.linspace(-1, 2, z.numel(), dtype=z.dtype).reshape(z.shape)
        loss = (z * weights).sum() + z.square().sum() - (log_det * log_det.detach()).sum()
        found.append(torch.autograd.grad(loss, inputs))
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("condition", ["label", "image"])
def test_the_condition_and_its_network_get_gradients(condition: str) -> None:
    flow = small_flow(2, condition)
    y, c = data_for(flow)
    c.requires_grad_()
    flow.log_prob(y, c).sum().backward()
    assert c.grad.abs().min() > 0
    if flow.conditioner is not None:
        assert all(p.grad.abs().max() > 0 for p in flow.conditioner.parameters())


@pytest.mark.parametrize("condition", ["none", "image"])
def test_retained_bytes_do_not_grow_with_the_number_of_couplings(condition: str) -> None:
    """The target is 2 %: what is kept are the sequence's output and the condition."""
    found = []
    for depth in (24, 96):
        told = condition == "image"
        stage = {"couplings": depth, "hidden": 4, "condition_width": 3 if told else None}
        shape = (1, 16, 16)
        flow = multiscale_flow(
            FlowModel(stages=[stage]), shape=shape, condition_shape=shape if told else None
        )
        total = 0

        def pack(t: Tensor) -> Tensor:
            nonlocal total
            total += t.numel() * t.element_size()
            return t

        y = torch.randn(2, 1, 16, 16)
        c = torch.randn(2, 1, 16, 16) if condition == "image" else None
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            loss = -flow.log_prob(y, c).sum()
        loss.backward()
        found.append(total)
    assert found[1] <= 1.02 * found[0]


@pytest.mark.parametrize("mixing", ["plu", "orthogonal"])
def test_under_autocast_the_likelihood_stays_near_that_of_float32(mixing: str) -> None:
    flow = small_flow(2, "image", mixing=mixing, actnorm=True).float()
    y, c = (t.float() for t in data_for(flow))
    found = []
    for enabled in (False, True):
        flow.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            log_prob = flow.log_prob(y, c)
        assert log_prob.dtype == torch.float32
        log_prob.sum().backward()
        grads = torch.cat([p.grad.flatten() for p in flow.parameters()])
        found.append((log_prob.detach(), grads))
    (expected, grads), (near, near_grads) = found
    torch.testing.assert_close(near, expected, rtol=0.02, atol=0.5)
    assert torch.nn.functional.cosine_similarity(grads, near_grads, dim=0) > 0.99


def test_a_state_dict_restores_a_flow() -> None:
    flow, other = (small_flow(2, "image", mixing=m, actnorm=True) for m in ("plu", "plu"))
    for p in other.parameters():
        p.data.zero_()
    other.load_state_dict(flow.state_dict())
    y, c = data_for(flow)
    assert torch.equal(other.log_prob(y, c), flow.log_prob(y, c))


def test_an_additive_flow_in_exact_mode_is_undone_bit_for_bit() -> None:
    model = FlowModel(
        stages=[{"squeeze": "checkerboard", "couplings": 3, "hidden": 8} for _ in range(3)],
        coupling="swapped",
        mixing="permutation",
        zero_init=False,
        exact=True,
    )
    flow = multiscale_flow(model, shape=(3, 16, 16))
    y = torch.randint(0, 256, (2, 3, 16, 16)) / 128 - 1
    assert torch.equal(flow.decode(flow.encode(y)), y)


def test_latents_leave_in_order_as_a_list_and_as_a_vector() -> None:
    flow = Flow(
        [Haar(2, low_pass_first=True), Split([1, 3]), Haar(2), Split([1, 2, 1])], shape=(1, 4, 4)
    )
    assert flow.latent_shapes == [(3, 2, 2), (2, 1, 1), (1, 1, 1), (1, 1, 1)]
    assert flow.dimensions == 16
    y = torch.randn(2, 1, 4, 4)
    z = flow.encode(y)
    parts = flow.unflatten(z)
    assert torch.equal(parts[0], Haar(2, low_pass_first=True)(y)[:, 1:])
    assert torch.equal(torch.cat([p.flatten(1) for p in parts], 1), z)
    assert torch.equal(flow.flatten(parts), z)
    for form in (z, parts):
        torch.testing.assert_close(flow.decode(form), y)


@pytest.mark.parametrize("condition", ["none", "image"])
def test_samples_are_decoded_latents_and_repeat_with_their_generator(condition: str) -> None:
    flow = small_flow(2, condition).train()
    _, c = data_for(flow, 3)

    def draw(**options: float) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        return flow.sample(4, c, generator=generator, **options)

    samples = draw()
    assert samples.shape == ((4, 2, 4, 4) if c is None else (3, 4, 2, 4, 4))
    assert not samples.requires_grad
    assert torch.equal(samples, draw())
    assert flow.training
    rows = len(samples) if c is None else 12
    z = torch.randn(
        rows, flow.dimensions, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    flow.eval()
    given = None if c is None else c.repeat_interleave(4, 0)
    expected = flow.decode(0.7 * z, given).reshape(samples.shape)
    torch.testing.assert_close(draw(temperature=0.7), expected)
    assert draw(temperature=0).std(-4).max() < 1e-12


def test_sampling_uses_running_statistics_and_leaves_them_alone() -> None:
    flow = small_flow(2, "image").train()
    before = {k: v.clone() for k, v in flow.state_dict().items()}
    _, c = data_for(flow, 3)
    flow.sample(2, c)
    assert all(torch.equal(v, before[k]) for k, v in flow.state_dict().items())


def test_training_raises_the_likelihood_and_samples_follow_the_data() -> None:
    """Two bumps of the first number, the second its square: learnt in a few hundred steps."""
    torch.manual_seed(0)
    stage = {"squeeze": "none", "couplings": 6, "hidden": 32}
    model = FlowModel(stages=[stage], actnorm=True, clamp_form="unit-slope")
    flow = multiscale_flow(model, shape=(2,))
    generator = torch.Generator().manual_seed(0)

    def data(n: int) -> Tensor:
        a = torch.randn(n, generator=generator) * 0.3
        a = a + torch.sign(torch.rand(n, generator=generator) - 0.5)
        return torch.stack([a, a.square() + 0.1 * torch.randn(n, generator=generator)], 1)

    start = flow.eval().log_prob(data(500)).mean()
    optimiser = torch.optim.Adam(flow.train().parameters(), 5e-3)
    for _ in range(300):
        optimiser.zero_grad()
        (-flow.log_prob(data(256)).mean()).backward()
        optimiser.step()
    assert flow.eval().log_prob(data(500)).mean() > start + 1.5
    a, b = flow.sample(2000, generator=generator).unbind(1)
    assert abs(a.mean()) < 0.15
    assert 0.85 < a.abs().mean() < 1.15
    assert (b - a.square()).abs().median() < 0.2


def test_frozen_first_and_joint_later() -> None:
    """Phases of training freeze the conditioning network by its name."""
    flow = small_flow(2, "image")
    names = [name for name, _ in flow.named_parameters() if name.startswith("conditioner.")]
    assert len(names) == 4
    flow.conditioner.requires_grad_(False)
    flow.log_prob(*data_for(flow)).sum().backward()
    assert all(p.grad is None for p in flow.conditioner.parameters())
    assert all(p.grad is not None for p in flow.layers.parameters())


def test_it_says_where_a_likelihood_stops_being_finite() -> None:
    flow = small_flow(2, "image")
    y, c = data_for(flow)
    assert flow.first_nonfinite(y, c) is None
    assert flow.first_nonfinite(y / 0, c) == "the data"
    assert flow.first_nonfinite(y, c * math.nan) == "the condition"
    broken = flow.layers[3].blocks[3].f
    broken[0].weight.data[0] = math.nan
    assert flow.first_nonfinite(y, c) == "layers.3.blocks.3, AffineCoupling"


def test_what_does_not_fit_is_named() -> None:
    flow, told = small_flow(2), small_flow(2, "label")
    y, c = data_for(told)
    with pytest.raises(InputError, match=r"takes data \(B, 2, 4, 4\), got shape \(2, 2, 4, 6\)"):
        flow.log_prob(torch.zeros(2, 2, 4, 6))
    with pytest.raises(InputError, match=r"this flow needs a condition \(B, 3\), got none"):
        told.log_prob(y)
    with pytest.raises(InputError, match=r"needs a condition \(B, 3\), got none"):
        told.sample(1)
    with pytest.raises(InputError, match=r"one for each of 2 samples, got shape \(2, 4\)"):
        told.encode(y, torch.zeros(2, 4))
    with pytest.raises(InputError, match=r"one for each of 2 samples, got shape \(1, 3\)"):
        told.log_prob(y, c[:1])
    with pytest.raises(InputError, match=r"has no condition, got one of shape \(2, 3\); leave"):
        flow.log_prob(y, c)
    with pytest.raises(InputError, match=r"the temperature must be 0 or more, got -0\.5"):
        flow.sample(1, temperature=-0.5)
    with pytest.raises(InputError, match="the temperature must be 0 or more, got nan"):
        flow.sample(1, temperature=math.nan)
    with pytest.raises(InputError, match="number of samples must be at least 1, got 0"):
        flow.sample(0)
    with pytest.raises(InputError, match=r"this flow are \(B, 32\), got shape \(2, 31\)"):
        flow.decode(torch.zeros(2, 31))
    with pytest.raises(InputError, match=r"the latents of this flow are tensors \(B, …\) of"):
        flow.decode([torch.zeros(2, 5, 2, 2)])


def test_layers_that_do_not_fit_are_named() -> None:
    with pytest.raises(ConfigError, match=r"layer 0 of a flow must be .* got Linear"):
        Flow([nn.Linear(2, 2)], shape=(2,))
    with pytest.raises(ConfigError, match=r"layer 0 of the flow cannot take \(1, 3, 4\): Haar"):
        Flow([Haar(2)], shape=(1, 3, 4))
    with pytest.raises(ConfigError, match="with a conditioner needs condition_shape"):
        Flow([Haar(2)], shape=(1, 4, 4), conditioner=nn.Identity())
