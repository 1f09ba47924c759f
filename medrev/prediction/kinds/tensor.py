"""Diffusion tensors and raw DWI in, tensors on the other grid and their maps out."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from medrev.data.layouts.bids import is_subject
from medrev.data.subject import Subject
from medrev.domains.maps import Map
from medrev.domains.outputs import PICTURE, Output, Result
from medrev.domains.source import Source
from medrev.domains.tensor.find import LAYOUTS, problems, scanned
from medrev.domains.tensor.reading import convention_of
from medrev.dti import repair, tensor_maps
from medrev.errors import InputError
from medrev.prediction.kinds.kind import Kind, Member
from medrev.prediction.kinds.task import Task
from medrev.prediction.model import Model
from medrev.prediction.names import base_name
from medrev.prediction.options import Translation
from medrev.prediction.request import Request
from medrev.prediction.resolution import result_mask
from medrev.prediction.subject import Input, read_input
from medrev.prediction.tensor_look import compare_tensors
from medrev.prediction.tensor_maps import MAPS, output_paths, picture_path
from medrev.volumes import direction_cosines, is_dicom_folder, rescale_affine, voxel_size

__all__ = ["TensorKind", "TensorTask"]

logger = logging.getLogger(__name__)

_HCP_DATA = [
    Path(folder) / name
    for folder in ("", "T1w/Diffusion", "Diffusion")
    for name in ("data.nii.gz", "data.nii")
]
_ORIGINS = {
    "given": "as given",
    "header": "from its header",
    "told": "from the JSON file",
    "assumed": "assumed: give --tensor-order and --tensor-frame if they are not",
}


class TensorKind(Kind):
    """Diffusion tensors, fitted or ready, and their cohorts (:mod:`medrev.data.layouts`)."""

    accepts = "tensor"
    datatype = "dwi"
    title = "Super-resolved diffusion tensors"

    def single(self, path: Path) -> Path | None:
        """Files, DICOM series, and HCP's diffusion series in the folder of a subject."""
        if path.is_dir():
            return _hcp_data(path) or (path if is_dicom_folder(path) else None)
        return None if path.suffix in (".csv", ".tsv") else path

    def is_member(self, path: Path) -> bool:
        """The folder of a subject in a BIDS dataset."""
        return is_subject(path, self.datatype)

    def members(self, root: Path) -> tuple[list[Member], list[str]]:
        """Subjects of a BIDS or HCP folder, of ready tensors or a table."""
        listing = LAYOUTS.list(root)
        return [_member(subject) for subject in listing.subjects], listing.problems

    def base(self, path: Path) -> str:
        """The name without suffix and what was said of an earlier result."""
        return base_name(path)

    def work_on(self, source: Source, folder: Path, base: str) -> "TensorTask":
        """Super-resolution, or its reverse."""
        return TensorTask(source, folder, base)

    def scene_path(self, base: str, folder: Path) -> Path:
        """Named like the picture."""
        return picture_path(base, folder, self.direction).with_suffix(".mrb")


def _hcp_data(path: Path) -> Path | None:
    """HCP's diffusion series where a path is the folder of a subject."""
    return next((path / place for place in _HCP_DATA if (path / place).is_file()), None)


def _member(subject: Subject) -> Member:
    return Member(
        id=subject.id,
        person=subject.person,
        path=scanned(subject) or Path(subject.id),
        mask=subject.files.get("mask"),
        bval=subject.files.get("bval"),
        bvec=subject.files.get("bvec"),
        problem="; ".join(problems(subject)) or None,
    )


class TensorTask(Task[Input]):
    """Tensors of one scan on the other grid."""

    def paths(self, request: Request) -> dict[str, Path]:
        """Tensors, their maps, uncertainty and picture."""
        return self._paths(
            request,
            std=request.options.ensemble > 1 or request.members > 0,
            cycle=request.options.cycle_residual,
            picture=request.quick_look,
        )

    def _paths(self, request: Request, **wanted: bool) -> dict[str, Path]:
        direction, form = request.direction, request.format
        return output_paths(self.base, self.folder, direction, format=form, **wanted)

    def read(
        self,
        request: Request,
        models: tuple[Model, ...],
        *,
        hashes: tuple[str, ...] | None = None,
        show_progress: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> Input:
        """Read, and fit raw DWI."""
        source, model = self.source, models[0]
        convention = convention_of(source, request.tensor_order, request.tensor_frame)
        logger.info("%s", source)
        if source.kind == "tensor":
            order, frame = convention.order, convention.frame
            origin = _ORIGINS[convention.origin]
            logger.info("component order %s, frame %s (%s)", order, frame, origin)
        read = read_input(
            source,
            model.pipeline.dti,
            convention,
            show_progress=show_progress,
            check=check,
        )
        model.check(read.tensor, request.inverse)
        logger.info("mask: %s, %d voxels", read.mask_source, int(read.mask.sum()))
        return replace(read, hashes=self.hashes() if hashes is None else hashes)

    def translate(
        self,
        read: Input,
        request: Request,
        models: tuple[Model, ...],
        *,
        show_progress: bool = False,
    ) -> Result:
        """Translate, mask, repair, and compute the maps."""
        model, inverse = models[0], request.inverse
        mask = result_mask(read.mask, model.factor, inverse)
        affine = rescale_affine(read.affine, model.factor if inverse else 1 / model.factor)
        translation = model.translate(
            read.tensor,
            inverse=inverse,
            options=request.options,
            affine=read.affine,
            mask=read.mask,
            members=models[1:],
            show_progress=show_progress,
        )
        warnings = [*read.warnings, *translation.warnings]
        if inverse and not model.inverse_is_trained:
            warnings.append("the model's inverse direction was not trained: its result is noise")
        said = self.say(warnings, translation.notes)
        result = translation.volume * mask
        if not bool(torch.isfinite(result).all()):
            raise InputError(
                f"{self.source.path}: the network's result has NaN or Inf; nothing written"
            )
        repaired = 0
        if model.pipeline.inference.positive_definite:
            result, repaired = repair(result)
            logger.info("%d of %d tensors repaired", repaired, int(mask.sum()))
        volumes = {"diffusivity": result, **tensor_maps(result, direction_cosines(affine))}
        if translation.std is not None:
            volumes["std"] = translation.std * mask
        if translation.cycle_residual is not None:
            volumes["cycle"] = translation.cycle_residual * read.mask
        wanted = (*volumes, PICTURE)
        paths = {name: path for name, path in self.paths(request).items() if name in wanted}
        possible = self._paths(request, std=True, cycle=True, picture=False)
        outputs: dict[str, Output] = {
            name: Map(
                values=values,
                affine=read.affine if MAPS[name].on_input else affine,
                description=MAPS[name].description,
                units=MAPS[name].units,
                kind=MAPS[name].kind,
                space=self.source.header.space_code,
                convention=read.convention,
            )
            for name, values in volumes.items()
        }
        if request.quick_look:
            old, new = (
                " × ".join(f"{n:.3g}" for n in voxel_size(a)) for a in (read.affine, affine)
            )
            outputs[PICTURE] = compare_tensors(
                read.tensor,
                result,
                source_affine=read.affine,
                affine=affine,
                source_mask=read.mask,
                mask=mask,
                factor=model.factor,
                inverse=inverse,
                std=volumes.get("std"),
                cycle=volumes.get("cycle"),
                title=self.base,
                subtitle=f"{old} mm → {new} mm, model {model.pipeline.name}",
            )
        return Result(
            paths=paths,
            outputs=outputs,
            sidecar={
                **self.about_input(read.hashes, request, models),
                **self._about_tensors(read, model),
                **_about_output(translation, affine, mask, model, inverse),
                "RepairedTensors": repaired,
                **said,
            },
            others=tuple(path for name, path in possible.items() if name not in paths),
        )

    def _about_tensors(self, read: Input, model: Model) -> dict[str, Any]:
        convention = read.convention
        fit = model.pipeline.dti.fit.model_dump(mode="json") if self.source.kind == "dwi" else None
        return {
            "InputVoxelSize": [round(edge, 6) for edge in voxel_size(read.affine)],
            "TensorOrder": convention.order,
            "TensorFrame": convention.frame,
            "TensorConvention": convention.origin,
            "Fit": fit,
            "MaskSource": read.mask_source,
        }


def _about_output(
    translation: Translation, affine: Any, mask: torch.Tensor, model: Model, inverse: bool
) -> dict[str, Any]:
    edges = " x ".join(f"{edge:.4g}" for edge in voxel_size(affine))
    how = f"{model.factor} times coarser" if inverse else f"{model.factor} times finer"
    return {
        "Resolution": f"{edges} mm, {how} than the input along every axis, same field of view",
        "VoxelSize": [round(edge, 6) for edge in voxel_size(affine)],
        "MaskVoxels": int(mask.sum()),
        "Engine": translation.engine,
        "EnsembleMembers": translation.members,
        "ResampledTo": None if translation.resampled is None else list(translation.resampled),
        "Plan": str(replace(translation.plan, seconds=None)),  # the time differs from run to run
    }
