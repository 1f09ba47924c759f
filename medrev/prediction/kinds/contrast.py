"""A scalar volume of one contrast in, the same head in the other contrast out."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medrev.config.schema import ContrastData, Pipeline
from medrev.data.subject import Subject
from medrev.domains.intensity import (
    LAYOUTS,
    ContrastScan,
    contrast_name,
    is_head,
    lacks,
    problems,
    read_contrast,
)
from medrev.domains.maps import Map
from medrev.domains.outputs import PICTURE, Output, Result
from medrev.domains.source import Source, sidecar_beside
from medrev.errors import InputError
from medrev.prediction.contrast import contrast_data
from medrev.prediction.contrast_look import compare_contrasts
from medrev.prediction.contrast_names import (
    contrast_base,
    contrast_path,
    contrast_paths,
    contrast_words,
    other_contrast,
)
from medrev.prediction.dataset import describe_dataset
from medrev.prediction.kinds.kind import Kind, Member
from medrev.prediction.kinds.task import Task
from medrev.prediction.model import Model
from medrev.prediction.request import Direction, Request
from medrev.prediction.synthesis import Synthesis, flips, synthesise
from medrev.volumes import is_dicom_folder, voxel_size

__all__ = ["ContrastKind", "ContrastTask"]

logger = logging.getLogger(__name__)

_UNITS = "arbitrary"


class ContrastKind(Kind):
    """Two contrasts of a head, such as T1w and T2w; both directions are alike."""

    accepts = "scalar"
    datatype = "anat"
    title = "Synthetic contrasts of MRI"

    def __init__(self, pipeline: Pipeline, direction: Direction = "forward") -> None:
        super().__init__(pipeline, direction)
        self.given, self.made = _contrasts(pipeline, direction)

    def check(self, request: Request, models: tuple[Model, ...]) -> None:
        """Refuse what is of tensors only, and models of other contrasts."""
        super().check(request, models)
        self.refuse_tensor_options(request)
        if request.options.spacing == "train":
            raise InputError(
                "--spacing train: contrasts are not resampled, a warning says where voxels are "
                "unlike those of the training; resample the volume before"
            )
        for model in models:
            flips(contrast_data(model), request.options.ensemble)
            given, made = _contrasts(model.pipeline, self.direction)
            if _alike(given, made) != _alike(self.given, self.made):
                raise InputError(
                    "the models of an ensemble must translate the same contrasts, got "
                    f"{self.given} to {self.made} ({self.model}) and {given} to {made} "
                    f"({model.pipeline.name})"
                )

    def single(self, path: Path) -> Path | None:
        """Files and DICOM series."""
        if path.is_dir():
            return path if is_dicom_folder(path) else None
        return None if path.suffix in (".csv", ".tsv") else path

    def is_member(self, path: Path) -> bool:
        """The folder of a subject in a BIDS or BraTS cohort."""
        return is_head(path)

    def members(self, root: Path) -> tuple[list[Member], list[str]]:
        """The subjects; without the contrast that the model starts from, that is their problem."""
        listing = LAYOUTS.list(root)
        return [self._member(subject) for subject in listing.subjects], listing.problems

    def _member(self, subject: Subject) -> Member:
        name = contrast_name(self.given)
        lacking = lacks(subject, name)
        return Member(
            id=subject.id,
            person=subject.person,
            path=subject.files.get(name, Path(subject.id)),
            mask=subject.files.get("mask"),
            problem="; ".join([*([lacking] if lacking else []), *problems(subject)]) or None,
        )

    def describe(self, folder: Path, request: Request) -> None:
        """A BIDS dataset; of NRRD files the sidecars are ignored too."""
        nrrd = request.format == "nrrd"
        describe_dataset(folder, self.title, ("*_desc-synth*",) if nrrd else ())

    def base(self, path: Path) -> str:
        """The name without its contrast."""
        return contrast_base(path, self.given)

    def work_on(self, source: Source, folder: Path, base: str) -> "ContrastTask":
        """Synthesis of the other contrast."""
        return ContrastTask(source, folder, base, self.given, self.made)

    def scene_path(self, base: str, folder: Path) -> Path:
        """Named like the picture."""
        return contrast_path(base, folder, self.made, "synth", ".mrb")


def _contrasts(pipeline: Pipeline, direction: Direction) -> tuple[str, str]:
    """What a direction of a model starts from, and what it makes."""
    data = pipeline.data
    assert isinstance(data, ContrastData)
    pair = data.source, data.target
    return pair[::-1] if direction == "inverse" else pair


def _alike(given: str, made: str) -> tuple[str, str]:
    return contrast_name(given), contrast_name(made)


@dataclass(frozen=True, eq=False)
class _Read:
    """What the network starts from, with the hashes of its files."""

    scan: ContrastScan
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class ContrastTask(Task[_Read]):
    """The other contrast of one head.

    Attributes:
        given: Contrast of the input.
        made: Contrast of the result.
    """

    given: str
    made: str

    def paths(self, request: Request) -> dict[str, Path]:
        """The volume, its uncertainty and the picture."""
        return self._paths(
            request,
            std=request.options.ensemble > 1 or request.members > 0,
            cycle=request.options.cycle_residual,
            picture=request.quick_look,
        )

    def _paths(self, request: Request, **wanted: bool) -> dict[str, Path]:
        form, given, made = request.format, self.given, self.made
        return contrast_paths(self.base, self.folder, given=given, made=made, format=form, **wanted)

    def read(
        self,
        request: Request,
        models: tuple[Model, ...],
        *,
        hashes: tuple[str, ...] | None = None,
        show_progress: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> _Read:
        """Read the volume and its mask."""
        logger.info("%s", self.source)
        scan = read_contrast(self.source.path, self.source.mask)
        logger.info("mask: %s, %d voxels", scan.mask_source, int(scan.mask.sum()))
        return _Read(scan, self.hashes() if hashes is None else hashes)

    def translate(
        self,
        read: _Read,
        request: Request,
        models: tuple[Model, ...],
        *,
        show_progress: bool = False,
    ) -> Result:
        """Synthesise the other contrast."""
        model, scan, path = models[0], read.scan, self.source.path
        try:
            found = synthesise(
                models,
                scan.volume,
                mask=scan.mask,
                affine=scan.affine,
                inverse=request.inverse,
                options=request.options,
                show_progress=show_progress,
            )
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        if not bool(torch.isfinite(found.volume).all()):
            raise InputError(f"{path}: the network's result has NaN or Inf; nothing written")
        warnings = [*(f"{path}: {note}" for note in scan.notes), *found.warnings]
        named = other_contrast(path, self.given)
        if named is not None:
            warnings.insert(
                0, f"the name of {path} says {named}, but the model starts from {self.given}"
            )
        if request.inverse and not model.inverse_is_trained:
            warnings.append("the model's inverse direction was not trained: its result is noise")
        said = self.say(warnings, found.notes)
        outputs = self._outputs(found, scan)
        given, made = contrast_words(self.given), contrast_words(self.made)
        if request.quick_look:
            outputs[PICTURE] = compare_contrasts(
                scan.volume,
                found,
                affine=scan.affine,
                mask=scan.mask,
                names=(given, made),
                title=self.base,
                subtitle=f"{given} → {made}, model {model.pipeline.name}",
            )
        paths = {name: file for name, file in self.paths(request).items() if name in outputs}
        possible = self._paths(request, std=True, cycle=True, picture=False)
        return Result(
            paths=paths,
            outputs=outputs,
            sidecar={
                **self.about_input(read.hashes, request, models),
                **self._about_contrasts(found, scan, model),
                **said,
            },
            others=tuple(file for name, file in possible.items() if name not in paths),
        )

    def _outputs(self, found: Synthesis, scan: ContrastScan) -> dict[str, Output]:
        """What is written, by name."""
        given, made = contrast_words(self.given), contrast_words(self.made)
        described = {
            "volume": (found.volume, f"Synthetic {made} made of {given}"),
            "std": (
                found.std,
                f"Uncertainty: standard deviation of the synthetic {made} over the ensemble",
            ),
            "cycle": (
                found.cycle_residual,
                f"Cycle residual: distance of the input {given} from the result translated back",
            ),
        }
        return {
            name: Map(
                values=values,
                affine=scan.affine,
                description=description,
                units=_UNITS,
                space=self.source.header.space_code,
            )
            for name, (values, description) in described.items()
            if values is not None
        }

    def _about_contrasts(
        self, found: Synthesis, scan: ContrastScan, model: Model
    ) -> dict[str, Any]:
        """Keys of the sidecar about contrasts and intensities."""
        beside = sidecar_beside(self.source.path)
        return {
            "InputContrast": self.given,
            "Contrast": self.made,
            "SkullStripped": True,  # zero outside the mask; BIDS asks for the key
            **{key: beside[key] for key in ("SpatialReference",) if key in beside},
            "VoxelSize": [round(edge, 6) for edge in voxel_size(scan.affine)],
            "MaskSource": scan.mask_source,
            "MaskVoxels": int(scan.mask.sum()),
            "Percentile": contrast_data(model).intensities.percentile,
            "InputScale": found.input_scale,
            "OutputScale": found.scale,
            "Engine": found.engine,
            "Plan": found.plan,
            "EnsembleMembers": found.members,
        }
