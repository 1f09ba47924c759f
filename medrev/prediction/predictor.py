"""Scans of one domain to predictions of the other one, in physical units."""

import dataclasses
import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.domains.consistency import Consistency
from medrev.domains.domain import Prediction, Scan
from medrev.domains.interval import Width
from medrev.domains.kinds import domains_of
from medrev.errors import InputError
from medrev.metrics import noise_level
from medrev.nets import Posterior
from medrev.options import InferenceOptions
from medrev.prediction.engines import Engine, alternative_engine, choose_engine
from medrev.prediction.ensemble import Encode, Ensemble
from medrev.prediction.geometry import Geometry, Ratio
from medrev.prediction.model import Model
from medrev.prediction.network import check_values
from medrev.prediction.posterior import Field, check_draws, draw_facts, interval_of, sample
from medrev.prediction.regrid import (
    Regrid,
    count_passes,
    edges_in_words,
    new_shape,
    spacing_doubts,
    to_edges,
    trained_edges,
)
from medrev.prediction.score import score_of
from medrev.prediction.steps import Oriented, Pad, Resize, Step, Steps, crop_to_mask
from medrev.progress import format_bytes
from medrev.volumes import voxel_size

logger = logging.getLogger(__name__)

#: Seconds from which on another engine is worth trying, and how much faster it must be.
_LONG, _WORTH = 20.0, 1.15
#: A result whose values differ so much less from each other than those of its input is grey.
_UNIFORM = 0.05


class Predictor:
    """Models that translate scans from one domain to the other.

    A scan is brought to what the networks were trained on (size, axes, voxels: steps that each know
    their inverse), encoded, translated by every model on every turned grid of the ensemble, decoded
    and brought back.

    Args:
        models: The model, and those that join it in an ensemble.
        inverse: From y to x.
        options: Engine, precision, memory, ensemble, … (default: ``InferenceOptions()``).
        s0: Gives the signal without diffusion weighting on the fine grid, of scans of raw DWI whose
            results shall be consistent (default: it is interpolated).

    Attributes:
        source: The domain of scans.
        target: The domain of predictions.

    Raises:
        InputError: The models do not go together, have no way back for a cycle residual, or give no
            finer grid whose results could be consistent.

    Example:
        :meth:`medrev.LoadedModel.predict` in its parts: read, translate, keep what was found.

        >>> import medrev, nibabel, numpy
        >>> from medrev.prediction import recognise
        >>> scan = nibabel.Nifti1Image(numpy.random.rand(16, 16, 16), 2 * numpy.eye(4))
        >>> nibabel.save(scan, "sub-01_T1w.nii.gz")
        >>> options = medrev.InferenceOptions(ensemble=2)
        >>> predictor = medrev.Predictor([medrev.load_model("t1-x2")], options=options)
        >>> prediction = predictor(predictor.source.read(recognise("sub-01_T1w.nii.gz")))
        >>> prediction.values.shape, prediction.std.shape  # the mean of the ensemble, its spread
        (torch.Size([1, 32, 32, 32]), torch.Size([1, 32, 32, 32]))
    """

    def __init__(
        self,
        models: Sequence[Model],
        *,
        inverse: bool = False,
        options: InferenceOptions | None = None,
        s0: Callable[[Scan], Tensor | None] = lambda scan: None,
    ) -> None:
        self.models, self.inverse, self._s0 = tuple(models), inverse, s0
        self.options = InferenceOptions() if options is None else options
        self._sides = [domains_of(model.pipeline, inverse=inverse) for model in self.models]
        self.source, self.target = self._sides[0]
        first = self.models[0]
        self.ratio = Ratio.of(first.pipeline, inverse=inverse)
        for model in self.models[1:]:
            other = Ratio.of(model.pipeline, inverse=inverse)
            if other != self.ratio and not (other.is_one and self.ratio.is_one):
                raise InputError(
                    f"the models of an ensemble must have the same factor, got {self.ratio} and "
                    f"{other}"
                )
        if self.options.consistency == "exact":
            self.source.check(["--consistency exact"])
            if inverse or self.ratio.is_one:
                raise InputError(
                    "--consistency exact is for models of super-resolution, forward; "
                    f"{first.pipeline.name} was asked for no finer grid"
                )
        check_draws(self.models, self.options, self.target, inverse=inverse)
        for model in self.models:
            if inverse and not model.translator.has_inverse:
                raise InputError(
                    f"{model.pipeline.name} has no inverse direction: a network of model.kind "
                    f"{model.pipeline.model.kind} goes forward only"
                )
        if self.options.cycle_residual and not first.translator.has_inverse:
            raise InputError(
                f"--cycle-residual: {first.pipeline.name} has no inverse direction to translate "
                "back"
            )

    def __call__(self, scan: Scan, *, show_progress: bool = False) -> Prediction:
        """Translate a scan.

        Args:
            scan: Of the source domain. Without an affine, its spacing is not looked at; without a
                mask, neither are its values.
            show_progress: Show a progress bar.

        Raises:
            InputError: The scan is not one that the networks take, there is no such ensemble, an
                engine or a precision is not to be had, or the result is not finite.
        """
        if self.options.voxel_size is not None:
            return self._to_voxels(scan, self.options.voxel_size, show_progress=show_progress)
        first, options = self.models[0], self.options
        check_values(first, scan.values, inverse=self.inverse)
        scales = [
            source.scale_of(scan, model.scale)
            for model, (source, _) in zip(self.models, self._sides, strict=True)
        ]
        steps, values, mask = self._prepare(scan, scales[0])
        resized = isinstance(steps[0] if steps else None, Resize)
        seen = dataclasses.replace(scan, values=values) if resized else scan
        warnings, notes = self._doubts(seen, scales)
        regrid = next((step for step in steps if isinstance(step, Regrid)), None)
        resampled: tuple[float, ...] | None = None
        if regrid is not None and scan.affine is not None:
            resampled = regrid.edges(voxel_size(scan.affine))
            warnings.append(f"the volume was resampled to {edges_in_words(resampled)} mm and back")
        elif seen is not scan:
            resampled = tuple(values.shape[1:])

        encodings, told = self._encodings(scan, scales)
        ensemble = self._fastest(
            partial(
                Ensemble,
                self.models,
                encodings,
                inverse=self.inverse,
                options=options,
                shape=tuple(values.shape[1:]),
                mask=mask,
                held=0 if values.data_ptr() == scan.values.data_ptr() else scan.values.nbytes,
            )
        )
        self._tell(ensemble, warnings, notes, told)
        estimate = ensemble.run(values, show_progress=show_progress)
        noise, width = None, 1.0
        if options.samples:
            assert isinstance(first.translator, Posterior)
            noise = noise_level(encodings[0].forward(values), mask)
            width = Width.of(first.metadata).at(noise)
            estimate = sample(
                first.translator,
                encodings[0],
                values,
                estimate,
                mask,
                field=Field.of(options.seed, tuple(values.shape[1:]), steps),
                width=width,
                engine=ensemble.engine,
                options=options,
                max_memory=self._max_memory,
                show_progress=show_progress,
            )
        spread = self.source.spread(scan.values, scan.mask) / scales[0]
        interval, doubts = interval_of(self.models, options, self.target)
        warnings += doubts
        score = None
        if options.samples and regrid is None:  # the details of a resampled scan are not its own
            score = score_of(first, self.source, values, mask, scales[0])
        if score is not None:
            places = steps.undo(score.places, self.ratio.one, scan.mask)
            score = dataclasses.replace(score, places=places)
            warnings += score.doubts(first.metadata)
        del values, mask

        inside = None if scan.mask is None else steps.result_mask(scan.mask, self.ratio)
        result = steps.undo(estimate.mean, self.ratio)
        result, s0, consistency = self._consistent(result, scan, notes)
        made, facts = self.target.as_written(result, inside)
        if self.target.spread(made, inside) / encodings[0].result_scale < _UNIFORM * spread:
            warnings.append(
                "the result is nearly uniform, though the input is not: has the model been trained "
                "long enough?"
            )

        def back(result: Tensor | None) -> Tensor | None:
            return None if result is None else steps.undo(result, self.ratio, inside)

        def onto_scan(result: Tensor | None) -> Tensor | None:
            return None if result is None else steps.undo(result, self.ratio.one, scan.mask)

        draws = estimate.draws
        if draws is not None:  # as files hold them
            whole = (steps.undo(each, self.ratio) for each in draws)
            draws = torch.stack([self.target.as_written(each, inside)[0] for each in whole])
        return Prediction(
            values=made,
            mask=inside,
            affine=steps.result_affine(scan.affine, tuple(scan.values.shape[1:]), self.ratio),
            std=back(estimate.std),
            spread={k: steps.undo(v, self.ratio, inside) for k, v in estimate.spread.items()},
            s0=s0,
            consistency=consistency,
            score=score,
            scatter=back(estimate.scatter),
            draws=draws,
            samples=options.samples or 0,
            interval=interval,
            cycle_residual=onto_scan(estimate.residual),
            input_scale=scales[0],
            scale=encodings[0].result_scale,
            members=ensemble.count,
            engine=str(ensemble.engine),
            # the time differs from run to run
            plan=dataclasses.replace(ensemble.plan, seconds=None),
            resampled=resampled,
            warnings=tuple(warnings),
            notes=tuple(notes),
            facts=facts
            | draw_facts(options, interval, self.target, noise, width)
            | ({} if score is None else score.about(first.metadata)),
        )

    def _consistent(
        self, result: Tensor, scan: Scan, notes: list[str]
    ) -> tuple[Tensor, Tensor | None, Consistency | None]:
        """A result, its S0 and what was measured: moved, if it shall give back its scan."""
        if self.options.consistency == "none":
            return result, None, None
        guess = None if scan.signal is None else self._s0(scan)
        factors = self._factors(scan.affine)
        moved, s0, consistency = self.target.consistent(result, scan, factors, guess)
        notes.append(str(consistency))
        return moved, s0, consistency

    def _tell(
        self, ensemble: Ensemble, warnings: list[str], notes: list[str], told: Sequence[str]
    ) -> None:
        """Say what follows from how the networks are run: warnings; notes, after ``told``."""
        chosen = ensemble.plan
        if not chosen.fits:
            warnings.append(
                f"about {format_bytes(chosen.memory)} are needed, more than --max-memory allows "
                f"({format_bytes(self._max_memory * 2**30)})"
            )
        if chosen.kind == "windows":
            notes.append(
                "the network's normalisation depends on what it sees: it was run in blended "
                "windows of the size it was trained on"
            )
        notes += [*told, *self.source.untrained(ensemble.symmetries)]
        if self.options.cycle_residual and not self.models[0].inverse_is_trained:
            warnings.append("the cycle residual says nothing: one direction was not trained")
        untrained = [model for model in self.models if not model.inverse_is_trained]
        if self.inverse and untrained:
            names = " and ".join(model.pipeline.name for model in untrained)
            whose = "the model" if len(self.models) == 1 else names
            what = " or ".join(dict.fromkeys(m.translator.untrained_inverse for m in untrained))
            warnings.append(f"{whose}'s inverse direction was not trained: its result is {what}")
        if chosen.kind != "image":
            logger.info("%s", ensemble)

    @property
    def _max_memory(self) -> float:
        """Limit in GiB."""
        return self.options.max_memory or self.models[0].pipeline.inference.max_memory

    def _to_voxels(
        self, scan: Scan, wanted: tuple[float, ...], *, show_progress: bool
    ) -> Prediction:
        """Translate as often as it takes to reach voxels of given edges, then resample once."""
        passes = self.passes(scan.affine)
        one = dataclasses.replace(self.options, voxel_size=None)
        predictor = Predictor(self.models, inverse=self.inverse, options=one)
        prediction = predictor(scan, show_progress=show_progress)
        for _ in range(passes - 1):
            finer = dataclasses.replace(
                scan, values=prediction.values, mask=prediction.mask, affine=prediction.affine
            )
            again = predictor(finer, show_progress=show_progress)
            prediction = dataclasses.replace(
                again,
                warnings=(*prediction.warnings, *_of_second(again.warnings)),
                notes=(*prediction.notes, *_of_second(again.notes)),
            )
        return to_edges(prediction, wanted * 3 if len(wanted) == 1 else wanted, passes)

    def passes(self, affine: NDArray[Any] | None) -> int:
        """How many translations a scan takes; more than one where a voxel size is asked for.

        Args:
            affine: Voxel → RAS mm of the scan.

        Raises:
            InputError: The model leaves the grid as it is, the scan has no geometry, or its voxels
                are finer than that already, or too coarse.
        """
        wanted = self.options.voxel_size
        if wanted is None:
            return 1
        self.source.check(["--voxel-size"])
        if self.ratio.is_one or self.ratio.coarser:
            raise InputError("--voxel-size is for models that give finer voxels than they take")
        if affine is None:
            raise InputError("--voxel-size needs the scan's voxel edges; it has no affine")
        edges = wanted * 3 if len(wanted) == 1 else wanted
        return count_passes(voxel_size(affine), edges, self._factors(affine))

    def _prepare(self, scan: Scan, scale: float) -> tuple[Steps, Tensor, Tensor | None]:
        """The steps that bring a scan to what the networks were trained on, done."""
        steps = Steps()
        values, mask, affine = scan.values, scan.mask, scan.affine
        spacing = self.options.spacing

        def take(step: Step) -> None:
            nonlocal values, mask
            before = "×".join(map(str, values.shape[1:]))
            values, mask = step.forward(values, mask)
            after = "×".join(map(str, values.shape[1:]))
            logger.debug("%s: %s, before %s", step.what, after, before)
            steps.append(step)

        size = self.source.training_size()
        if size is not None and spacing == "train":
            source, target = self.source, self.target
            take(
                Resize(
                    tuple(values.shape[1:]),
                    size,
                    lambda image, size: source.resized(image, size, scale),
                    lambda image, size: target.resized(image, size, scale),
                )
            )
        reorient = None if affine is None else self.source.reorient(affine)
        if reorient is not None:
            affine = reorient.affine_for(tuple(values.shape[1:]))
            take(Oriented(reorient))
        if self.models[0].pipeline.data.spatial_dims != 3:
            return steps, values, mask
        geometries = [
            Geometry.of(model.translator, model.pipeline, inverse=self.inverse)
            for model in self.models
        ]
        least, multiple = geometries[0].least, self.ratio.multiple
        trained = trained_edges(self.models[0].metadata, self.ratio)
        if self.source.regrids and affine is not None and trained is not None:
            inner = new_shape(
                tuple(values.shape[1:]),
                affine,
                trained,
                multiple=multiple,
                least=least,
                spacing=spacing,
            )
            if inner is not None:
                self._check_room(tuple(values.shape), inner, voxel_size(affine))
                known = (values != 0).any(dim=0, keepdim=True) if mask is None else mask
                take(Regrid(inner, known))
        reach = self._reach(geometries)
        if mask is not None and reach is not None:
            crop = crop_to_mask(mask, reach, least=least, multiple=multiple)
            if crop is not None:
                take(crop)
        shape = tuple(values.shape[1:])
        if any(n % block for n, block in zip(shape, multiple, strict=True)):
            take(Pad(shape, multiple))
        return steps, values, mask

    def _check_room(
        self, shape: tuple[int, ...], inner: tuple[int, ...], edges: tuple[float, ...]
    ) -> None:
        """Refuse a resampling for which there is no room, before anything is allocated.

        Args:
            shape: ``(C, i, j, k)`` of the volume.
            inner: Voxels that the network would see.
            edges: Voxel edges of the volume in mm.
        """
        channels, *given = shape
        limit = self._max_memory
        result = math.prod(self.ratio.shape(inner))
        needed = 4 * channels * (2 * math.prod(inner) + result) + 4 * sum(
            new * old for new, old in zip(inner, given, strict=True)
        )
        if math.prod(inner) > math.prod(given) and needed > limit * 2**30:
            raise InputError(
                f"voxels of {edges_in_words(edges)} mm, resampled to those of the training, are "
                f"{'×'.join(map(str, inner))} voxels, about {format_bytes(needed)}, more than "
                f"--max-memory allows ({format_bytes(limit * 2**30)}): correct the voxel size in "
                "the header, or give --spacing keep or a higher --max-memory"
            )

    def _reach(self, geometries: Sequence[Geometry]) -> tuple[int, ...] | None:
        """Voxels of a volume that what comes of it depends on, each way, if that is known."""
        reaches = [geometry.reach for geometry in geometries]
        first = self.models[0]
        back: tuple[int, ...] | None = (0, 0, 0)
        if self.options.cycle_residual:
            other = Geometry.of(first.translator, first.pipeline, inverse=not self.inverse)
            back = other.reach
        known = [reach for reach in reaches if reach is not None]
        if len(known) < len(reaches) or back is None:
            return None
        farthest = (max(axis) for axis in zip(*known, strict=True))
        return tuple(
            far + (n * r if self.inverse else math.ceil(n / r))
            for far, n, r in zip(farthest, back, self.ratio.factors, strict=True)
        )

    def _doubts(self, scan: Scan, scales: Sequence[float]) -> tuple[list[str], list[str]]:
        """Where a scan is unlike those of the training, and what is not known about that."""
        warnings: list[str] = []
        notes: list[str] = []
        affine = scan.affine
        reorient = None if affine is None else self.source.reorient(affine)
        if reorient is not None:
            affine = reorient.affine_for(tuple(scan.values.shape[1:]))
        for model, (source, _), scale in zip(self.models, self._sides, scales, strict=True):
            if affine is not None:
                warnings += spacing_doubts(model.metadata, affine, self.ratio)
            doubts, unknown = source.domain_warnings(scan, model.metadata, scale)
            warnings += doubts
            notes += unknown
        return list(dict.fromkeys(warnings)), list(dict.fromkeys(notes))

    def _encodings(
        self, scan: Scan, scales: Sequence[float]
    ) -> tuple[list[Encode], tuple[str, ...]]:
        """How every model's values are encoded and decoded, and notes about the first one's.

        Results have the unit that the first model knows.
        """
        encodings: list[Encode] = []
        notes: tuple[str, ...] = ()
        header = self.models[0].metadata
        for model, (source, _), scale in zip(self.models, self._sides, scales, strict=True):
            result_scale, said = self.target.result_scale(
                scan, header, model_scale=model.scale, input_scale=scale
            )
            notes = notes or said
            encodings.append(Encode(source, self.target, scale, result_scale))
        return encodings, notes

    def _fastest(self, make: Callable[..., Ensemble]) -> Ensemble:
        """The ensemble on the engine asked for; or on another one, where that is faster.

        Another one is tried where an engine is not asked for and the ensemble takes long.

        Args:
            make: Makes it on an ``engine``.
        """
        options, device = self.options, self.models[0].device
        if "--precision bfloat16" in self.source.refuses:
            engine = Engine.torch(device)
        else:
            engine = choose_engine(options.engine, options.precision, device, options.cache_dir)
        ensemble = make(engine=engine)
        if options.engine != "auto" or ensemble.seconds < _LONG:
            return ensemble
        other_engine = alternative_engine(engine, options.cache_dir)
        if other_engine is None:
            return ensemble
        try:
            other = make(engine=other_engine)
        except InputError as error:
            logger.debug("engine %s is not used: %s", other_engine.name, error)
            return ensemble
        logger.debug("%s; %s", ensemble, other)
        return other if other.seconds * _WORTH < ensemble.seconds else ensemble

    def _factors(self, affine: NDArray[Any] | None) -> tuple[int, ...]:
        """Fine voxels per coarse one along the axes of an array that was given."""
        turned = None if affine is None else self.source.reorient(affine)
        factors = self.ratio.factors
        return factors if turned is None else tuple(factors[axis] for axis in turned.order)


def _of_second(lines: Sequence[str]) -> list[str]:
    """What the second of two translations says."""
    return [f"second translation: {line}" for line in lines]
