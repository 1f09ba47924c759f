"""A prediction beside its reference; what several metrics need of the two is computed once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from medrev.errors import InputError
from medrev.evaluation.target import Region, Target
from medrev.metrics import (
    Array,
    Calibration,
    Deviation,
    Floats,
    SliceScores,
    Tensors,
    as_array,
    calibration,
    check_finite,
    check_shapes,
    deviation,
    gradient_energy,
    slice_flicker,
    slice_scores,
)

__all__ = ["Compared", "Part", "Prediction"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one method made of one subject.

    Attributes:
        volume: Volume of shape ``(C, I, J, K)`` on the reference's grid; mm²/s for tensors.
        std: Predicted standard deviation, same shape and unit as the volume.
        cycle: The round trip of the method's input, and that input: two volumes of one shape.
        labels: Label map ``(I, J, K)`` of the prediction, for volumetry.
        changed: What the method made of a changed input, same shape and unit as the volume, for
            its sensitivity.
        draws: Several results for the same input, ``(n, C, I, J, K)``, where there are several.
    """

    volume: Array
    std: Array | None = None
    cycle: tuple[Array, Array] | None = None
    labels: Array | None = None
    changed: Array | None = None
    draws: Array | None = None


@dataclass(frozen=True, eq=False)
class Compared:
    """A prediction and the reference it is compared with.

    Every property raises :class:`InputError` where shapes differ or a masked value is not finite.
    """

    given: Prediction
    target: Target

    @cached_property
    def _checked(self) -> tuple[Floats | None, str]:
        """The mask's voxels ``(C, N)``, or None and why they cannot be compared."""
        try:
            check_shapes(self.volume, self.target.volume)
            voxels = self.volume[:, self.target.inside]
            check_finite(voxels, "prediction")
            _ = self.target.voxels
        except InputError as error:
            return None, str(error)
        return voxels, ""

    @cached_property
    def volume(self) -> Floats:
        """The prediction, ``(C, …)``."""
        return as_array(self.given.volume)

    @property
    def voxels(self) -> Floats:
        """The mask's voxels, ``(C, N)``."""
        voxels, reason = self._checked
        if voxels is None:
            raise InputError(reason)
        return voxels

    @cached_property
    def errors(self) -> Floats:
        """Prediction minus reference, ``(C, N)``."""
        return self.voxels - self.target.voxels

    @cached_property
    def decomposed(self) -> Tensors:
        """The mask's tensors with what is derived from them."""
        return Tensors.of(self.voxels)

    @cached_property
    def similarity(self) -> Floats:
        """SSIM of each voxel that counts, ``(C, N)``."""
        _ = self.voxels
        volume = self.volume - self.target.settings.black
        return self.target.structure.compare(volume, self.target.span)

    @cached_property
    def spectrum(self) -> tuple[Floats, Floats]:
        """Power ratio and coherence by band."""
        _ = self.voxels
        return self.target.spectrum.compare(self.volume)

    @cached_property
    def gradients(self) -> tuple[float, ...]:
        """Gradient energy by axis."""
        _ = self.voxels
        return gradient_energy(self.volume, self.target.mask, self.target.voxel_size)

    @cached_property
    def slices(self) -> SliceScores:
        """Scores of the slices."""
        _ = self.voxels
        settings = self.target.settings
        return slice_scores(
            self.target.padded(self.volume),
            self.target.padded(self.target.volume),
            None if settings.whole_slices else self.target.mask,
            axis=2 if settings.slice_axis is None else settings.slice_axis,
            value_range=self.target.span,
        )

    @property
    def flicker(self) -> float:
        """Roughness across slices beside that within them, prediction ÷ reference."""
        _ = self.voxels
        target, axis = self.target, self.target.settings.slice_axis
        return slice_flicker(self.volume, target.volume, target.mask, axis=axis or 0)

    @cached_property
    def draws(self) -> Floats:
        """The mask's voxels of every result that was drawn, ``(n, C, N)``."""
        if self.given.draws is None:
            raise InputError("no several results were drawn")
        volumes = [as_array(volume) for volume in self.given.draws]
        check_shapes(volumes[0], self.target.volume)
        voxels = np.stack([volume[:, self.target.inside] for volume in volumes])
        check_finite(voxels, "draws")
        _ = self.target.voxels
        return voxels

    @cached_property
    def calibration(self) -> Calibration:
        """Predicted standard deviations beside the errors."""
        if self.given.std is None:
            raise InputError("no standard deviation was predicted")
        std = as_array(self.given.std)
        check_shapes(std, self.target.volume)
        spread = std[:, self.target.inside]
        check_finite(spread, "predicted standard deviation")
        return calibration(self.errors, spread)


@dataclass(frozen=True, eq=False)
class Part:
    """A prediction and its reference in one region.

    Every property raises :class:`InputError` where the region is empty.
    """

    both: Compared
    region: Region

    def check(self) -> None:
        """Raise :class:`InputError` if the region is empty."""
        if self.region.empty:
            raise InputError(self.region.empty)

    @cached_property
    def prediction(self) -> Floats:
        """Voxels of the prediction, ``(C, n)``."""
        self.check()
        return self.region.of(self.both.voxels)

    @cached_property
    def reference(self) -> Floats:
        """Voxels of the reference, ``(C, n)``."""
        self.check()
        return self.region.of(self.both.target.voxels)

    @cached_property
    def errors(self) -> Floats:
        """Prediction minus reference, ``(C, n)``."""
        self.check()
        return self.region.of(self.both.errors)

    @cached_property
    def tensors(self) -> tuple[Tensors, Tensors]:
        """Tensors of the prediction and the reference."""
        self.check()
        pair = self.both.decomposed, self.both.target.decomposed
        chosen = self.region.chosen
        return pair if chosen is None else (pair[0].at(chosen), pair[1].at(chosen))

    @cached_property
    def scalars(self) -> dict[str, Deviation]:
        """Errors of the scalar maps."""
        one, two = (tensors.scalars for tensors in self.tensors)
        return {name: deviation(one[name] - two[name]) for name in one}

    @cached_property
    def deviation(self) -> Deviation:
        """Errors of the intensities."""
        return deviation(self.errors)

    @property
    def ssim(self) -> float:
        """Mean SSIM of the region's voxels."""
        self.check()
        values, chosen = self.both.similarity, self.region.chosen
        if chosen is None:
            return float(values.mean())
        target = self.both.target
        chosen = chosen[target.structure.counted[target.inside]]
        if not chosen.any():
            raise InputError(
                f"SSIM without a mask has no whole window centred in {self.region.name}"
            )
        return float(values[:, chosen].mean())
