"""One MR contrast as a side of a translation: a scalar volume in, one and a picture out."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.config.schema import ContrastData, Pipeline, ScalarData
from medrev.data.cohort import Layouts
from medrev.data.subject import Subject
from medrev.domains.domain import OF_FINER, OF_TENSORS, Domain, Side, Symmetry, data_of
from medrev.domains.intensity.find import LAYOUTS, is_head, problems
from medrev.domains.intensity.names import (
    contrast_base,
    contrast_file,
    contrast_name,
    contrast_words,
    lacks,
    other_contrast,
)
from medrev.domains.intensity.reading import (
    describe_contrast,
    intensity_scale,
    read_contrast,
    to_network,
    unlike_contrasts,
)
from medrev.domains.outputs import Map, Output
from medrev.domains.quick_look import Comparison, doubt, row
from medrev.domains.results import ResultFiles
from medrev.domains.score import ABOUT_PLACES
from medrev.domains.source import Entry, Source, sidecar_beside
from medrev.domains.values import Prediction, Scan
from medrev.dti import apply_symmetry_scalar
from medrev.errors import InputError
from medrev.metrics import Settings
from medrev.volumes import SLICE_AXES, Panel, Plane, Reorient, View, voxel_size

#: Fewest rows and columns of a picture: of a thin volume some views are left out.
_LEAST = 6
#: Doubts up to this share of the scale are next to nothing.
_NOTHING = 0.01


def compare_contrasts(
    scan: Scan,
    prediction: Prediction,
    *,
    names: tuple[str, str],
    title: str,
    model: str,
) -> Comparison:
    """Cut the slices that a picture shows.

    The axial, the coronal and the sagittal slice with most brain: input and output, each as a
    share of the intensity that is 1 in the network, and where given the standard deviation and the
    cycle residual, in intensities. Left is left.
    """
    affine, mask = scan.placed, scan.inside
    planes = {view: Plane(affine, mask, view) for view in get_args(View)}
    views = {v: p for v, p in planes.items() if min(p.crop(p.picture(mask)).shape[:2]) >= _LEAST}
    given, made = (
        f"{name} ({what})" for name, what in zip(names, ("input", "output"), strict=True)
    )
    rows: list[list[Panel]] = []
    for view, plane in (views or planes).items():
        brain = plane.picture(mask.float())[..., 0] > 0

        def cut(volume: torch.Tensor, plane: Plane = plane, brain: Any = brain) -> NDArray[Any]:
            return plane.crop(np.where(brain, plane.picture(volume)[..., 0], 0))

        doubts = [
            doubt(f"{what}, {view}", cut(values), "intensity", plane.aspect, least=_NOTHING * scale)
            for what, values, scale in (
                ("standard deviation", prediction.std, prediction.scale),
                ("cycle residual", prediction.cycle_residual, prediction.input_scale),
            )
            if values is not None
        ]
        rows.append(
            row(
                view,
                {
                    given: cut(scan.values) / prediction.input_scale,
                    made: cut(prediction.values) / prediction.scale,
                },
                plane,
                top=1.0,
                unit="of scale",
                doubts=doubts,
                first=not rows,
            )
        )
    return Comparison(title, f"{names[0]} → {names[1]}, model {model}", rows)


#: Intensity that 1 of the network becomes where the model does not say it.
_UNKNOWN = 1000.0
#: World axes of an array that is turned to RAS.
_WORLD = ("left and right", "front and back", "top and bottom")


D = TypeVar("D", ContrastData, ScalarData)
#: Values and affine of volumes, by name.
Volumes = dict[str, tuple[Tensor, NDArray[Any]]]


class IntensityDomain(Domain, Generic[D]):
    """One contrast of a head, such as T1w; x is ``data.source``, y ``data.target``.

    Type parameter: ``D`` is the data section of its pipelines.

    Raises:
        ConfigError: The experiment is on other data.
    """

    #: The data section of its pipelines.
    section: ClassVar[type[ContrastData] | type[ScalarData]] = ContrastData
    #: How cohorts of it lie on disk.
    layouts: ClassVar[Layouts] = LAYOUTS
    accepts = "scalar"
    unit = "arbitrary"
    datatype = "anat"
    title = "Synthetic contrasts of MRI"
    refuses: ClassVar = {
        **OF_TENSORS,
        **OF_FINER,
        "--spacing auto": ": contrasts are not resampled: leave it out",
        "--spacing train": (
            ": contrasts are not resampled, a warning says where voxels are unlike those of the "
            "training; resample the volume before"
        ),
    }

    def __init__(self, pipeline: Pipeline, side: Side) -> None:
        super().__init__(pipeline, side)
        self.data: D = data_of(pipeline, self.section)

    @property
    def name(self) -> str:
        """The contrast, as the pipeline calls it."""
        return self.data.source if self.side == "x" else self.data.target

    @property
    def called(self) -> str:
        """The contrast in words."""
        return contrast_words(self.name)

    def is_like(self, other: Domain) -> bool:
        """The same contrast, whatever it is called."""
        return super().is_like(other) and contrast_name(self.name) == contrast_name(other.name)

    def is_member(self, path: Path) -> bool:
        """The folder of a subject in a BIDS or BraTS cohort."""
        return is_head(path)

    def members(self, root: Path) -> tuple[list[Entry], list[str]]:
        """The subjects; without this contrast, that is their problem."""
        listing = self.layouts.list(root)
        return [self._entry(subject) for subject in listing.subjects], listing.problems

    def _entry(self, subject: Subject) -> Entry:
        name = contrast_name(self.name)
        reasons = [line for line in (lacks(subject, name), *problems(subject)) if line is not None]
        return Entry.of(subject, subject.files.get(name), reasons)

    def read(self, source: Source, **of_tensors: Any) -> Scan:
        """Read the volume and its mask."""
        path = source.path
        read = read_contrast(path, source.mask)
        warnings = [f"{path}: {note}" for note in read.warnings]
        named = other_contrast(path, self.name)
        if named is not None:
            warnings.insert(
                0, f"the name of {path} says {named}, but the model starts from {self.name}"
            )
        beside = sidecar_beside(path)
        return dataclasses.replace(
            read,
            space=source.header.space_code,
            warnings=tuple(warnings),
            facts={
                "InputContrast": self.name,
                **{key: beside[key] for key in ("SpatialReference",) if key in beside},
                "MaskSource": read.mask_source,
                "MaskVoxels": int(read.inside.sum()),
                "Percentile": self.data.intensities.percentile,
            },
        )

    def domain_warnings(
        self, scan: Scan, header: Mapping[str, Any], scale: float
    ) -> tuple[list[str], list[str]]:
        """Brightness, and size and share of the brain, beside those of the training."""
        described = describe_contrast(scan.values, scan.inside, scan.placed, scale)
        known = self._known(header, "ranges")
        return unlike_contrasts(described, known if isinstance(known, dict) else {}), []

    def scale_of(self, scan: Scan, model_scale: float) -> float:
        """A percentile of the brain's intensities (:func:`intensity_scale`)."""
        return intensity_scale(scan.values, scan.inside, self.data.intensities.percentile)

    def result_scale(
        self, scan: Scan, header: Mapping[str, Any], *, model_scale: float, input_scale: float
    ) -> tuple[float, tuple[str, ...]]:
        """``data.scale``, or the intensity that this contrast had in training."""
        if self.data.scale != "auto":
            return float(self.data.scale), ()
        value = self._known(header, "intensity")
        if isinstance(value, int | float) and 0 < value < float("inf"):
            return float(value), ()
        return _UNKNOWN, (
            f"the model does not say what intensities {self.name} had in training: {_UNKNOWN:g} "
            "is the brightest",
        )

    def _known(self, header: Mapping[str, Any], key: str) -> Any:
        """What a header says of this contrast, by either of its names."""
        values = header.get(key)
        if not isinstance(values, dict):
            return None
        return values.get(self.name, values.get(contrast_name(self.name)))

    def reorient(self, affine: NDArray[Any]) -> Reorient | None:
        """To axes nearest to RAS."""
        return Reorient(affine)

    def encode(self, values: Tensor, scale: float) -> Tensor:
        """0 becomes -1 and the scale 1."""
        return to_network(values, scale, clip=self.data.intensities.clip)

    def decode(self, values: Tensor, scale: float) -> Tensor:
        """-1 becomes 0 and 1 the scale; what lies below -1 is negative until it is written."""
        return (values.float() + 1) / 2 * scale

    def as_written(self, values: Tensor, mask: Tensor | None) -> tuple[Tensor, dict[str, Any]]:
        """Zero outside the mask; no intensity is negative."""
        return super().as_written(values.clamp(min=0), mask)

    def scored(self, scale: float) -> Settings:
        """In units of a volume's own scale, and slices as whole images with their background.

        Slices are those on which 2D networks work, padded as they are given them; of 3D networks
        axial ones.
        """
        slices = self.data.slicing
        return Settings(
            tensors=False,
            value_range=1.0,
            slice_axis=SLICE_AXES["axial" if slices is None else slices.axis],
            whole_slices=True,
            slice_size=None if slices is None else slices.size,
        )

    def measured(self, values: Tensor, scale: float) -> Tensor:
        """In units of the scale, cut off as the network is given them."""
        return self.measured_exactly(self.encode(values, scale), scale)

    def measured_result(self, values: Tensor, scale: float, mask: Tensor | None) -> Tensor:
        """In units of the scale; no intensity is negative."""
        return self.decode(values, 1.0).clamp(min=0)

    def measured_exactly(self, values: Tensor, scale: float) -> Tensor:
        """0 is the background, 1 the intensity that is 1 in the network."""
        return (values + 1) / 2

    def symmetries(self, count: int) -> tuple[Symmetry, ...]:
        """Flips of an RAS volume: first left and right; of slices those within them."""
        axes = [0, 1, 2]
        slicing = self.data.slicing
        if slicing is not None:
            axes.remove(SLICE_AXES[slicing.axis])
        allowed = [2**n for n in range(len(axes) + 1)]
        if count not in allowed:
            what = "contrasts" if slicing is None else f"{slicing.axis} slices"
            raise InputError(
                f"an ensemble of {what} must have one of {', '.join(map(str, allowed))} members "
                f"(flips), got {count}"
            )
        chosen = axes[: allowed.index(count)]
        group = []
        for signs in itertools.product((1, -1), repeat=len(chosen)):
            matrix = np.eye(3, dtype=np.int64)
            matrix[chosen, chosen] = signs
            group.append(matrix)
        return tuple(group)

    def untrained(self, symmetries: Sequence[Symmetry]) -> list[str]:
        """Mirror images that no training sample was."""
        axes = {axis for each in symmetries for axis in range(3) if each[axis, axis] < 0}
        strange = sorted(axes - ({0} if self.data.augmentation.flips else set()))
        if not strange:
            return []
        names = " and of ".join(_WORLD[axis] for axis in strange)
        return [f"the model was not trained on mirror images of {names}, which the ensemble uses"]

    def turn(self, values: Tensor, symmetry: Symmetry) -> Tensor:
        """Turn the grid."""
        return apply_symmetry_scalar(values, symmetry)

    def base(self, path: Path) -> str:
        """The name without its contrast."""
        return contrast_base(path, self.name)

    def file_name(self, base: str, name: str, ending: str) -> str:
        """A name of BIDS: contrast, and that it is synthetic."""
        label = {"std": "synthstd", "cycle": "synthcycle"}.get(name, "synth")
        return contrast_file(base, self.name, label, ending)

    def ignored_by_bids(self, format: str) -> tuple[str, ...]:
        """The validator knows no NRRD; of NIfTI files BIDS has adopted the names."""
        return ("*_desc-synth*",) if format == "nrrd" else ()

    def results(
        self, prediction: Prediction, scan: Scan, *, source: ResultFiles
    ) -> dict[str, Output]:
        """The volume, its uncertainty, and the cycle residual in intensities of the input."""
        made, given = self.called, source.called
        words = {
            "volume": f"Synthetic {made} made of {given}",
            "std": f"Uncertainty: standard deviation of the synthetic {made} over the ensemble",
            "cycle": f"Cycle residual: distance of the input {given} from the result translated "
            "back",
        }
        volumes = {"volume": (prediction.values, prediction.placed), **prediction.beside(scan)}
        return self._maps(volumes, words, scan)

    def _maps(self, volumes: Volumes, words: Mapping[str, str], scan: Scan) -> dict[str, Output]:
        """Volumes as files, in the space of the scan, with what is said of them."""
        return {
            name: Map(
                values=values,
                affine=affine,
                description=words[name],
                units=ABOUT_PLACES[1] if name == "score" else self.unit,
                space=scan.space,
            )
            for name, (values, affine) in volumes.items()
        }

    def sidecar(self, prediction: Prediction, scan: Scan) -> dict[str, Any]:
        """Contrast and intensities."""
        return {
            "Contrast": self.name,
            "SkullStripped": True,  # zero outside the mask; BIDS asks for the key
            "VoxelSize": [round(edge, 6) for edge in voxel_size(scan.placed)],
            "InputScale": prediction.input_scale,
            "OutputScale": prediction.scale,
            "Engine": prediction.engine,
            "Plan": str(prediction.plan),
            "EnsembleMembers": prediction.members,
        }

    def picture(
        self, prediction: Prediction, scan: Scan, *, source: ResultFiles, title: str
    ) -> Output | None:
        """Input and output in three views."""
        return compare_contrasts(
            scan,
            prediction,
            names=(source.called, self.called),
            title=title,
            model=self.pipeline.name,
        )
