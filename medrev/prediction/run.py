"""One subject from files to files: read, predict, write."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medrev import __version__
from medrev.domains.bids import datasets_of, describe_dataset, links_of, source_uris
from medrev.domains.guarantee import Certificate
from medrev.domains.kinds import domains_of
from medrev.domains.outputs import (
    CERTIFICATE,
    PICTURE,
    SUFFIXES,
    Result,
    check_outputs,
    writable_folder,
    write_outputs,
)
from medrev.domains.source import Entry, Source, check_kind, recognise
from medrev.domains.values import Prediction, Scan
from medrev.errors import InputError, naming
from medrev.nets import Generator
from medrev.options import InferenceOptions, Request, keywords
from medrev.prediction.entries import single_entry
from medrev.prediction.loading import load_model, load_models
from medrev.prediction.model import Model
from medrev.prediction.predictor import Predictor
from medrev.prediction.shipped import MODELS, shipped_models, suitable_model
from medrev.prediction.threads import OneThread

logger = logging.getLogger(__name__)


@keywords(Request)
def infer_file(
    input: str | Path,
    *,
    model: str | Path | Model | None = None,
    members: tuple[str | Path | Model, ...] = (),
    mask: str | Path | None = None,
    bval: str | Path | None = None,
    bvec: str | Path | None = None,
    output: str | Path | None = None,
    device: str = "auto",
    show_progress: bool = True,
    **settings: Any,
) -> list[Path]:
    """Translate one subject and write what comes of it, with JSON sidecars and a picture.

    Tensors have the order and frame of the input (of raw DWI: FSL's, as ``dtifit`` gives), the same
    field of view, and zeros outside the mask, which is the input's mask on the result's grid
    (nearest neighbour; in reverse, blocks with any mask voxel). In reverse, sizes that the factor
    does not divide are padded at the end of an axis by repeating the last voxel.

    Args:
        input: What the model starts from (:func:`recognise`): tensors (six components; NIfTI or
            NRRD) or raw DWI with gradients, a scalar volume, an image.
        model: Run folder, weight file, shipped model's name or loaded model (default: the one that
            medrev ships for what the input is).
        members: More models whose results join the ensemble.
        mask: Brain mask on the input's grid (default: median_otsu of the b = 0 volumes; of
            tensors and scalar volumes: where they are not zero).
        bval: b-values of raw DWI (default: beside the input).
        bvec: b-vectors of raw DWI (default: beside the input).
        output: Folder of the results (default: the current folder), or file of the result.
        device: auto, cpu, cuda, cuda:N or mps.
        show_progress: Show progress bars on standard error.
        settings: Fields of :class:`medrev.options.Request`, such as ``ensemble=8``.

    Returns:
        The files written: each map followed by its sidecar, then the picture.

    Raises:
        MedrevError: The input, the model or the output cannot be used; nothing is written.

    Example:
        >>> import medrev, nibabel, numpy
        >>> scan = nibabel.Nifti1Image(numpy.random.rand(16, 16, 16), 2 * numpy.eye(4))
        >>> nibabel.save(scan, "sub-01_T1w.nii.gz")
        >>> files = medrev.infer_file("sub-01_T1w.nii.gz", output="results", show_progress=False)
        >>> [file.name for file in files if file.suffix == ".gz"]
        ['sub-01_res-hi_desc-sr_T1w.nii.gz']
    """
    path = Path(input)
    first = suitable_model(path).path if model is None else model
    models = load_models((first, *members), device)
    inference = Inference(models, Request(**settings))
    mask, bval, bvec = (None if file is None else Path(file) for file in (mask, bval, bvec))
    entry = single_entry(inference.source, path, path, None if output is None else Path(output))
    entry = replace(entry, mask=mask, bval=bval, bvec=bvec)
    return infer_entry(inference, entry, show_progress=show_progress)


def infer_entry(inference: "Inference", entry: Entry, *, show_progress: bool = True) -> list[Path]:
    """Translate one subject, as :func:`infer_file` does."""
    overwrite = inference.request.overwrite
    found = inference.recognise(entry)
    check_outputs(inference.paths(entry, found), found.files, overwrite)
    inference.introduce()
    with writable_folder(entry.folder):
        scan = inference.read(found, show_progress=show_progress)
        with naming(str(found.path)):
            prediction = inference.predictor(scan, show_progress=show_progress)
        result = inference.result(entry, found, scan, prediction)
        del scan, prediction
        with OneThread() as writer:  # an interruption waits until all files are named
            written = writer.submit(write_outputs, result, overwrite=overwrite).result()
        if entry.file is None:
            inference.describe(entry.root, found.files)
        return written


class Inference:
    """What is asked of which models, in steps from files to files, so that cohorts overlap them.

    Attributes:
        source: The domain that is read.
        target: The domain that is written.
        predictor: Translates scans.

    Raises:
        InputError: The models have no such direction or do not go together, or an option means
            nothing to them.
    """

    def __init__(self, models: Sequence[Model], request: Request) -> None:
        self.models, self.request = tuple(models), request
        self._told: set[tuple[Path, tuple[Path, ...]]] = set()  # datasets that were described
        first = models[0]
        hashes = [model.sha256 for model in models if model.sha256 is not None]
        if len(set(hashes)) < len(hashes):
            raise InputError(
                "one model is given twice: it does not differ from itself, so that the deviation "
                "would be none; leave one out"
            )
        self.name = first.pipeline.name
        self.source, self.target = domains_of(first.pipeline, inverse=request.inverse)
        self.source.check(request.asked(members=len(self.models) - 1))
        self.draws = (request.samples or 1) if isinstance(first.translator, Generator) else 0
        self.predictor = Predictor(
            self.models,
            inverse=request.inverse,
            options=request,
            s0=lambda scan: fine_s0(
                scan, first.pipeline.data.factors, first.device, request.max_memory
            ),
        )

    def recognise(self, entry: Entry) -> Source:
        """Look into an input.

        Raises:
            InputError: It cannot be done, or is not for the model.
        """
        if entry.problem is not None:
            raise InputError(entry.problem)
        beside = {"--mask": entry.mask, "--bval": entry.bval, "--bvec": entry.bvec}
        self.source.check([option for option, file in beside.items() if file is not None])
        found = recognise(entry.path, mask=entry.mask, bval=entry.bval, bvec=entry.bvec)
        said = {"order": self.request.tensor_order, "frame": self.request.tensor_frame}
        for name, value in said.items():
            if value is not None and found.kind == "dwi":
                raise InputError(
                    f"--tensor-{name} says how a file holds tensors, but {found.path} is raw DWI, "
                    "whose tensors are fitted in FSL's order and frame: leave it out"
                )
        check_kind(found, self.source.accepts, self.name)
        for what, file in (("b-values", found.bval), ("b-vectors", found.bvec)):
            if file is not None:
                logger.debug("%s: %s", what, file)
        if found.mask is not None:
            how = "given" if entry.mask is not None else "found beside the input"
            logger.debug("mask: %s, %s", found.mask, how)
        with naming(str(found.path)):  # before a fit, which takes minutes
            self.predictor.task.passes(found.header.affine)
        return found

    def introduce(self) -> None:
        """Say which models they are, when there is nothing to refuse any more."""
        for path, about in ((m.path, m.pipeline.description) for m in self.models):
            if path is not None and path.parent == MODELS:
                logger.info("model: %s, shipped with medrev: %s", path.stem, about)
            elif path is not None:
                logger.info("model: %s", path)

    def paths(self, entry: Entry, found: Source) -> dict[str, Path]:
        """The files of the result of what an input was recognised as, by name."""
        request = self.request
        exact, interval = request.consistency == "exact", request.interval is not None
        around = 0 if self.draws else request.samples or 0
        beside = {
            "std": request.ensemble > 1 or len(self.models) > 1 or around,
            "cycle": request.cycle_residual,
            **dict.fromkeys(self.source.scores, around),
            "s0": exact and found.kind == "dwi",
            CERTIFICATE: exact or interval or around,
            PICTURE: request.quick_look,
            **dict.fromkeys(self.target.uncertain, around or interval),
            **{f"sample-{n + 1}": request.keep_samples for n in range(around)},
        }
        return self._paths(entry, [name for name, there in beside.items() if there], self.draws)

    def read(
        self,
        found: Source,
        *,
        hashes: tuple[str, ...] | None = None,
        show_progress: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> Scan:
        """Read what the network starts from.

        The check is called now and then, and ends the reading by what it raises.

        Raises:
            InputError: The input cannot be used.
        """
        logger.info("%s", found)
        scan = self.source.read(
            found,
            order=self.request.tensor_order,
            frame=self.request.tensor_frame,
            show_progress=show_progress,
            check=check,
        )
        if scan.mask is not None:
            logger.info("mask: %s, %d voxels", scan.mask_source, int(scan.mask.sum()))
        return replace(scan, hashes=found.hashes() if hashes is None else hashes)

    def result(self, entry: Entry, found: Source, scan: Scan, prediction: Prediction) -> Result:
        """What is written of a prediction."""
        request = self.request
        warnings = [*scan.warnings, *prediction.warnings]
        notes = [*scan.notes, *prediction.notes]
        for line in warnings:
            if line not in prediction.told:
                logger.warning("warning: %s", line)
        for line in notes:
            logger.info("note: %s", line)
        outputs = self.target.results(prediction, scan, source=self.source)
        guarantees = _guarantees(prediction, self.target.intervals)
        if guarantees:
            outputs[CERTIFICATE] = Certificate()
        if request.quick_look:
            picture = self.target.picture(prediction, scan, source=self.source, title=entry.base)
            if picture is not None:
                outputs[PICTURE] = picture
        paths = {name: file for name, file in self.paths(entry, found).items() if name in outputs}
        possible = self._paths(entry, None)
        return Result(
            paths=paths,
            outputs=outputs,
            sidecar={
                "Sources": source_uris(found.files, None if entry.file else entry.root),
                "SourceSHA256": list(scan.hashes),
                "InputKind": found.kind,
                "Direction": request.direction,
                "Model": _describe(self.models[0]),
                "EnsembleModels": [_describe(model) for model in self.models[1:]],
                "Request": self.fingerprint(),
                "GeneratedBy": [{"Name": "medrev", "Version": __version__}],
                **scan.facts,
                **self.target.sidecar(prediction, scan),
                **prediction.facts,
                **guarantees,
                "Warnings": warnings,
                "Notes": notes,
            },
            others=tuple(file for name, file in possible.items() if name not in paths),
        )

    def describe(self, folder: Path, sources: Sequence[Path]) -> None:
        """Write what a folder of all results has beside them; some were made from sources."""
        told = folder, datasets_of(sources)
        if self.target.title and told not in self._told:
            ignored = self.target.ignored_by_bids(self.request.format)
            describe_dataset(folder, self.target.title, ignored, links_of(sources, folder))
            self._told.add(told)

    def fingerprint(self) -> dict[str, Any]:
        """Everything that two equal results were asked for alike."""
        return self.request.fingerprint([model.sha256 for model in self.models])

    def wanted(self, hashes: Sequence[str]) -> dict[str, Any]:
        """Keys of the sidecars of a result that is made of the same files as asked here.

        A model that was not loaded from a file has no hash: its results are never the same.
        """
        known = all(model.sha256 for model in self.models)
        return {
            "Request": self.fingerprint() if known else None,
            "SourceSHA256": list(hashes),
        }

    def _paths(self, entry: Entry, beside: Sequence[str] | None, draws: int = 0) -> dict[str, Path]:
        format = self.request.format if entry.file is None else self._format(entry.file)
        paths = self.target.result_paths(
            entry.base,
            entry.folder,
            source=self.source,
            beside=beside,
            format=format,
            draws=draws,
        )
        return paths if entry.file is None else {**paths, next(iter(paths)): entry.file}

    def _format(self, file: Path) -> str:
        """The format of the volumes beside a file that is named.

        Raises:
            InputError: The result cannot be written under this name.
        """
        endings = self.target.endings
        if not file.name.endswith(endings):
            raise InputError(
                f"--output must be a folder or end in {', '.join(endings)}, got {file}; a folder "
                "with such an ending must be there before"
            )
        if self.draws > 1:
            raise InputError(
                f"--output {file} is the file of one result, got --samples: give a folder"
            )
        format = "nrrd" if file.suffix == SUFFIXES["nrrd"] else "nifti"
        if self.request.format not in ("nifti", format):
            raise InputError(
                f"--format {self.request.format} and --output {file} contradict each other"
            )
        return format


def _guarantees(prediction: Prediction, quantities: Sequence[str]) -> dict[str, Any]:
    """What a sidecar guarantees of a result, in words and in numbers.

    Returns:
        Nothing where neither consistency nor intervals were asked for; no sentence for intervals
        that were not calibrated.
    """
    measured, interval = prediction.consistency, prediction.interval
    if measured is None and interval is None:
        return {}
    said = [None if measured is None else str(measured)]
    said.append(None if interval is None else interval.guarantee(quantities))
    numbers = {} if measured is None else {"Consistency": measured.about}
    return {"Guarantees": [each for each in said if each], **numbers}


def _describe(model: Model) -> dict[str, Any]:
    """A model in a sidecar."""
    return {
        "Name": model.pipeline.name,
        "File": None if model.path is None else str(model.path),
        "SHA256": model.sha256,
        "Version": model.metadata.get("medrev"),
        "Scale": model.scale,
    }


def fine_s0(
    scan: Scan, factors: tuple[int, ...], device: torch.device, max_memory: float | None
) -> Tensor | None:
    """S0 ``(1, I·r, J·r, K·r)`` of raw DWI (with :attr:`Scan.signal`), by a shipped scalar model.

    None without that signal, and where no shipped model has the factors.
    """
    fitting = (m for m in shipped_models() if m.accepts == "scalar" and m.factors == factors)
    shipped = next(fitting, None)
    if shipped is None or scan.signal is None:
        return None
    logger.info("signal without diffusion weighting: by %s", shipped.name)
    options = InferenceOptions(max_memory=max_memory)
    predictor = Predictor([load_model(shipped.path, device)], options=options)
    return predictor(Scan(values=scan.signal.s0, mask=scan.mask, affine=scan.affine)).values
