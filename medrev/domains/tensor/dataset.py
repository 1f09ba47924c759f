"""Data sets of diffusion tensors and their low-resolution twins."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from medrev.data import Subject
from medrev.data.cohort import cohort_lines
from medrev.data.subject import PARTS
from medrev.domains.dataset import CardFacts, CohortDataset, Processes
from medrev.domains.domain import Domain
from medrev.domains.quick_look import row
from medrev.domains.sample import Outcome, Sample, Translated
from medrev.domains.tensor.batches import PatchBatches
from medrev.domains.tensor.degradation import Prepared
from medrev.domains.tensor.find import find_cohort, scanned
from medrev.domains.tensor.preparation import check_subjects, prepare
from medrev.domains.tensor.ranges import auto_scale, training_ranges
from medrev.dti import color_fa, scalar_maps
from medrev.metrics import NOISE_FLOOR, Settings, interpolate_to
from medrev.volumes import Panel, Plane, nifti_shape, rescale_affine, voxel_size

#: The interpolation whose error others are divided by.
_YARDSTICK: Literal["cubic"] = "cubic"


class TensorDataset(CohortDataset[Prepared]):
    """Tensors of a cohort, and low-resolution twins made from them.

    The way from high to low resolution is not measured. The scale is the diffusivity (mm²/s) that
    is 1 in the network.
    """

    validation = ("rmse_interior", "rmse")
    scores_inverse = False
    columns = "input, cubic interpolation, output and reference"
    ensembles = True

    def look(self) -> None:
        """Find the cohort."""
        self.data = self.pipeline.dti
        self.cohort = find_cohort(self.data)

    @classmethod
    def task(cls, x: Domain, y: Domain) -> str:
        """Super-resolution."""
        factor = y.pipeline.data.factor
        return f"for {factor}-fold super-resolution of diffusion tensors"

    @property
    def sides(self) -> tuple[str, ...]:
        """Both are tensors."""
        return ()

    def found(self) -> Iterator[str]:
        """The cohort."""
        return cohort_lines(
            self.cohort, lambda s: "ready tensors" if "tensor" in s.files else "raw DWI"
        )

    def check(self) -> None:
        """Files are there, and gradients fit their series."""
        check_subjects([s for part in PARTS for s in self.members(part)], self.data)

    def prepare(
        self, members: Sequence[Subject], world: Processes | None = None, *, show: bool = False
    ) -> list[Prepared]:
        """Read, fit and degrade subjects; the first process fills the cache, the others read it."""
        if world is None:
            return prepare(members, self.data, progress=show)
        if world.is_main:
            ready = prepare(members, self.data, progress=show)
        world.barrier()
        return ready if world.is_main else prepare(members, self.data, progress=False)

    def sample(self, ready: Prepared) -> Sample:
        """The twin and the tensors."""
        return replace(ready, scales=(self.scale, self.scale))

    @property
    def scale(self) -> float:
        """Diffusivity (mm²/s) that is 1 in the network."""
        if self._scale is None:
            auto = self.data.scale == "auto"
            self._scale = auto_scale(self.kept("train")) if auto else float(self.data.scale)
        return self._scale

    def batches(self, *, rank: int = 0, world: int = 1) -> PatchBatches:
        """Patches of the training subjects."""
        return PatchBatches(
            self.kept("train"),
            self.data,
            self.scale,
            self.pipeline.seed,
            **self.order(rank, world),
        )

    def batches_per_epoch(self) -> tuple[int, bool]:
        """By the headers of the files alone: patches without brain are counted too."""
        subjects, patches, batch = self.members("train"), self.data.patches, self.data.batch_size
        turns = self.pipeline.method.turns
        if patches.sampling == "random" and patches.per_subject is not None:
            return turns * max(1, len(subjects) * patches.per_subject // batch), True
        stride, count = patches.stride or patches.size, 0
        for subject in subjects:
            path = scanned(subject)
            assert path is not None
            _, *grid = nifti_shape(path)
            count += math.prod(max(0, (n - patches.size) // stride + 1) for n in grid)
        return turns * max(1, count // batch), False

    def error(self, values: Mapping[str, float]) -> float | None:
        """The error in the interior, else that in the whole mask."""
        return values.get("rmse_interior", values.get("rmse"))

    def outcomes(self, done: Translated, *, baselines: bool = True) -> list[Outcome]:
        """The model, interpolations and (where the truth is known) the noise floor, in mm²/s."""
        sample, evaluation = done.sample, self.pipeline.evaluation
        assert sample.x is not None
        assert sample.y is not None
        assert done.fake_y is not None
        result = self.y.decode(done.fake_y, self.scale)
        outputs = {"model": self.y.as_written(result, sample.mask)[0]}
        unlisted: tuple[str, ...] = ()
        if baselines:
            shape, modes = sample.y.shape[1:], evaluation.baselines
            unlisted = () if _YARDSTICK in modes else (_YARDSTICK,)
            for mode in modes:
                outputs[mode] = interpolate_to(sample.x, shape, mode)
            if sample.truth is not None:
                outputs[NOISE_FLOOR] = sample.truth
            if unlisted:
                outputs[_YARDSTICK] = interpolate_to(sample.x, shape, _YARDSTICK)
        return [
            Outcome(
                outputs=outputs,
                reference=sample.y,
                mask=sample.mask,
                settings=Settings(tensors=True, edge=evaluation.interior),
                unlisted=unlisted,
            )
        ]

    def panels(self, done: Translated) -> list[list[Panel]]:
        """Mean diffusivity and colour FA of the axial slice with most brain.

        Columns: input, cubic interpolation, output, reference. Left is left, anterior is up.
        """
        sample = done.sample
        assert sample.x is not None
        assert sample.y is not None
        assert sample.mask is not None
        assert sample.affine is not None
        assert done.fake_y is not None
        plane, shape = Plane(sample.affine, sample.mask), sample.y.shape[1:]
        slabs = {
            "input": plane.slab(interpolate_to(sample.x, shape, "nearest")),
            "cubic": plane.slab(interpolate_to(sample.x, shape, "cubic")),
            "output": plane.slab(self.y.decode(done.fake_y, self.scale)),
            "reference": plane.slab(sample.y),
        }
        brain = plane.picture(sample.mask)[..., 0] > 0
        md = {
            name: np.where(brain, plane.picture(scalar_maps(slab)["md"][None])[..., 0], 0)
            for name, slab in slabs.items()
        }
        seen = md["reference"][md["reference"] > 0]
        top = float(np.percentile(seen, 98)) if seen.size else 1.0
        colour = {
            name: np.where(brain[..., None], plane.colours(color_fa(slab)) * 1.4, 0).clip(0, 1)
            for name, slab in slabs.items()
        }
        return [
            row(
                "mean diffusivity [mm²/s]",
                {name: plane.crop(view) for name, view in md.items()},
                plane,
                top=top,
                unit="mm²/s",
            ),
            row(
                "colour FA",
                {name: plane.crop(view) for name, view in colour.items()},
                plane,
                first=False,
            ),
        ]

    def header(self) -> dict[str, Any]:
        """Degradation, voxel sizes and ranges of the training subjects."""
        subjects = self.kept("train")
        edges = [
            edge
            for subject in subjects
            for edge in voxel_size(rescale_affine(subject.affine.numpy(), self.data.factor))
        ]
        return {
            "degradation": self._degradations,
            "voxel_size": [float(min(edges)), float(max(edges))],
            "ranges": training_ranges(subjects),
        }

    def described(self, ready: Prepared) -> dict[str, Any]:
        """A prepared subject."""
        return {
            "id": ready.id,
            "key": ready.key,
            **ready.facts,
            "shape": list(ready.y.shape[1:]),
        }

    def card(self) -> CardFacts:
        """Super-resolution of tensors."""
        factor = self.data.factor
        return CardFacts(
            task=f"{factor}x super-resolution of diffusion tensors; in reverse, {factor}x "
            "averaging",
            data=(
                f"Low-resolution input: {', '.join(self._degradations)} (dwi: mean of raw volumes "
                f"over {factor}³ blocks, then fit; tensor: block mean of tensors).",
                f"Numbers inside: diffusivity / {self.scale:.6g} mm²/s; components Dxx, Dxy, Dxz, "
                "Dyy, Dyz, Dzz in the voxel frame.",
            ),
            limits=(
                "The output is an estimate: structures below the input's resolution come from the "
                "training data, not from the subject. Do not read diagnoses off it.",
                "Resolution, b-values, field strength and pathology unlike those of the training "
                "data are untested.",
                "The low-resolution input of training was made by averaging; a scanner's own "
                "low-resolution scan differs.",
            ),
        )

    @property
    def _degradations(self) -> list[str]:
        return sorted({subject.facts["degradation"] for subject in self.kept("train")})
