"""Which metrics a prediction is measured with, and the records they become."""

from collections.abc import Callable
from functools import cache, partial

from medrev.dti import COMPONENTS
from medrev.errors import InputError
from medrev.evaluation.compared import Compared, Part, Prediction
from medrev.evaluation.records import WHOLE, Key, Record
from medrev.evaluation.sheet import DIFFUSIVITY, Sheet
from medrev.evaluation.target import Target
from medrev.metrics import (
    RMSE_UNIT,
    Array,
    Floats,
    RegionVolume,
    band_names,
    cycle_residual,
    direction_error_of,
    frobenius_of,
    mean_change,
    nmse_of,
    not_positive_definite_of,
    of_errors,
    psnr_of,
    ratio_of,
    region_names,
    rmse_of,
    volumetry,
    weighted_direction_error_of,
)

__all__ = ["measure"]

AXES = "ijk"
VOLUMES = {"volume": "mL", "reference_volume": "mL", "volume_change": "%", "dice": ""}


_Score = Callable[[Compared], Floats | float]
#: Scores whose change with the input is measured: unit and score by the name of the change.
_SENSITIVE: dict[str, tuple[str, _Score]] = {
    "d_nmae": ("", lambda found: of_errors(found.errors).mae / found.target.span),
    "d_psnr": ("dB", lambda found: psnr_of(found.voxels, found.target.voxels, found.target.span)),
    "d_ssim": ("", lambda found: float(found.similarity.mean())),
    "slice_d_nmae": ("", lambda found: found.slices.maes / found.target.span),
    "slice_d_psnr": ("dB", lambda found: found.slices.psnrs),
    "slice_d_ssim": ("", lambda found: found.slices.ssims),
}


def measure(
    given: Prediction, target: Target, *, subject: str, method: str = "model"
) -> list[Record]:
    """Measure one prediction with all that the settings and the inputs ask for.

    Args:
        given: The prediction.
        target: The reference.
        subject: Subject name.
        method: Name of the method.
    """
    sheet, both = Sheet(subject, method, target), Compared(given, target)
    for region in target.regions:
        part = Part(both, region)
        _tensors(sheet, part) if target.tensors else _intensities(sheet, part)
        _images(sheet, part)
    _sharpness(sheet, both)
    if target.settings.slice_axis is not None:
        _slices(sheet, both)
    if given.changed is not None:
        _sensitivity(sheet, both, Compared(Prediction(given.changed), target))
    if given.std is not None:
        _uncertainty(sheet, both)
    if given.cycle is not None:
        _cycle(sheet, *given.cycle)
    if given.labels is not None:
        _volumes(sheet, given.labels)
    return sheet.records


def _tensors(sheet: Sheet, part: Part) -> None:
    region, unit = part.region, DIFFUSIVITY
    sheet.write(Key("rmse", region.name), unit, lambda: rmse_of(part.errors))
    key = Key("rmse", region.name)
    sheet.write_each(key, COMPONENTS, unit, lambda: [rmse_of(e) for e in part.errors])
    for name in ("fa", "md", "ad", "rd"):
        _scalar(sheet, part, name)
    sheet.write(Key("direction_error", region.name), "°", lambda: direction_error_of(*part.tensors))
    sheet.write(
        Key("weighted_direction_error", region.name),
        "°",
        lambda: weighted_direction_error_of(*part.tensors),
    )
    sheet.write(Key("frobenius", region.name), unit, lambda: frobenius_of(part.errors) / RMSE_UNIT)
    sheet.write(
        Key("log_euclidean", region.name),
        "",
        lambda: frobenius_of(part.tensors[0].logarithm - part.tensors[1].logarithm),
    )
    sheet.write(
        Key("not_positive_definite", region.name),
        "%",
        lambda: 100 * not_positive_definite_of(part.prediction),
    )


def _scalar(sheet: Sheet, part: Part, name: str) -> None:
    """Errors and means of one scalar map."""
    unit, scale = ("", 1.0) if name == "fa" else (DIFFUSIVITY, 1 / RMSE_UNIT)

    def write(metric: str, value: Callable[[], float]) -> None:
        sheet.write(Key(metric, part.region.name, name.upper()), unit, lambda: scale * value())

    write("mae", lambda: part.scalars[name].mae)
    write("rmse", lambda: part.scalars[name].rmse)
    write("bias", lambda: part.scalars[name].bias)
    write("mean", lambda: float(part.tensors[0].scalars[name].mean()))
    write("reference_mean", lambda: float(part.tensors[1].scalars[name].mean()))


def _intensities(sheet: Sheet, part: Part) -> None:
    unit = sheet.unit
    sheet.write(Key("mae", part.region.name), unit, lambda: part.deviation.mae)
    sheet.write(
        Key("nmae", part.region.name),
        "",
        lambda: part.deviation.mae / part.both.target.span,
    )
    sheet.write(Key("rmse", part.region.name), unit, lambda: part.deviation.rmse)
    sheet.write(Key("bias", part.region.name), unit, lambda: part.deviation.bias)
    sheet.write(Key("mean", part.region.name), unit, lambda: float(part.prediction.mean()))
    sheet.write(Key("reference_mean", part.region.name), unit, lambda: float(part.reference.mean()))


def _images(sheet: Sheet, part: Part) -> None:
    """What is defined for volumes of any kind."""
    region, both = part.region, part.both
    sheet.write(Key("nmse", region.name), "", lambda: nmse_of(part.prediction, part.reference))
    sheet.write(
        Key("psnr", region.name),
        "dB",
        lambda: psnr_of(part.prediction, part.reference, both.target.span),
    )

    def ssim() -> float:
        part.check()
        values = both.similarity
        if region.chosen is None:
            return float(values.mean())
        counted = both.target.structure.counted[both.target.inside]
        chosen = region.chosen[counted]
        if not chosen.any():
            raise InputError(f"SSIM without a mask has no whole window centred in {region.name}")
        return float(values[:, chosen].mean())

    sheet.write(Key("ssim", region.name), "", ssim)


def _sharpness(sheet: Sheet, both: Compared) -> None:
    place, reference = sheet.everywhere, both.target
    for axis, name in ((None, None), *enumerate(AXES[: reference.inside.ndim])):
        _gradient(sheet, both, Key("gradient_ratio", place, name), axis)
    names = band_names(reference.settings.bands)
    sheet.write_each(Key("power_ratio", place), names, "", lambda: list(both.spectrum[0]))
    sheet.write_each(Key("coherence", place), names, "", lambda: list(both.spectrum[1]))


def _gradient(sheet: Sheet, both: Compared, key: Key, axis: int | None) -> None:
    sheet.write(key, "", lambda: ratio_of(both.gradients, both.target.gradients, axis))


def _slices(sheet: Sheet, both: Compared) -> None:
    axis, place = sheet.target.settings.slice_axis, sheet.of_slices
    _gradient(sheet, both, Key("through_plane_ratio", sheet.everywhere), axis)
    sheet.write(Key("flicker", sheet.everywhere), "", lambda: both.flicker)
    sheet.write(Key("slice_mae", place), sheet.unit, lambda: sheet.scale * both.slices.mae)
    sheet.write(Key("slice_nmae", place), "", lambda: both.slices.mae / both.target.span)
    sheet.write(Key("slice_psnr", place), "dB", lambda: both.slices.psnr)
    sheet.write(Key("slice_ssim", place), "", lambda: both.slices.ssim)
    sheet.write(Key("slice_count", place), "", lambda: both.slices.count)
    sheet.write(Key("slice_equal", place), "", lambda: both.slices.equal)


def _sensitivity(sheet: Sheet, both: Compared, changed: Compared) -> None:
    """How much the scores change with the input, of all voxels and of slices."""
    for metric, (unit, score) in _SENSITIVE.items():
        of_slices = metric.startswith("slice_")
        if sheet.target.settings.slice_axis is not None or not of_slices:
            place = sheet.of_slices if of_slices else sheet.everywhere
            sheet.write(Key(metric, place), unit, partial(_score_change, score, both, changed))


def _score_change(score: _Score, both: Compared, changed: Compared) -> float:
    return mean_change(score(both), score(changed))


def _uncertainty(sheet: Sheet, both: Compared) -> None:
    place = sheet.everywhere

    def correlation() -> float:
        value = both.calibration.rank_correlation
        if value is None:
            raise InputError(
                "the rank correlation is undefined: the standard deviation is constant"
            )
        return value

    sheet.write(Key("coverage_error", place), "", lambda: both.calibration.expected_error)
    sheet.write(Key("reliability_error", place), "", lambda: both.calibration.normalised_error)
    sheet.write(
        Key("sparsification_error", place), "", lambda: both.calibration.sparsification_error
    )
    sheet.write(Key("error_correlation", place), "", correlation)
    try:
        curves = both.calibration
    except InputError:
        return  # the reason is in the records above
    levels = [f"{level:.2f}" for level in curves.levels]
    bins = [f"{n:02d}" for n in range(1, len(curves.predicted) + 1)]
    shares = [f"{share:.2f}" for share in curves.removed]
    unit, scale = sheet.unit, sheet.scale
    for metric, names, unit_, values in (
        ("coverage", levels, "", curves.coverage),
        ("bin_std", bins, unit, [scale * v for v in curves.predicted]),
        ("bin_rmse", bins, unit, [scale * v for v in curves.observed]),
        ("sparsification", shares, "", curves.remaining),
        ("sparsification_oracle", shares, "", curves.oracle),
    ):
        for name, value in zip(names, values, strict=True):
            sheet.write(Key(metric, place, name), unit_, value)


def _cycle(sheet: Sheet, round_trip: Array, start: Array) -> None:
    """On the reference's grid within the mask, on another one everywhere."""
    target, unit, scale = sheet.target, sheet.unit, sheet.scale
    here = tuple(start.shape[1:]) == target.volume.shape[1:]
    place = sheet.everywhere if here else WHOLE
    residual = cache(lambda: cycle_residual(round_trip, start, target.mask if here else None))
    sheet.write(Key("cycle_largest", place), unit, lambda: scale * residual().largest)
    sheet.write(Key("cycle_mean", place), unit, lambda: scale * residual().mean)
    sheet.write(Key("cycle_relative", place), "", lambda: residual().relative)


def _volumes(sheet: Sheet, labels: Array) -> None:
    target = sheet.target
    if not target.settings.measures(*VOLUMES):
        return
    if target.labels is None or target.voxel_size is None:
        raise InputError("volumetry needs a label map of the reference and the voxel size")
    names = region_names(target.labels, names=target.settings.label_names)
    try:
        regions = volumetry(labels, target.labels, target.voxel_size, target.settings.label_names)
    except InputError as error:
        for name in names.values():
            for metric, unit in VOLUMES.items():
                sheet.refuse(Key(metric, name), unit, str(error))
        return
    for name, region in regions.items():
        sheet.write(Key("volume", name), "mL", region.prediction)
        sheet.write(Key("reference_volume", name), "mL", region.reference)
        sheet.write(Key("volume_change", name), "%", partial(_change, region))
        sheet.write(Key("dice", name), "", region.dice)


def _change(region: RegionVolume) -> float:
    if region.reference == 0:
        raise InputError("the change of a volume is undefined where the reference has none")
    return 100 * (region.prediction / region.reference - 1)
