"""Loading a model onto a device; for Python, one volume in and one of the same type out."""

import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import torch

from medrev.domains.source import check_kind, recognise
from medrev.errors import CheckpointError, InputError, MedrevError
from medrev.nets import complete_statistics, translator_of
from medrev.options import CALIBRATED, InferenceOptions, keywords
from medrev.prediction.containers import contained, file_of
from medrev.prediction.model import Model
from medrev.prediction.predictor import Predictor
from medrev.prediction.shipped import like, named, shipped_model
from medrev.prediction.weights import is_copy, read_weights

logger = logging.getLogger(__name__)

#: Name of the weight file in a checkpoint folder.
WEIGHTS_FILE = "weights.safetensors"


class LoadedModel(Model):
    """A model from a file, which translates volumes as other packages hold them.

    Example:
        >>> import medrev, nibabel, numpy
        >>> model = medrev.load_model("t1-x2")
        >>> scan = nibabel.Nifti1Image(numpy.random.rand(16, 16, 16), 2 * numpy.eye(4))
        >>> fine = model.predict(scan)
        >>> fine.shape, fine.affine.diagonal().tolist()
        ((32, 32, 32), [1.0, 1.0, 1.0, 1.0])
    """

    @keywords(InferenceOptions)
    def predict(
        self,
        scan: Any,
        *,
        mask: Any = None,
        bval: str | Path | None = None,
        bvec: str | Path | None = None,
        inverse: bool = False,
        tensor_order: str | None = None,
        tensor_frame: str | None = None,
        show_progress: bool = False,
        **options: Any,
    ) -> Any:
        """Translate a volume.

        It is read, checked and translated as ``medrev-infer`` does it; nothing is written.

        Args:
            scan: A path, a nibabel image, a MONAI MetaTensor or torchio Image ``(C, I, J, K)``, a
                torchio Subject with one image (or one that is called as the model calls it), or a
                SimpleITK image.
            mask: Brain mask on the scan's grid, of any of these types (default: as
                ``medrev-infer``; of a Subject its only label map).
            bval: File of the b-values of raw DWI (default: beside a path).
            bvec: File of its b-vectors.
            inverse: From y to x: of tensors from the fine to the coarse grid.
            tensor_order: Component order of tensors: fsl, dipy, mrtrix or ants.
            tensor_frame: Frame of tensors: fsl, voxel or ras.
            show_progress: Show a progress bar.
            options: Fields of :class:`medrev.InferenceOptions`, such as ``ensemble=8``.

        Returns:
            The result as what was given: a torchio Subject has it in place of its image, without
            images and label maps that lie on another grid than it. Of a path, and of a nibabel
            image of any format, a `nibabel.Nifti1Image`. Its affine is that of its grid; values
            are in the unit, tensors in the order and frame of what was given (of raw DWI: mm²/s,
            FSL's).

        Raises:
            InputError: The scan or an option cannot be used.

        Example:
            >>> import medrev, nibabel, numpy
            >>> model = medrev.load_model("dti-x2")
            >>> tensors = numpy.full((12, 12, 12, 6), [1e-3, 0, 0, 7e-4, 0, 7e-4])
            >>> scan = nibabel.Nifti1Image(tensors, 2 * numpy.eye(4))
            >>> fine = model.predict(scan, tensor_order="fsl", ensemble=2)
            >>> fine.shape, fine.affine.diagonal().tolist()
            ((24, 24, 24, 6), [1.0, 1.0, 1.0, 1.0])
        """
        predictor = Predictor([self], inverse=inverse, options=InferenceOptions(**options))
        source, target = predictor.source, predictor.target
        if source.accepts == "image":
            raise InputError(
                f"{self.pipeline.name} takes images: use medrev.prediction.infer_file, or "
                "medrev.prediction.translate in network range"
            )
        given = contained(scan, source.name)
        with tempfile.TemporaryDirectory(prefix="medrev-") as name, _unnamed(Path(name)):
            folder = Path(name)
            inside = given.mask if mask is None else contained(mask, "mask").volume
            masked = None if inside is None else file_of(inside, folder, "mask")
            path = file_of(given.volume, folder, "scan")
            found = recognise(path, mask=masked, bval=bval, bvec=bvec)
            check_kind(found, source.accepts, self.pipeline.name)
            read = source.read(
                found, order=tensor_order, frame=tensor_frame, show_progress=show_progress
            )
            prediction = predictor(read, show_progress=show_progress)
            for line in (*read.warnings, *prediction.warnings):
                logger.warning("warning: %s", _without_folder(line, folder))
            for line in (*read.notes, *prediction.notes):
                logger.info("note: %s", line)
            output = next(iter(target.results(prediction, read, source=source).values()))
            written = folder / "result.nii.gz"
            output.write(written)
            image = nibabel.Nifti1Image.from_filename(written)
            values = image.get_fdata(dtype="float32")
            result = nibabel.Nifti1Image(values, image.affine, image.header)
        return given.back(result)


@contextmanager
def _unnamed(folder: Path) -> Iterator[None]:
    """Call the volumes in a temporary folder what they are, in the message of an error."""
    try:
        yield
    except MedrevError as error:
        raise type(error)(_without_folder(str(error), folder)) from None


def _without_folder(text: str, folder: Path) -> str:
    files = rf"(?:{re.escape(str(folder))}[/\\])?\b(scan|mask)\.nii\b"
    return re.sub(files, r"the \1", text)


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """The device of a name; ``auto`` is the first GPU where there is one, else the CPU.

    Raises:
        InputError: The device is unknown or this machine does not have it.
    """
    if isinstance(name, torch.device):
        return name
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device must be auto, cpu, cuda, cuda:N or mps, got '{name}'") from None
    have = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not have.get(device.type, False):
        raise InputError(f"device '{name}' is not available on this machine; use auto or cpu")
    return device


@keywords()
def load_model(source: str | Path, device: str | torch.device = "auto") -> LoadedModel:
    """Load a model for inference.

    Args:
        source: A run folder (the calibrated copy of its weights, unless they are newer; its best
            checkpoint, else its last), a checkpoint folder, a ``.safetensors`` weight file, or the
            name of a shipped model.
        device: auto, cpu, cuda, cuda:N or mps.

    Raises:
        CheckpointError: Nothing there, a pickle, damaged, another version or kind, or weights that
            do not fit the network their own header describes.

    Example:
        >>> import medrev
        >>> model = medrev.load_model("t1-x2")
        >>> model.pipeline.data.factors
        (2, 2, 2)
    """
    place = pick_device(device)
    path = _calibrated(Path(source), weight_file(Path(source)))
    weights = read_weights(path)
    with torch.device("meta"):  # a header may ask for a network that no memory holds
        empty = translator_of(weights.pipeline)
    complete_statistics(empty, weights.state)
    expected = empty.state_dict()
    wrong = [
        name
        for name in expected.keys() | weights.state.keys()
        if name not in expected
        or name not in weights.state
        or expected[name].shape != weights.state[name].shape
    ]
    if wrong:
        raise CheckpointError(
            f"{path}: the weights do not fit the network of their pipeline "
            f"({len(wrong)} of {len(expected)} entries missing, unknown or of another shape, "
            f"e.g. {min(wrong)}): the file was altered, or written by an incompatible medrev"
        )
    translator = translator_of(weights.pipeline)
    translator.load_state_dict(weights.state)
    translator.to(place).eval().requires_grad_(False)
    pipeline = named(weights.pipeline, path)
    return LoadedModel(translator, pipeline, weights.scale, weights.metadata, path)


def _calibrated(run: Path, weights: Path) -> Path:
    """The calibrated copy of a run's weights, unless they were trained on since; else these."""
    copy = run / CALIBRATED
    if not (run.is_dir() and copy.is_file()):
        return weights
    if is_copy(copy, weights):
        return copy
    logger.warning("note: %s is of other weights than %s: not used", copy, weights)
    return weights


def weight_file(source: Path) -> Path:
    """The weight file of a run, a checkpoint folder, or a shipped model's name; or the file itself.

    Of a run it is the best checkpoint, else the last.

    Raises:
        CheckpointError: There is none.
    """
    if not source.exists():
        if len(source.parts) > 1 or source.suffix:
            raise CheckpointError(f"{source}: no such run folder or weight file{like(source)}")
        return shipped_model(str(source)).path
    if not source.is_dir():
        return source
    places = [source / "checkpoints" / "best", source / "checkpoints" / "last", source]
    for place in places:
        if (place / WEIGHTS_FILE).is_file():
            return place / WEIGHTS_FILE
    raise CheckpointError(
        f"{source}: no weights in this folder (looked for checkpoints/best/{WEIGHTS_FILE} and "
        f"checkpoints/last/{WEIGHTS_FILE}): give a run of medrev-train that has saved a checkpoint"
    )


def load_models(models: Sequence[str | Path | Model], device: str) -> tuple[Model, ...]:
    """A model, and those that join it in an ensemble.

    Raises:
        CheckpointError: One cannot be used.
    """
    loaded = tuple(each if isinstance(each, Model) else load_model(each, device) for each in models)
    logger.debug("device: %s, %d threads", loaded[0].device, torch.get_num_threads())
    return loaded
