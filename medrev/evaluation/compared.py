"""A prediction beside its reference; what several metrics need of the two is computed once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from medrev.errors import InputError
from medrev.evaluation.target import Region, Target
from medrev.metrics import (
    Array,
    Calibration,
    Floats,
    SliceScores,
    Tensors,
    as_array,
    calibration,
    check_finite,
    check_shapes,
    gradient_energy,
    slice_scores,
)

#: The quantity that the volume itself is, beside its scalar maps.
ITSELF = ""


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
        spread: Standard deviation ``(1, I, J, K)`` of scalar maps of tensors: fa, md, ad, rd.
        intervals: Lower and upper ends, ``(Q, I, J, K)`` each, of these and of the volume itself,
            which is called :data:`ITSELF`.
        level: What share of the voxels the intervals are to hold, in percent.
    """

    volume: Array
    std: Array | None = None
    cycle: tuple[Array, Array] | None = None
    labels: Array | None = None
    changed: Array | None = None
    draws: Array | None = None
    spread: Mapping[str, Array] = field(default_factory=dict)
    intervals: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)
    level: float | None = None


@dataclass(frozen=True, eq=False)
class Compared:
    """A prediction and the reference it is compared with.

    Where there is a :attr:`problem`, nothing else can be asked for.
    """

    given: Prediction
    target: Target

    @cached_property
    def problem(self) -> str:
        """Why they cannot be compared: shapes differ, or a masked value is not finite."""
        try:
            _ = self.errors
        except InputError as error:
            return str(error)
        return ""

    @cached_property
    def volume(self) -> Floats:
        """The prediction, ``(C, …)``."""
        return as_array(self.given.volume)

    @cached_property
    def voxels(self) -> Floats:
        """The mask's voxels, ``(C, N)``."""
        check_shapes(self.volume, self.target.volume)
        return self._inside(self.volume, "prediction")

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
        volume = self.volume - self.target.settings.black
        return self.target.structure.compare(volume, self.target.span)

    @cached_property
    def spectrum(self) -> tuple[Floats, Floats]:
        """Power ratio and coherence by band."""
        return self.target.spectrum.compare(self.volume)

    @cached_property
    def gradients(self) -> tuple[float, ...]:
        """Gradient energy by axis."""
        return gradient_energy(self.volume, self.target.mask, self.target.voxel_size)

    @cached_property
    def slices(self) -> SliceScores:
        """Scores of the slices."""
        target, settings = self.target, self.target.settings
        return slice_scores(
            target.padded(self.volume),
            target.padded(target.volume),
            None if settings.whole_slices else target.mask,
            axis=2 if settings.slice_axis is None else settings.slice_axis,
            value_range=target.span,
        )

    @cached_property
    def draws(self) -> Floats:
        """The mask's voxels of every result that was drawn, ``(n, C, N)``."""
        if self.given.draws is None:
            raise InputError("no several results were drawn")
        volumes = [as_array(volume) for volume in self.given.draws]
        check_shapes(volumes[0], self.target.volume)
        return np.stack([self._inside(volume, "draws") for volume in volumes])

    @cached_property
    def sampled(self) -> dict[str, Floats]:
        """The same of every quantity, ``(n, Q, N)``: the volume itself, and tensors' maps."""
        if not self.target.tensors:
            return {ITSELF: self.draws}
        maps = [Tensors.of(draw).scalars for draw in self.draws]
        named = {name: np.stack([one[name][None] for one in maps]) for name in maps[0]}
        return {ITSELF: self.draws, **named}

    def _inside(self, volume: Array, what: str) -> Floats:
        """The mask's voxels ``(Q, N)`` of a volume."""
        values = as_array(volume)
        check_shapes(values[:1], self.target.volume[:1])
        voxels = values[:, self.target.inside]
        check_finite(voxels, what)
        return voxels

    @cached_property
    def std(self) -> dict[str, Floats]:
        """Predicted standard deviations ``(Q, N)`` by quantity."""
        named = {name: self._inside(v, f"std of {name}") for name, v in self.given.spread.items()}
        if self.given.std is None:
            return named
        check_shapes(as_array(self.given.std), self.target.volume)
        return {ITSELF: self._inside(self.given.std, "predicted standard deviation"), **named}

    @cached_property
    def calibration(self) -> Calibration:
        """Predicted standard deviations beside the errors."""
        return calibration(self.errors, self.std[ITSELF])

    @cached_property
    def ends(self) -> dict[str, tuple[Floats, Floats]]:
        """Ends of intervals, ``(Q, N)`` each, by quantity."""
        return {
            name: (self._inside(low, "lower ends"), self._inside(high, "upper ends"))
            for name, (low, high) in self.given.intervals.items()
        }


@dataclass(frozen=True, eq=False)
class Part:
    """A prediction and its reference in one region.

    Where there is a :attr:`problem`, nothing else can be asked for.
    """

    both: Compared
    region: Region

    @property
    def problem(self) -> str:
        """Why they cannot be compared there."""
        return self.region.empty or self.both.problem

    @cached_property
    def prediction(self) -> Floats:
        """Voxels of the prediction, ``(C, n)``."""
        return self.region.of(self.both.voxels)

    @cached_property
    def reference(self) -> Floats:
        """Voxels of the reference, ``(C, n)``."""
        return self.region.of(self.both.target.voxels)

    @cached_property
    def errors(self) -> Floats:
        """Prediction minus reference, ``(C, n)``."""
        return self.region.of(self.both.errors)

    @cached_property
    def tensors(self) -> tuple[Tensors, Tensors]:
        """Tensors of the prediction and the reference."""
        pair = self.both.decomposed, self.both.target.decomposed
        chosen = self.region.chosen
        return pair if chosen is None else (pair[0].at(chosen), pair[1].at(chosen))

    def pair(self, quantity: str) -> tuple[Floats, Floats]:
        """A quantity of the prediction and of the reference, ``(Q, n)`` each."""
        if quantity == ITSELF:
            return self.prediction, self.reference
        one, two = self.tensors
        return one.scalars[quantity][None], two.scalars[quantity][None]

    @property
    def ssim(self) -> float:
        """Mean SSIM of the region's voxels.

        Raises:
            InputError: None of them counts.
        """
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
