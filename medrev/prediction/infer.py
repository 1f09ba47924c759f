"""One subject from file to files: read, fit, translate, repair, write."""

import logging
from pathlib import Path
from typing import Literal

from medrev.domains.entry import Entry
from medrev.domains.outputs import check_outputs, writable_folder, write_outputs
from medrev.prediction.kinds.build import kind_of
from medrev.prediction.loading import load_model, newest_run
from medrev.prediction.model import Model
from medrev.prediction.options import InferenceOptions
from medrev.prediction.request import Request
from medrev.prediction.threads import OneThread

__all__ = ["infer_file", "load_models"]

logger = logging.getLogger(__name__)


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
    format: Literal["nifti", "nrrd"] = "nifti",
    options: InferenceOptions | None = None,
    members: tuple[str | Path | Model, ...] = (),
    quick_look: bool = True,
    show_progress: bool = True,
) -> list[Path]:
    """Translate one subject and write tensors, their maps, JSON sidecars and a picture.

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
        format: Of the results: nifti or nrrd.
        options: Engine, ensemble, memory, … (default: :class:`InferenceOptions`).
        members: More models of the same factor whose results join the ensemble.
        quick_look: Draw a picture of the result.
        show_progress: Show progress bars on standard error.

    Returns:
        The files written: each map followed by its sidecar, then the picture.

    Raises:
        MedrevError: The input, the model or the output cannot be used; nothing is written.
    """
    request = Request(
        direction=direction,
        tensor_order=tensor_order,
        tensor_frame=tensor_frame,
        format=format,
        options=InferenceOptions() if options is None else options,
        members=len(members),
        quick_look=quick_look,
        overwrite=overwrite,
    )
    models = load_models(model, members, device)
    kind = kind_of(models[0], direction)
    kind.check(request, models)
    path, folder = Path(input), Path() if output is None else Path(output)
    mask, bval, bvec = (None if file is None else Path(file) for file in (mask, bval, bvec))
    base = kind.base(path)
    task = kind.task(Entry(str(input), path, folder, folder, base, mask=mask, bval=bval, bvec=bvec))
    check_outputs(task.paths(request), task.source.files, overwrite)
    with writable_folder(folder):
        read = task.read(request, models, show_progress=show_progress)
        result = task.translate(read, request, models, show_progress=show_progress)
        del read
        with OneThread() as writer:  # an interruption waits until all files are named
            written = writer.submit(write_outputs, result, overwrite=overwrite).result()
        kind.describe(folder, request)
        return written


def load_models(
    model: str | Path | Model | None, members: tuple[str | Path | Model, ...], device: str
) -> tuple[Model, ...]:
    """The model, and those that join it in an ensemble.

    Raises:
        CheckpointError: One cannot be used.
    """
    if model is None:
        model = newest_run()
        logger.info("model: %s, the newest finished run", model)
    return tuple(
        each if isinstance(each, Model) else _load(each, device) for each in (model, *members)
    )


def _load(model: str | Path, device: str) -> Model:
    loaded = load_model(model, device)
    logger.info("model: %s", loaded.path)
    return loaded
