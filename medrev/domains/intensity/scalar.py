"""Scalar super-resolution: one contrast on two grids, the same domain on both sides."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.config.schema import ANY_CONTRAST, ScalarData
from medrev.data.subject import Subject
from medrev.domains.domain import OF_FINER
from medrev.domains.guarantee import Consistency
from medrev.domains.intensity.domain import IntensityDomain, Volumes, compare_contrasts
from medrev.domains.intensity.find import SCALAR_LAYOUTS, scalar_file
from medrev.domains.intensity.names import (
    contrast_base,
    contrast_ending,
    contrast_file,
    named_contrast,
)
from medrev.domains.outputs import Output
from medrev.domains.quick_look import nearest
from medrev.domains.results import ResultFiles
from medrev.domains.score import ABOUT_PLACES
from medrev.domains.source import Entry
from medrev.domains.values import Prediction, Scan
from medrev.errors import InputError
from medrev.metrics import Settings
from medrev.volumes import Reorient, blocks_of, from_blocks, voxel_size, with_means

#: Coarse planes at a time.
_PLANES = 8
#: Of what details may be, so that rounding makes nothing negative.
_HAIR = 1 - 1e-6


def consistent_volume(
    values: Tensor, given: Tensor, mask: Tensor | None, factors: tuple[int, ...]
) -> tuple[Tensor, Consistency]:
    """Move every block so that its mean is the scan's; where that makes a voxel negative, smooth.

    Args:
        values: A network's ``(1, *(spatial · r))``.
        given: The scan's ``(1, *spatial)``. Where it is negative there is no answer.
        mask: ``(1, *spatial)``: what is compared (default: everything).
        factors: r along every axis.

    Returns:
        The volume, float32, and what was measured.
    """
    inside = torch.ones_like(given, dtype=torch.bool) if mask is None else mask > 0
    parts, left, moved, counts = [], [], [], [0, 0]
    fine = values.split(_PLANES * factors[0], dim=1)
    for high, low, where in zip(
        fine, given.float().split(_PLANES, dim=1), inside.split(_PLANES, dim=1), strict=True
    ):
        before = blocks_of(high, factors).double()
        details = before - before.mean(dim=-1, keepdim=True)
        deepest = -details.amin(dim=-1)
        share = (_HAIR * low.double() / deepest).where(deepest > low, 1.0).clamp(min=0)
        after = with_means(low.double()[..., None] + share[..., None] * details, low)
        impossible = low < 0
        after = torch.where(impossible[..., None], before.float().clamp(min=0), after)
        counts[0] += int((where & (share < 1) & ~impossible).sum())
        counts[1] += int((where & impossible).sum())
        compared = where & ~impossible
        left.append((after.double().mean(dim=-1) - low)[compared])
        moved.append((after - before)[compared].flatten())
        parts.append(from_blocks(after, factors))
    return torch.cat(parts, dim=1), Consistency.measured(
        torch.cat(left)[None],
        given[inside][None],
        torch.cat(moved),
        degradation="block mean",
        unit="arbitrary",
        smoothed=counts[0],
        impossible=counts[1],
    )


#: What a contrast is called of which nobody says what it is.
_UNNAMED = "MRI"
#: Of the entity desc, by name of what a result has beside the volume.
_LABELS = {name: f"sr{name}" for name in ("std", "cycle", "lower", "upper", "score")}
#: How much longer than the other edges of a voxel one is where slices lie along it.
_THICK = 1.5


class ScalarDomain(IntensityDomain[ScalarData]):
    """A contrast on the coarse grid (x) or on the fine one (y)."""

    title = "Super-resolved MRI"
    section = ScalarData
    intervals = ("volume",)
    uncertain = ("lower", "upper")
    layouts = SCALAR_LAYOUTS
    refuses: ClassVar = {
        option: why for option, why in IntensityDomain.refuses.items() if option not in OF_FINER
    }

    @property
    def called(self) -> str:
        """The contrast, and which grid."""
        return f"{self._contrast}, {'low' if self.side == 'x' else 'high'} resolution"

    @property
    def _contrast(self) -> str:
        """The contrast in words."""
        return _UNNAMED if self.data.contrast == ANY_CONTRAST else super().called

    def base(self, path: Path) -> str:
        """The name without its contrast; with it where a model takes all of them."""
        base, named = super().base(path), named_contrast(path)
        if self.data.contrast != ANY_CONTRAST or named is None:
            return base
        return f"{base}_{named}"

    def named(self, output: Path, path: Path) -> str:
        """With the contrast of the input, where a model takes all of them."""
        stem, contrast = super().named(output, path), named_contrast(path)
        if self.data.contrast != ANY_CONTRAST or contrast is None or contrast_ending(stem):
            return stem
        return f"{stem}_{contrast}"

    def place(self, entry: Entry) -> tuple[Path, str]:
        """The same, with the contrast; subjects called by their files have it in their names."""
        named = named_contrast(entry.path)
        if self.data.contrast != ANY_CONTRAST or named is None:
            return super().place(entry)
        person = contrast_base(Path(entry.name), self.data.contrast)
        folder, base = super().place(dataclasses.replace(entry, name=person))
        return folder, base if base.endswith(f"_{named}") else f"{base}_{named}"

    def _entry(self, subject: Subject) -> Entry:
        try:
            return Entry.of(subject, scalar_file(subject, self.data))
        except InputError as error:
            return Entry.of(subject, None, [str(error)])

    def check(self, options: Sequence[str]) -> None:
        """Consistency is that of block means."""
        super().check(options)
        made = self.data.degradation
        if "--consistency exact" in options and (made.profile != "box" or made.gap):
            raise InputError(
                "--consistency exact is for slices that are means of all they hold; "
                f"{self.pipeline.name} takes slices with profile {made.profile}, gap {made.gap:g}"
            )

    def consistent(
        self, values: Tensor, scan: Scan, factors: tuple[int, ...], s0: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, Consistency]:
        """Block means are those of the scan; nothing is negative where they are not."""
        moved, consistency = consistent_volume(values, scan.values, scan.mask, factors)
        return moved, None, consistency

    def scored(self, scale: float) -> Settings:
        """In units of a volume's own scale."""
        return Settings(tensors=False, value_range=1.0)

    def result_scale(
        self, scan: Scan, header: Mapping[str, Any], *, model_scale: float, input_scale: float
    ) -> tuple[float, tuple[str, ...]]:
        """That of the input: intensities keep their unit."""
        return input_scale, ()

    def file_name(self, base: str, name: str, ending: str) -> str:
        """A name of BIDS: contrast and grid."""
        contrast = self.name
        if contrast == ANY_CONTRAST:
            contrast = contrast_ending(base) or _UNNAMED
            base = base.removesuffix(f"_{contrast}")
        stem = f"{base}_res-{'lo' if self.side == 'x' else 'hi'}"
        sample = name.removeprefix("sample-")
        label = f"srsample{int(sample):02d}" if sample != name else _LABELS.get(name, "sr")
        return contrast_file(stem, contrast, label, ending)

    def ignored_by_bids(self, format: str) -> tuple[str, ...]:
        """The validator knows no NRRD, and no volume of which nobody says what contrast it is."""
        unnamed = (f"*_{_UNNAMED}.*",) if self.data.contrast == ANY_CONTRAST else ()
        return (*(("*_desc-sr*.nrrd",) if format == "nrrd" else ()), *unnamed)

    def reorient(self, affine: NDArray[Any]) -> Reorient:
        """To axes nearest to RAS; where a model makes slices thinner, the last one is theirs.

        Factors of a pipeline are those of left-right, back-front and bottom-top. One of axial
        slices is for slices along any axis: those of a coarse volume lie where its voxels are
        longest.
        """
        if self.side == "y" or self.data.factors[:2] != (1, 1):
            return Reorient(affine)
        edges = voxel_size(Reorient(affine).affine_for((1, 1, 1)))
        longest = int(np.argmax(edges))
        others = max(edge for axis, edge in enumerate(edges) if axis != longest)
        return Reorient(affine, longest if edges[longest] > _THICK * others else 2)

    def results(
        self, prediction: Prediction, scan: Scan, *, source: ResultFiles
    ) -> dict[str, Output]:
        """The volume, its uncertainty; cycle residual and score on the grid of the input."""
        made = "Super-resolved" if self.side == "y" else "Averaged"
        name, interval, grid = self._contrast, prediction.interval, prediction.placed
        words = {
            "volume": f"{made} {name}",
            "std": f"Uncertainty: standard deviation of the {made.lower()} {name} over "
            f"{prediction.spread_over}",
            "cycle": f"Cycle residual: distance of the input {name} from the result translated "
            "back",
            "score": ABOUT_PLACES[0],
        }
        for number in range(1, prediction.samples + 1):
            words[f"sample-{number}"] = f"{made} {name}: sample {number} of {prediction.samples}"
        volumes: Volumes = {"volume": (prediction.values, grid), **prediction.beside(scan)}
        if interval is not None:
            ends = interval.bounds("volume", prediction.values, prediction.spread["volume"])
            inside = 1 if prediction.mask is None else prediction.mask
            for end, values in zip(("lower", "upper"), ends, strict=True):
                words[end] = f"{made} {name}: {end} end of the {interval.level:g} % interval"
                volumes[end] = values.clamp(min=0) * inside, grid
        return self._maps(volumes, words, scan)

    def sidecar(self, prediction: Prediction, scan: Scan) -> dict[str, Any]:
        """Contrast, grid and intensities."""
        world = np.argsort(Reorient(scan.placed).order)
        edges, before = voxel_size(prediction.placed), voxel_size(scan.placed)
        ratios = [max(old / new, new / old) for old, new in zip(before, edges, strict=True)]
        factors = "x".join(f"{ratios[axis]:.3g}" for axis in world)
        view = "same corner" if "VoxelSize" in prediction.facts else "same field of view"
        shown = " x ".join(f"{edge:.4g}" for edge in edges)
        finer = "finer" if self.side == "y" else "coarser"
        found = super().sidecar(prediction, dataclasses.replace(scan, affine=prediction.affine))
        del found["SkullStripped"]  # heads keep their skull
        return {
            **found,
            "Resolution": f"{shown} mm, {factors} times {finer} than the input along left-right, "
            f"back-front and bottom-top, {view}",
        }

    def picture(
        self, prediction: Prediction, scan: Scan, *, source: ResultFiles, title: str
    ) -> Output | None:
        """Input and output in three views, both on the fine grid (nearest neighbour)."""
        made, given, residual = prediction.values, scan.values, prediction.cycle_residual
        grids = [np.array(voxel_size(affine)) for affine in (scan.placed, prediction.placed)]
        coarse, finest = grids if self.side == "y" else grids[::-1]

        def fine(values: Tensor, shape: tuple[int, ...]) -> Tensor:
            if tuple(values.shape[1:]) == shape:
                return values
            for axis, (count, ratio) in enumerate(zip(shape, finest / coarse, strict=True), 1):
                found = nearest(count, ratio, values.shape[axis])
                values = values.index_select(axis, torch.from_numpy(found))
            return values

        if self.side == "y":
            shape = tuple(made.shape[1:])
            affine, mask = prediction.placed, prediction.mask
        else:
            shape, affine, mask = tuple(given.shape[1:]), scan.placed, scan.mask
        shown = dataclasses.replace(scan, values=fine(given, shape), affine=affine, mask=mask)
        result = dataclasses.replace(
            prediction,
            values=fine(made, shape),
            std=None if prediction.std is None else fine(prediction.std, shape),
            cycle_residual=None if residual is None else fine(residual, shape),
        )
        return compare_contrasts(
            shown,
            result,
            names=(source.called, self.called),
            title=title,
            model=self.pipeline.name,
        )
