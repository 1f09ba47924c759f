"""All metrics of a subject: several methods against one reference, a value a row."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial

import numpy as np

from medrev.dti import COMPONENTS
from medrev.errors import InputError
from medrev.evaluation.compared import ITSELF, Compared, Part, Prediction
from medrev.evaluation.results import Record, Results
from medrev.evaluation.target import DIFFUSIVITY, Target
from medrev.metrics import (
    BAND_NAMES,
    MULTIPLICITY,
    RMSE_UNIT,
    Array,
    Floats,
    Key,
    RankHistogram,
    RegionVolume,
    Settings,
    bias,
    crps_normal,
    crps_samples,
    cycle_residual,
    direction_error,
    energy_score,
    frobenius_norm,
    gradient_ratio,
    interval_coverage,
    log_euclidean_distance,
    mae,
    mean_change,
    nmse,
    not_positive_definite,
    psnr,
    rank_histogram,
    region_names,
    rmse,
    slice_flicker,
    tensor_rmse,
    volumetry,
    weighted_direction_error,
    wrapped_mae,
)

AXES = "ijk"
SCALARS = ("fa", "md", "ad", "rd")
VOLUMES = ("volume", "reference_volume", "volume_change", "dice")

_Value = Callable[[], float]
#: What is measured: key, unit, and how. An :class:`InputError` says why it is undefined.
_Measures = Iterator[tuple[Key, str, _Value]]
_Score = Callable[[Compared], Floats | float]
#: Scores whose change with the input is measured: unit and score by the name of the change.
_SENSITIVE: dict[str, tuple[str, _Score]] = {
    "d_nmae": ("", lambda found: mae(found.errors) / found.target.span),
    "d_psnr": ("dB", lambda found: psnr(found.voxels, found.target.voxels, found.target.span)),
    "d_ssim": ("", lambda found: float(found.similarity.mean())),
    "slice_d_nmae": ("", lambda found: found.slices.maes / found.target.span),
    "slice_d_psnr": ("dB", lambda found: found.slices.psnrs),
    "slice_d_ssim": ("", lambda found: found.slices.ssims),
}


def evaluate_methods(
    predictions: Mapping[str, Array | Prediction],
    reference: Array,
    mask: Array | None,
    *,
    subject: str,
    labels: Array | None = None,
    voxel_size: tuple[float, ...] | None = None,
    settings: Settings | None = None,
) -> Results:
    """All metrics of several methods on one subject; the reference's share is computed once.

    A metric that is undefined (constant reference, no interior, NaN in the prediction, another
    shape) has no value but the reason.

    Args:
        predictions: Prediction by method.
        reference: Volume of shape ``(C, I, J, K)``, or image of shape ``(C, I, J)``; tensors in
            mm²/s.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; None: the whole volume.
        subject: Subject name.
        labels: Label map of the reference, whole numbers, 0 is background: metrics by region.
        voxel_size: Voxel edges in mm: gradients per mm, and volumes in mL.
        settings: What is measured, and how.

    Raises:
        InputError: The mask or the label map is empty or of another shape than the reference, or a
            prediction has a label map and the reference or the voxel size is missing.

    Example:
        >>> import numpy as np
        >>> image = np.random.default_rng(0).random((1, 12, 12))
        >>> found = evaluate_methods({"same": image, "half": image / 2}, image, None, subject="A")
        >>> [found.values(method, Key("nmse", "whole"))["A"] for method in found.methods]
        [0.0, 0.25]
    """
    target = Target.of(reference, mask, labels=labels, voxel_size=voxel_size, settings=settings)
    records = []
    for method, given in predictions.items():
        prediction = given if isinstance(given, Prediction) else Prediction(given)
        for problem, measures in _measures(Compared(prediction, target)):
            for key, unit, measure in measures:
                if not target.settings.measures(key):
                    continue
                value: float | None = None
                reason: str | None = problem
                if not problem:
                    try:
                        value, reason = float(measure()), None
                    except InputError as error:
                        reason = str(error)
                records.append(Record(subject, method, *key, value, unit, reason))
    return Results.of(records)


def _measures(both: Compared) -> Iterator[tuple[str, _Measures]]:
    """All that the settings and the inputs ask for, beside why it cannot be measured, if so."""
    target, given = both.target, both.given
    for region in target.regions:
        part = Part(both, region)
        yield part.problem, _tensors(part) if target.tensors else _errors(part)
        yield part.problem, _images(part)
        yield part.problem, _beliefs(part)
    yield both.problem, _sharpness(both)
    if target.settings.slice_axis is not None:
        yield both.problem, _slices(both)
    if given.changed is not None:
        changed = Compared(Prediction(given.changed), target)
        yield both.problem or changed.problem, _sensitivity(both, changed)
    if given.std is not None:
        yield both.problem, _uncertainty(both)
    if given.draws is not None:
        yield both.problem, _draws(both)
    yield "", _alone(target, given)


def _alone(target: Target, given: Prediction) -> _Measures:
    """What is measured without comparing the volume with the reference."""
    if given.level is not None:
        yield Key("interval_level", target.everywhere), "%", partial(float, given.level)
    if given.cycle is not None:
        yield from _cycle(target, *given.cycle)
    if given.labels is not None:
        yield from _volumes(target, given.labels)


def _each(
    key: Key, names: Sequence[str], unit: str, values: Callable[[], Sequence[float] | Floats]
) -> _Measures:
    """One value per component; if one is undefined, all are."""
    found = cache(values)
    for n, name in enumerate(names):
        yield key._replace(component=name), unit, partial(_item, found, n)


def _item(values: Callable[[], Sequence[float] | Floats], n: int) -> float:
    return values()[n]


def _tensors(part: Part) -> _Measures:
    name, unit = part.region.name, DIFFUSIVITY
    yield Key("rmse", name), unit, lambda: tensor_rmse(part.errors)
    yield from _each(
        Key("rmse", name), COMPONENTS, unit, lambda: [tensor_rmse(error) for error in part.errors]
    )
    for scalar in SCALARS:
        yield from _errors(part, scalar)
    yield Key("direction_error", name), "°", lambda: direction_error(*part.tensors)
    key = Key("weighted_direction_error", name)
    yield key, "°", lambda: weighted_direction_error(*part.tensors)
    yield Key("frobenius", name), unit, lambda: frobenius_norm(part.errors) / RMSE_UNIT
    yield Key("log_euclidean", name), "", lambda: log_euclidean_distance(*part.tensors)
    key = Key("not_positive_definite", name)
    yield key, "%", lambda: 100 * not_positive_definite(part.prediction)


def _errors(part: Part, quantity: str = ITSELF) -> _Measures:
    """Errors and means of a scalar map, or of intensities."""
    target, (unit, scale) = part.both.target, part.both.target.unit_of(quantity)
    pair = cache(lambda: part.pair(quantity))
    errors = cache(lambda: np.subtract(*pair()))
    key = partial(Key, region=part.region.name, component=quantity.upper() or None)
    yield key("mae"), unit, lambda: scale * mae(errors())
    if quantity == ITSELF:
        if target.settings.wrapped:
            yield key("wrapped_mae"), unit, lambda: wrapped_mae(*pair())
        yield key("nmae"), "", lambda: mae(errors()) / target.span
    yield key("rmse"), unit, lambda: scale * rmse(errors())
    yield key("bias"), unit, lambda: scale * bias(errors())
    yield key("mean"), unit, lambda: scale * float(pair()[0].mean())
    yield key("reference_mean"), unit, lambda: scale * float(pair()[1].mean())


def _images(part: Part) -> _Measures:
    """What is defined for volumes of any kind."""
    name, both = part.region.name, part.both
    yield Key("nmse", name), "", lambda: nmse(part.prediction, part.reference)
    yield Key("psnr", name), "dB", lambda: psnr(part.prediction, part.reference, both.target.span)
    yield Key("ssim", name), "", lambda: part.ssim


def _sharpness(both: Compared) -> _Measures:
    place, target = both.target.everywhere, both.target
    for axis, name in ((None, None), *enumerate(AXES[: target.inside.ndim])):
        yield Key("gradient_ratio", place, name), "", partial(_gradient, both, axis)
    yield from _each(Key("power_ratio", place), BAND_NAMES, "", lambda: both.spectrum[0])
    yield from _each(Key("coherence", place), BAND_NAMES, "", lambda: both.spectrum[1])


def _gradient(both: Compared, axis: int | None) -> float:
    return gradient_ratio(both.gradients, both.target.gradients, axis)


def _slices(both: Compared) -> _Measures:
    target, (unit, scale) = both.target, both.target.unit_of()
    everywhere, place = target.everywhere, target.of_slices
    axis = target.settings.slice_axis
    yield Key("through_plane_ratio", everywhere), "", partial(_gradient, both, axis)
    yield Key("flicker", everywhere), "", partial(_flicker, both)
    yield Key("slice_mae", place), unit, lambda: scale * both.slices.mae
    yield Key("slice_nmae", place), "", lambda: both.slices.mae / target.span
    yield Key("slice_psnr", place), "dB", lambda: both.slices.psnr
    yield Key("slice_ssim", place), "", lambda: both.slices.ssim
    yield Key("slice_count", place), "", lambda: both.slices.count
    yield Key("slice_equal", place), "", lambda: both.slices.equal


def _flicker(both: Compared) -> float:
    """Roughness across slices beside that within them, prediction ÷ reference."""
    target, axis = both.target, both.target.settings.slice_axis
    return slice_flicker(both.volume, target.volume, target.mask, axis=axis or 0)


def _sensitivity(both: Compared, changed: Compared) -> _Measures:
    """How much the scores change with the input, of all voxels and of slices."""
    target = both.target
    for metric, (unit, score) in _SENSITIVE.items():
        of_slices = metric.startswith("slice_")
        if target.settings.slice_axis is not None or not of_slices:
            place = target.of_slices if of_slices else target.everywhere
            yield Key(metric, place), unit, partial(_score_change, score, both, changed)


def _score_change(score: _Score, both: Compared, changed: Compared) -> float:
    return mean_change(score(both), score(changed))


def _uncertainty(both: Compared) -> _Measures:
    place, (unit, scale) = both.target.everywhere, both.target.unit_of()

    def correlation() -> float:
        value = both.calibration.rank_correlation
        if value is None:
            raise InputError(
                "the rank correlation is undefined: the standard deviation is constant"
            )
        return value

    yield Key("coverage_error", place), "", lambda: both.calibration.expected_error
    yield Key("reliability_error", place), "", lambda: both.calibration.normalised_error
    yield Key("sparsification_error", place), "", lambda: both.calibration.sparsification_error
    yield Key("error_correlation", place), "", correlation
    try:
        curves = both.calibration
    except InputError:
        return  # the reason is in the values above
    levels = [f"{level:.2f}" for level in curves.levels]
    bins = [f"{n:02d}" for n in range(1, len(curves.predicted) + 1)]
    shares = [f"{share:.2f}" for share in curves.removed]
    for metric, names, unit_, values in (
        ("coverage", levels, "", curves.coverage),
        ("bin_std", bins, unit, [scale * v for v in curves.predicted]),
        ("bin_rmse", bins, unit, [scale * v for v in curves.observed]),
        ("sparsification", shares, "", curves.remaining),
        ("sparsification_oracle", shares, "", curves.oracle),
    ):
        for name, value in zip(names, values, strict=True):
            yield Key(metric, place, name), unit_, partial(float, value)


def _beliefs(part: Part) -> _Measures:
    """What standard deviations, samples and intervals of a region are worth, by quantity."""
    both, place = part.both, part.region.name
    given, target = both.given, both.target
    drawn = given.draws is not None and target.inside.ndim == 3
    several = [ITSELF, *(SCALARS if target.tensors else ())] if drawn else []
    alone = [ITSELF] if given.std is not None else []
    for quantity in dict.fromkeys((*several, *alone, *given.spread)):
        unit, scale = target.unit_of(quantity)
        key = Key("crps", place, quantity.upper() or None)
        yield key, unit, partial(_crps, part, quantity, scale)
    if drawn and target.tensors:
        unit, scale = target.unit_of()
        yield Key("energy_score", place), unit, partial(_energy, part, scale)
    for quantity in given.intervals:
        unit, scale = target.unit_of(quantity)
        key = Key("interval_coverage", place, quantity.upper() or None)
        found = cache(partial(_interval, part, quantity, scale))
        yield key, "%", partial(_item, found, 0)
        yield key._replace(metric="interval_width"), unit, partial(_item, found, 1)


def _crps(part: Part, quantity: str, scale: float) -> float:
    """Of samples, where there are any, else of normal distributions."""
    made, wanted = part.pair(quantity)
    if part.both.given.draws is not None:
        score = crps_samples(part.region.of(part.both.sampled[quantity]), wanted)
    else:
        score = crps_normal(made - wanted, part.region.of(part.both.std[quantity]))
    return scale * float(score.mean())


def _energy(part: Part, scale: float) -> float:
    draws = part.region.of(part.both.draws)
    return scale * float(energy_score(draws, part.reference, MULTIPLICITY[:, 0]).mean())


def _interval(part: Part, quantity: str, scale: float) -> tuple[float, float]:
    """Coverage in percent, and width."""
    low, high = (part.region.of(ends) for ends in part.both.ends[quantity])
    held, width = interval_coverage(low, high, part.pair(quantity)[1])
    return 100 * held, scale * width


def _draws(both: Compared) -> _Measures:
    """The best of several results, and how they vary (cINN, Table 1)."""
    place, (unit, scale) = both.target.everywhere, both.target.unit_of()
    square = f"{unit}²" if unit else ""

    def best() -> float:
        errors = np.square(both.draws - both.target.voxels)
        return scale**2 * float(errors.mean(axis=(1, 2)).min())

    yield Key("best_mse", place), square, best
    key = Key("draw_variance", place)
    yield key, square, lambda: scale**2 * float(both.draws.var(axis=0).mean())
    count = 0 if both.given.draws is None else len(both.given.draws)
    if count > 1 and both.target.inside.ndim == 3:
        names = [f"{n:02d}" for n in range(count + 1)]
        yield from _each(Key("rank", place), names, "", lambda: _ranks(both).shares)


def _ranks(both: Compared) -> RankHistogram:
    return rank_histogram(both.draws, both.target.voxels, np.random.default_rng(0))


def _cycle(target: Target, round_trip: Array, start: Array) -> _Measures:
    """In the mask, whose voxels on another grid are those that lie in it by half at least."""
    unit, scale = target.unit_of()
    place = target.everywhere
    residual = cache(lambda: cycle_residual(round_trip, start, target.mask_of(start.shape[1:])))
    yield Key("cycle_largest", place), unit, lambda: scale * residual().largest
    yield Key("cycle_mean", place), unit, lambda: scale * residual().mean
    yield Key("cycle_relative", place), "", lambda: residual().relative


def _volumes(target: Target, labels: Array) -> _Measures:
    """Volumes of the labelled regions, and their overlap."""
    if not any(target.settings.measures(Key(metric)) for metric in VOLUMES):
        return
    reference, voxel_size = target.labels, target.voxel_size
    if reference is None or voxel_size is None:
        raise InputError("volumetry needs a label map of the reference and the voxel size")
    named = target.settings.label_names
    regions = cache(lambda: volumetry(labels, reference, voxel_size, named))
    try:
        names = list(regions())
    except InputError:  # the reason is in the values below
        names = list(region_names(reference, names=named).values())
    for name in names:
        yield from _volume(name, regions)


def _volume(name: str, regions: Callable[[], Mapping[str, RegionVolume]]) -> _Measures:
    yield Key("volume", name), "mL", lambda: regions()[name].prediction
    yield Key("reference_volume", name), "mL", lambda: regions()[name].reference
    yield Key("volume_change", name), "%", lambda: _change(regions()[name])
    yield Key("dice", name), "", lambda: regions()[name].dice


def _change(region: RegionVolume) -> float:
    if region.reference == 0:
        raise InputError("the change of a volume is undefined where the reference has none")
    return 100 * (region.prediction / region.reference - 1)
