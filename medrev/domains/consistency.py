"""How closely a result gives back its scan when it is made coarse again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """What was measured on the numbers that are written, on the scan's own grid.

    Attributes:
        degradation: How the result was made coarse again, in words.
        unit: Of the numbers.
        maximum: Largest difference from the scan.
        rms: Root mean square of it.
        largest: Largest value of the scan.
        voxels: Voxels of the scan that were compared.
        moved: Root mean square of what the result was moved by.
        smoothed: Voxels of the scan whose details were made smaller, so that tensors stay positive
            definite.
        impossible: Voxels of the scan without an answer (their own tensor is not positive
            definite), left as the network gives them and not counted above.
    """

    degradation: str
    unit: str
    maximum: float
    rms: float
    largest: float
    voxels: int
    moved: float
    smoothed: int = 0
    impossible: int = 0

    @classmethod
    def measured(
        cls,
        left: Tensor,
        given: Tensor,
        moved: Tensor,
        *,
        degradation: str,
        unit: str,
        **counts: int,
    ) -> "Consistency":
        """From differences and values of the same shape, one voxel in every column ``(C, V)``.

        Args:
            left: What is left over between the result made coarse and the scan.
            given: The scan.
            moved: What the fine voxels were moved by, of any shape.
            degradation: As the attribute.
            unit: As the attribute.
            counts: ``smoothed``, ``impossible``.
        """

        def rms(values: Tensor) -> float:
            return float(values.double().square().mean().sqrt()) if values.numel() else 0.0

        def most(values: Tensor) -> float:
            return float(values.abs().max()) if values.numel() else 0.0

        return cls(
            degradation=degradation,
            unit=unit,
            maximum=most(left),
            rms=rms(left),
            largest=most(given),
            voxels=left.shape[-1],
            moved=rms(moved),
            **counts,
        )

    @property
    def relative(self) -> float:
        """The largest difference as a share of the largest value."""
        return self.maximum / self.largest if self.largest else 0.0

    def __str__(self) -> str:
        count, text = self.voxels + self.impossible, f"all {self.voxels} voxels"
        if self.impossible:
            text = f"{self.voxels} of {count} voxels; the others have no answer"
        return (
            f"the result gives back the scan: the {self.degradation} differs from it by at most "
            f"{self.relative:.1g} of the largest value, in {text} (was the file resampled before, "
            "this is said of its grid, not of what the scanner measured)"
        )

    @property
    def about(self) -> Mapping[str, Any]:
        """As keys of sidecar and certificate."""
        return {
            "Degradation": self.degradation,
            "Units": self.unit,
            "MaxResidual": self.maximum,
            "RMSResidual": self.rms,
            "LargestValue": self.largest,
            "RelativeResidual": self.relative,
            "ComparedVoxels": self.voxels,
            "RMSChange": self.moved,
            "SmoothedVoxels": self.smoothed,
            "ImpossibleVoxels": self.impossible,
        }


class Certificate:
    """The file of what a result guarantees: all that its sidecars have, and nothing else."""

    about: ClassVar[dict[str, Any]] = {"Description": "Certificate of a result"}

    def write(self, path: Path) -> None:
        """It is its own sidecar."""
