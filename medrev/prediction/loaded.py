"""A loaded model, for Python: one volume in, one of the same type out."""

import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel

from medrev.domains.source import check_kind, recognise
from medrev.errors import InputError, MedrevError
from medrev.options import InferenceOptions, keywords
from medrev.prediction.containers import contained
from medrev.prediction.model import Model
from medrev.prediction.predictor import Predictor

logger = logging.getLogger(__name__)


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
            masked = given.mask_file(folder)
            if mask is not None:
                masked = contained(mask, "mask").file(folder, "mask")
            found = recognise(given.file(folder, "scan"), mask=masked, bval=bval, bvec=bvec)
            if found.kind == "series":
                raise InputError(
                    f"{found.shape[0]} volumes are neither tensors (six components) nor DWI with "
                    "gradients: give bval and bvec (files), or the path of a scan beside them"
                )
            check_kind(found, source.accepts, self.pipeline.name)
            read = source.read(
                found, order=tensor_order, frame=tensor_frame, show_progress=show_progress
            )
            prediction = predictor(read, show_progress=show_progress)
            for line in (*read.warnings, *prediction.warnings):
                logger.warning("warning: %s", line)
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
        files = re.compile(rf"(?:{re.escape(str(folder))}[/\\])?\b(scan|mask)\.nii\b")
        raise type(error)(files.sub(r"the \1", str(error))) from None
