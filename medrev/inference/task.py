"""The inference of one subject in three steps, so that cohorts can overlap them."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from medrev import __version__
from medrev.dti import repair, tensor_maps
from medrev.errors import InputError
from medrev.files import content_hash
from medrev.inference.model import Model
from medrev.inference.options import Translation
from medrev.inference.outputs import PICTURE, Result, output_paths
from medrev.inference.quick_look import compare
from medrev.inference.request import Request
from medrev.inference.resolution import result_mask
from medrev.inference.source import Source, check_kind, convention_of
from medrev.inference.subject import Input, read_input
from medrev.volumes import direction_cosines, rescale_affine, voxel_size

__all__ = ["Task"]

logger = logging.getLogger(__name__)

_ORIGINS = {
    "given": "as given",
    "header": "from its header",
    "told": "from the JSON file",
    "assumed": "assumed: give --tensor-order and --tensor-frame if they are not",
}


@dataclass(frozen=True)
class Task:
    """An input and where its results go.

    Attributes:
        source: The input.
        folder: Where its results go.
        base: What their names begin with.
    """

    source: Source
    folder: Path
    base: str

    def paths(self, request: Request) -> dict[str, Path]:
        """The files of the result."""
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
        """Step one: recognise, read, fit.

        Args:
            request: What is asked.
            models: The model, and those that join it.
            hashes: Of the input's files, if they are known already.
            show_progress: Show a progress bar during the fit.
            check: Called now and then; what it raises ends the step.

        Raises:
            InputError: The input is not for this model, or cannot be used.
        """
        source, model = self.source, models[0]
        check_kind(source, model.metadata.get("input", "tensor"), model.pipeline.name)
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

    def hashes(self) -> tuple[str, ...]:
        """SHA-256 of every file that enters the result."""
        return tuple(content_hash(path) for path in self.source.files)

    def translate(
        self,
        read: Input,
        request: Request,
        models: tuple[Model, ...],
        *,
        show_progress: bool = False,
    ) -> Result:
        """Step two: translate, mask, repair, and compute the maps.

        Raises:
            InputError: The result is not finite.
        """
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
        for line in warnings:
            logger.warning("warning: %s", line)
        for line in translation.notes:
            logger.info("note: %s", line)
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
        picture = None
        if request.quick_look:
            old, new = (
                " × ".join(f"{n:.3g}" for n in voxel_size(a)) for a in (read.affine, affine)
            )
            picture = compare(
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
            volumes=volumes,
            affine=affine,
            input_affine=read.affine,
            convention=read.convention,
            space=self.source.header.space_code,
            sidecar={
                **self._about_input(read, request, models),
                **_about_output(translation, affine, mask, model, inverse),
                "RepairedTensors": repaired,
                "Warnings": warnings,
                "Notes": list(translation.notes),
                "Request": request.fingerprint(models),
                "GeneratedBy": [{"Name": "medrev", "Version": __version__}],
            },
            comparison=picture,
            others=tuple(path for name, path in possible.items() if name not in paths),
        )

    def _about_input(
        self, read: Input, request: Request, models: tuple[Model, ...]
    ) -> dict[str, Any]:
        source, model = self.source, models[0]
        convention = read.convention
        fit = model.pipeline.dti.fit.model_dump(mode="json") if source.kind == "dwi" else None
        return {
            "Sources": [str(path) for path in source.files],
            "SourceSHA256": list(read.hashes),
            "InputKind": source.kind,
            "InputVoxelSize": [round(edge, 6) for edge in voxel_size(read.affine)],
            "TensorOrder": convention.order,
            "TensorFrame": convention.frame,
            "TensorConvention": convention.origin,
            "Fit": fit,
            "MaskSource": read.mask_source,
            "Direction": request.direction,
            "Model": _describe(model),
            "EnsembleModels": [_describe(each) for each in models[1:]],
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


def _describe(model: Model) -> dict[str, Any]:
    return {
        "Name": model.pipeline.name,
        "File": None if model.path is None else str(model.path),
        "SHA256": model.sha256,
        "Version": model.metadata.get("medrev"),
        "Scale": model.scale,
    }
