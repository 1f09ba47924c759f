import numpy as np
import pytest
import torch

from medrev.domains.kinds import domains_of
from medrev.dti import (
    ENSEMBLES,
    apply_symmetry,
    apply_symmetry_scalar,
    ensemble_symmetries,
    frobenius,
    to_matrix,
)
from medrev.errors import InputError
from medrev.prediction import InferenceOptions
from medrev.prediction.ensemble import RunningStatistics

from .tensors import apply, limited, predict

SINGLE = {"engine": "torch", "precision": "float32"}


@pytest.mark.parametrize("count", ENSEMBLES)
def test_an_ensemble_is_a_group(count):
    group = {tuple(s.flatten()) for s in ensemble_symmetries(count)}
    assert len(group) == count
    for a in ensemble_symmetries(count):
        for b in ensemble_symmetries(count):
            assert tuple((a @ b).flatten()) in group
    assert (ensemble_symmetries(count)[0] == np.eye(3)).all()


def test_other_sizes_are_refused():
    with pytest.raises(InputError, match="ensemble must be one of 1, 2, 4, 8, 24, 48, got 7"):
        InferenceOptions(ensemble=7)


def test_frobenius_norm_is_that_of_the_matrix():
    tensors = torch.randn(6, 3, 4, 5)
    matrices = to_matrix(tensors.permute(1, 2, 3, 0).numpy())
    expected = np.linalg.norm(matrices, axis=(-2, -1)) ** 2
    np.testing.assert_allclose(frobenius(tensors)[0].numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 8, 24, 48])
def test_running_mean_and_spread_equal_those_of_all_together(count, pipeline, monkeypatch):
    monkeypatch.setattr("medrev.prediction.ensemble._VOXELS", 30)  # several parts
    group = ensemble_symmetries(count)
    volumes = [1 + torch.randn(6, 4, 5, 6) for _ in group]
    domain = domains_of(pipeline())[1]
    spread = RunningStatistics((4, 5, 6), domain)
    for volume, symmetry in zip(volumes, group, strict=True):
        spread.add(apply_symmetry(volume, symmetry), symmetry)
    together = torch.stack(volumes).double()
    torch.testing.assert_close(spread.mean.double(), together.mean(0), rtol=1e-5, atol=1e-6)
    if count > 1:
        weights = torch.tensor([1, 2, 2, 1, 2, 1.0])[:, None, None, None]
        variance = (together.var(0) * weights).sum(0, keepdim=True)
        torch.testing.assert_close(spread.std.double(), variance.sqrt(), rtol=1e-5, atol=1e-6)
        found = spread.take_spread()
        assert list(found) == ["diffusivity", "fa", "md", "ad", "rd"]
        for name in found:
            each = torch.stack([domain.quantities(volume)[name] for volume in volumes])
            torch.testing.assert_close(found[name], each.std(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [2, 8, 24])
def test_the_ensemble_turns_as_its_input_does(make_model, count):
    """A network alone does not; its mean over a group does, exactly, and so does the spread."""
    model = make_model(norm="none", depth=1)
    volume = 1e-3 * torch.randn(6, 6, 5, 4)
    turn = ensemble_symmetries(count)[-1]
    options = InferenceOptions(ensemble=count, **SINGLE)
    plain = predict(model, volume, options=options)
    turned = predict(model, apply_symmetry(volume, turn), options=options)
    assert plain.members == count
    expected = apply_symmetry(plain.values, turn)
    torch.testing.assert_close(turned.values, expected, rtol=1e-4, atol=1e-6)
    expected = apply_symmetry_scalar(plain.std, turn)
    torch.testing.assert_close(turned.std, expected, rtol=1e-3, atol=1e-6)
    expected = apply_symmetry_scalar(plain.spread["fa"], turn)
    torch.testing.assert_close(turned.spread["fa"], expected, rtol=1e-3, atol=1e-5)
    alone = apply(model, apply_symmetry(volume, turn))
    assert (alone - apply_symmetry(apply(model, volume), turn)).abs().max() > 0.1 * alone.std()


@pytest.mark.parametrize("count", [2, 8])
def test_blocks_stay_where_they_are_when_sizes_are_odd(residual_model, count):
    """Backwards the model takes block means, which do not depend on how the volume is turned."""
    model = residual_model()
    volume = 1e-3 * torch.randn(6, 11, 9, 13)
    options = InferenceOptions(ensemble=count, **SINGLE)
    result = predict(model, volume, inverse=True, options=options)
    torch.testing.assert_close(result.values, apply(model, volume, True), rtol=1e-4, atol=1e-8)
    assert result.std.max() <= 1e-7


def test_several_checkpoints_join(make_model):
    one, two = make_model(norm="none"), make_model(norm="none")
    with torch.no_grad():
        for parameter in two.translator.parameters():
            parameter.normal_(0, 0.1)
    volume = 1e-3 * torch.randn(6, 5, 6, 7)
    result = predict(one, volume, members=(two,), options=InferenceOptions(**SINGLE))
    estimates = torch.stack([apply(one, volume), apply(two, volume)])
    assert result.members == 2
    torch.testing.assert_close(result.values, estimates.mean(0), rtol=1e-4, atol=1e-7)
    expected = (frobenius(estimates[0] - estimates[1]) / 2).sqrt()
    torch.testing.assert_close(result.std, expected, rtol=1e-4, atol=1e-7)


def test_models_of_another_factor_do_not_join(make_model):
    other = make_model({"degradation": {"factor": 3}, "patches": {"size": 24}})
    with pytest.raises(InputError, match="same factor, got 2 and 3"):
        predict(make_model(), torch.zeros(6, 5, 5, 5), members=(other,))


@pytest.mark.parametrize("inverse", [False, True])
def test_the_cycle_residual_is_the_way_there_and_back(make_model, inverse):
    model = make_model(norm="batch")
    volume = 1e-3 * torch.randn(6, *((11, 9, 10) if inverse else (6, 5, 7)))
    options = InferenceOptions(cycle_residual=True, **SINGLE)
    result = predict(model, volume, inverse=inverse, options=options)
    again = apply(model, apply(model, volume, inverse), not inverse)[:, : volume.shape[1]]
    again = again[:, :, : volume.shape[2], : volume.shape[3]]
    assert result.cycle_residual.shape == (1, *volume.shape[1:])
    expected = frobenius(again - volume).sqrt()
    torch.testing.assert_close(result.cycle_residual, expected, rtol=1e-4, atol=1e-7)
    assert result.std is None


def test_a_model_that_is_exactly_reversible_leaves_no_residual(residual_model):
    """Trilinear there and block means back: linear ramps are kept, away from the border."""
    model = residual_model()
    ramp = torch.linspace(0, 1e-3, 12).expand(6, 8, 8, 12).contiguous()
    options = InferenceOptions(cycle_residual=True, **SINGLE)
    residual = predict(model, ramp, options=options).cycle_residual
    assert residual[..., 2:-2].max() <= 1e-8
    assert residual.max() > 1e-5


def test_a_residual_without_a_trained_way_back_is_doubted(make_model):
    model = make_model(norm="none")
    method = model.pipeline.method.model_copy(
        update={"inverse_weight": 0, "adversarial_weight": 0, "cycle_weight": 0}
    )
    untrained = type(model)(
        model.translator, model.pipeline.model_copy(update={"method": method}), model.scale
    )
    options = InferenceOptions(cycle_residual=True, **SINGLE)
    volume = torch.zeros(6, 5, 5, 5)
    assert not predict(model, volume, options=options).warnings
    (warning,) = predict(untrained, volume, options=options).warnings
    assert "one direction was not trained" in warning


def test_what_is_wanted_of_a_turned_volume_is_turned_with_it(make_model):
    """Of tiles only those are computed that the mask asks for: inside, nothing is lost."""
    model = make_model(norm="none")
    volume = 1e-3 * torch.randn(6, 6, 24, 7)
    mask = torch.zeros(1, 6, 24, 7)
    mask[:, :, :8] = 1
    mask[:, 0, -1, 0] = 1  # so that the box around it is the whole volume
    model = limited(model, 1e-6)
    options = InferenceOptions(ensemble=8, spacing="keep", **SINGLE)
    whole = predict(model, volume, options=options).values
    found = predict(model, volume, options=options, mask=mask).values
    fine = mask[0]
    for axis in range(3):
        fine = fine.repeat_interleave(2, axis)
    torch.testing.assert_close(found, whole * fine, rtol=1e-4, atol=1e-7)
