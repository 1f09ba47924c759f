"""One subject from file to files: read, fit, translate, repair, write."""

import logging
from pathlib import Path
from typing import Any, Literal

import torch
from torch.nn import functional as F

from medrev import __version__
from medrev.config.schema import Paired, Pipeline
from medrev.dti import convert_order, from_voxel_frame, repair, scalar_maps
from medrev.errors import InputError
from medrev.inference.loading import load_model, newest_run
from medrev.inference.model import Model
from medrev.inference.outputs import (
    check_outputs,
    output_paths,
    writable_folder,
    write_outputs,
)
from medrev.inference.source import check_kind, convention_of, recognise
from medrev.inference.subject import tensors_of
from medrev.volumes import block_mask, pad_to_multiple, rescale_affine, voxel_size

__all__ = ["infer_file"]

logger = logging.getLogger(__name__)

#: How far outside the training voxel sizes an input may lie without a warning.
_TOLERANCE = 0.1
_ORIGINS = {
    "given": "as given",
    "header": "from its header",
    "told": "from the JSON file",
    "assumed": "assumed: give --tensor-order and --tensor-frame if they are not",
}


def infer_file(
    input: str | Path,
    *,
    model: str | Path | Model | None = None,
    mask: str | Path | None = None,
    bval: str | Path | None = None,
    bvec: str | Path | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    device: str = "auto",
    direction: Literal["forward", "inverse"] = "forward",
    tensor_order: str | None = None,
    tensor_frame: str | None = None,
    show_progress: bool = True,
) -> list[Path]:
    """Translate one subject and write tensors, FA and MD with their JSON sidecars.

    The result has the order and frame of the input tensors (of raw DWI: FSL's, as ``dtifit``
    gives), the same field of view, and zeros outside the mask, which is the input's mask on the
    result's grid (nearest neighbour; in reverse, blocks with any mask voxel). In reverse, sizes
    that the factor does not divide are padded at the end of an axis by repeating the last voxel.

    Args:
        input: Tensors (six components; NIfTI or NRRD), or raw DWI with gradients
            (:func:`recognise`).
        model: Run folder, weight file or loaded model (default: newest finished run in ``runs``).
        mask: Brain mask on the input's grid (default: median_otsu of the b = 0 volumes; of
            tensors: where they are not zero).
        bval: b-values of raw DWI (default: beside the input).
        bvec: b-vectors of raw DWI (default: beside the input).
        output: Folder of the results (default: the current folder).
        overwrite: Replace existing results.
        device: auto, cpu, cuda, cuda:N or mps.
        direction: ``forward``: low to high resolution; ``inverse``: high to low.
        tensor_order: Component order of a tensor input: fsl, dipy, mrtrix or ants
            (default: as the file or the JSON file beside it says, else fsl;
            :func:`convention_of`).
        tensor_frame: Frame of a tensor input: fsl, voxel or ras.
        show_progress: Show progress bars on standard error.

    Returns:
        The files written.

    Raises:
        MedrevError: The input, the model or the output cannot be used; nothing is written.
    """
    inverse = _is_inverse(direction)
    source = recognise(input, mask=mask, bval=bval, bvec=bvec)
    convention = convention_of(source, tensor_order, tensor_frame)
    order, frame = convention.order, convention.frame
    paths = output_paths(source.path, Path() if output is None else Path(output), direction)
    check_outputs(paths, source.files, overwrite)
    loaded = _load(model, device)
    logger.info("%s", source)
    check_kind(source, loaded.metadata.get("input", "tensor"), loaded.pipeline.name)
    if source.kind == "tensor":
        logger.info("component order %s, frame %s (%s)", order, frame, _ORIGINS[convention.origin])
    with writable_folder(paths["fa"].parent):
        data = loaded.pipeline.data
        tensor, scan, warnings = tensors_of(source, data, convention, show_progress=show_progress)
        loaded.check(tensor, inverse)
        warnings += _spacing_doubts(loaded, scan.affine, inverse)
        if inverse and not _trained_backwards(loaded.pipeline):
            warnings.append("the model's inverse direction was not trained: its result is noise")
        for line in warnings:
            logger.warning("warning: %s", line)
        plan = loaded.plan(tuple(tensor.shape[1:]), inverse)
        logger.info("mask: %s, %d voxels; %s", scan.mask_source, int(scan.mask.sum()), plan)
        if not plan.fits:
            logger.warning("warning: the plan needs more than inference.max_memory")

        mask_out = _output_mask(scan.mask, loaded.factor, inverse)
        affine = rescale_affine(scan.affine, loaded.factor if inverse else 1 / loaded.factor)
        result = loaded.apply(tensor, inverse, show_progress=show_progress) * mask_out
        if not bool(torch.isfinite(result).all()):
            raise InputError(f"{source.path}: the network's result has NaN or Inf; nothing written")
        repaired = 0
        if loaded.pipeline.inference.positive_definite:
            result, repaired = repair(result)
            logger.info("%d of %d tensors repaired", repaired, int(mask_out.sum()))
        maps = scalar_maps(result)
        volumes = {
            "diffusivity": convert_order(from_voxel_frame(result, affine, frame), "fsl", order),
            "fa": maps["fa"][None],
            "md": maps["md"][None],
        }
        sidecar: dict[str, Any] = {
            "Sources": [str(path) for path in source.files],
            "Resolution": _resolution(affine, loaded.factor, inverse),
            "VoxelSize": [round(edge, 6) for edge in voxel_size(affine)],
            "InputVoxelSize": [round(edge, 6) for edge in voxel_size(scan.affine)],
            "TensorOrder": order,
            "TensorFrame": frame,
            "TensorConvention": convention.origin,
            "InputKind": source.kind,
            "Fit": data.fit.model_dump(mode="json") if source.kind == "dwi" else None,
            "MaskSource": scan.mask_source,
            "MaskVoxels": int(mask_out.sum()),
            "RepairedTensors": repaired,
            "Direction": direction,
            "Plan": str(plan),
            "Model": _describe(loaded),
            "Warnings": warnings,
            "GeneratedBy": [{"Name": "medrev", "Version": __version__}],
        }
        return write_outputs(
            paths,
            volumes,
            affine,
            sidecar=sidecar,
            space=source.header.space_code,
            overwrite=overwrite,
        )


def _is_inverse(direction: str) -> bool:
    if direction not in ("forward", "inverse"):
        raise InputError(f"direction must be forward or inverse, got '{direction}'")
    return direction == "inverse"


def _load(model: str | Path | Model | None, device: str) -> Model:
    if isinstance(model, Model):
        return model
    if model is None:
        model = newest_run()
        logger.info("model: %s, the newest finished run", model)
        return load_model(model, device)
    loaded = load_model(model, device)
    logger.info("model: %s", loaded.path)
    return loaded


def _trained_backwards(pipeline: Pipeline) -> bool:
    """Whether any term of the model's method asked for the inverse direction."""
    method = pipeline.method
    pixel = isinstance(method, Paired) and method.pixel_weight * method.inverse_weight
    return bool(pixel or method.adversarial_weight or method.cycle_weight)


def _output_mask(mask: torch.Tensor, factor: int, inverse: bool) -> torch.Tensor:
    """The input's mask (1, I, J, K) on the grid of the result."""
    plain = mask.as_subclass(torch.Tensor).float()
    if inverse:
        return block_mask(pad_to_multiple(plain, factor)[0], factor, "any")
    return F.interpolate(plain[None], scale_factor=factor, mode="nearest")[0] > 0


def _spacing_doubts(model: Model, affine: Any, inverse: bool) -> list[str]:
    """Say where the voxels are larger or smaller than any in training."""
    known = model.metadata.get("voxel_size")
    if not isinstance(known, list) or len(known) != 2:
        return []
    low, high = (float(edge) for edge in known)
    edges = voxel_size(rescale_affine(affine, model.factor) if inverse else affine)
    if low * (1 - _TOLERANCE) <= min(edges) and max(edges) <= high * (1 + _TOLERANCE):
        return []
    size = " x ".join(f"{edge:.3g}" for edge in edges)
    return [
        f"the low-resolution voxels have {size} mm, the model was trained on edges of "
        f"{low:.3g} to {high:.3g} mm: judge the result with care"
    ]


def _resolution(affine: Any, factor: int, inverse: bool) -> str:
    edges = " x ".join(f"{edge:.4g}" for edge in voxel_size(affine))
    how = f"{factor} times coarser" if inverse else f"{factor} times finer"
    return f"{edges} mm, {how} than the input along every axis, same field of view"


def _describe(model: Model) -> dict[str, Any]:
    return {
        "Name": model.pipeline.name,
        "File": None if model.path is None else str(model.path),
        "SHA256": model.sha256,
        "Version": model.metadata.get("medrev"),
        "Scale": model.scale,
    }
