"""Multi-scale flows are built as they are described, and say what cannot be built."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from medrev.config.schema import FlowModel
from medrev.errors import ConfigError
from medrev.nets import ConditioningNet, FeatureStage, Flow, multiscale_flow
from medrev.nets.conditioning import ConvHead, ResizeHead
from medrev.reversible import (
    ActNorm,
    AffineCoupling,
    Checkerboard,
    LearntMixing,
    OrthogonalMixing,
    Permutation,
    ReversibleSequence,
)

PLAIN = {"squeeze": "none"}


def flow_of(
    shape: tuple[int, ...],
    *stages: dict,
    condition: tuple[int, ...] | None = None,
    conditioner: nn.Module | None = None,
    **options: object,
) -> Flow:
    model = FlowModel(stages=stages, **options)
    return multiscale_flow(model, shape=shape, condition_shape=condition, conditioner=conditioner)


def features(width: int = 5, stride: int = 1) -> ConditioningNet:
    return ConditioningNet(2, 1, [FeatureStage(width=width, convolutions=1, stride=stride)])


def test_with_zero_initialisation_it_starts_as_a_rotation() -> None:
    for initialisation in ("xavier", "normal", "kaiming", "default"):
        flow = flow_of((1, 8, 8), {}, {"keep": 8}, initialisation=initialisation)
        y = torch.randn(3, 1, 8, 8)
        z, log_det = flow.encode(y, log_det=True)
        torch.testing.assert_close(z.norm(dim=1), y.flatten(1).norm(dim=1))
        assert not log_det.any()


@pytest.mark.parametrize(
    ("mixing", "kind"),
    [
        ("orthogonal", OrthogonalMixing),
        ("permutation", Permutation),
        ("reversal", Permutation),
        ("plu", LearntMixing),
        ("learnt_orthogonal", LearntMixing),
    ],
)
def test_a_normalisation_and_a_mixing_stand_in_front_of_every_coupling(
    mixing: str, kind: type[nn.Module]
) -> None:
    flow = flow_of((4,), PLAIN, mixing=mixing, actnorm=True)
    kinds = [type(b) for b in flow.layers[0].blocks]
    assert kinds == [ActNorm, kind, AffineCoupling] * 4
    flow = flow_of((4,), PLAIN, mixing="none")
    assert [type(b) for b in flow.layers[0].blocks] == [AffineCoupling] * 4


def test_fixed_mixings_depend_on_the_seed_alone_and_differ() -> None:
    def mixings(seed: int) -> list[torch.Tensor]:
        flow = flow_of((4,), PLAIN, PLAIN, mixing_seed=seed)
        return [b.weight for s in flow.layers for b in s.blocks if isinstance(b, OrthogonalMixing)]

    torch.manual_seed(0)
    first = mixings(5)
    torch.manual_seed(1)
    assert all(torch.equal(a, b) for a, b in zip(first, mixings(5), strict=True))
    assert len({tuple(w.flatten().tolist()) for w in first}) == 8


def test_the_clamp_reaches_the_couplings() -> None:
    stage = PLAIN | {"couplings": 1}
    flow = flow_of((4,), stage, clamp=1.5, clamp_form="cinn", mixing="none")
    block = flow.layers[0].blocks[0]
    assert (block.clamp, block.clamp_form) == (1.5, "cinn")


def test_only_the_first_checkerboard_divides_the_image() -> None:
    flow = flow_of((1, 4, 4), *[{"squeeze": "checkerboard", "couplings": 1}] * 2)
    boards = [layer for layer in flow.layers if isinstance(layer, Checkerboard)]
    assert [board.streams for board in boards] == [1, 2]


def test_heads_bring_the_features_to_the_size_of_their_stage() -> None:
    flow = flow_of(
        (1, 16, 16),
        {"couplings": 2, "condition_width": 3},
        {"couplings": 2},
        {"squeeze": "flatten", "couplings": 1, "condition_width": 7},
        PLAIN | {"couplings": 1},
        condition=(1, 32, 32),
        conditioner=features(),
    ).eval()
    sequences = [layer for layer in flow.layers if isinstance(layer, ReversibleSequence)]
    f = flow.conditioner(torch.randn(2, 1, 32, 32))
    heads = [[b.head for b in s.blocks if hasattr(b, "head")] for s in sequences]
    assert [tuple(h[0](f).shape) for h in heads] == [(2, 3, 8, 8), (2, 5, 4, 4), (2, 7), (2, 5)]
    assert isinstance(heads[0][0], ConvHead)
    assert heads[0][0] is not heads[0][1]
    assert isinstance(heads[1][0], ResizeHead)
    torch.testing.assert_close(heads[1][0](f), torch.nn.functional.avg_pool2d(f, 8))
    torch.testing.assert_close(heads[3][0](f), f.mean((2, 3)))


def test_features_of_the_size_of_the_stage_and_vectors_need_no_head() -> None:
    same = flow_of((1, 8, 8), {"couplings": 1}, condition=(2, 4, 4))
    label = flow_of((1, 8, 8), {"couplings": 1}, condition=(10,))
    for flow, condition in ((same, torch.randn(3, 2, 4, 4)), (label, torch.eye(10)[:3])):
        assert flow.layers[1].blocks[1].head is None
        assert flow.log_prob(torch.randn(3, 1, 8, 8), condition).shape == (3,)


def test_features_smaller_than_the_stage_are_repeated() -> None:
    head = ResizeHead((4, 4))
    c = torch.arange(4.0).reshape(1, 1, 2, 2)
    assert torch.equal(head(c), c.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_sub_networks_can_be_without_zeros_at_their_end() -> None:
    flow = flow_of((4,), PLAIN, zero_init=False)
    assert flow.layers[0].blocks[1].f.last_conv.weight.any()


@pytest.mark.parametrize(
    ("shape", "stages", "condition", "message"),
    [
        ((1, 6, 5), [{}], None, r"'haar' halves every size, got sizes \(6, 5\); pad"),
        (
            (1, 6, 6, 6),
            [{}, {"squeeze": "checkerboard"}],
            None,
            r"halves every size, got sizes \(3, 3, 3\)",
        ),
        ((1, 4, 4), [PLAIN], None, "at least 2 channels, got a stage with 1; squeeze"),
        ((4,), [{}], None, "'haar' needs spatial axes, got a vector of 4"),
        ((1, 4, 4), [{"keep": 4}], None, "keep from 1 to 3 of its 4 channels, got keep=4"),
        ((4, 4), [PLAIN], None, "number of sizes in shape must be one of 1, 3, 4, got 2"),
        (
            (1, 4, 4),
            [{"condition_width": 2}],
            (3,),
            "features are a vector of 3; leave condition_width",
        ),
        (
            (1, 8, 8),
            [{"condition_width": 2}],
            (1, 6, 6),
            r"size of the stage, \(4, 4\), got \(3, 3\); give",
        ),
        ((1, 4, 4), [{}], (1, 2, 2, 2), "features with 3 spatial axes cannot tell couplings"),
    ],
)
def test_what_cannot_be_built_is_named(
    shape: tuple[int, ...], stages: list, condition: tuple[int, ...] | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        flow_of(shape, *stages, condition=condition)


def test_values_that_are_not_listed_are_refused() -> None:
    with pytest.raises(ValidationError, match="'affine', 'additive', 'swapped' or 'spline'"):
        flow_of((4,), PLAIN, coupling="glow")
    with pytest.raises(ValidationError, match="'plu', 'learnt_orthogonal' or 'none'"):
        flow_of((4,), PLAIN, mixing="lu")
    with pytest.raises(ValidationError, match="'space_to_depth', 'flatten' or 'none'"):
        flow_of((4,), {"squeeze": "dct"})
