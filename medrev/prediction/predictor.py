"""Scans of one domain to predictions of the other one, in physical units."""

import dataclasses
import logging
import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from medrev.domains.guarantee import Consistency
from medrev.domains.kinds import domains_of
from medrev.domains.score import Score
from medrev.domains.values import Prediction, Scan
from medrev.errors import InputError
from medrev.nets import Generator
from medrev.options import InferenceOptions
from medrev.prediction.engines import alternative_engine, choose_engine
from medrev.prediction.ensemble import Encode, Ensemble
from medrev.prediction.geometry import check_values
from medrev.prediction.model import Model, generator_of
from medrev.prediction.posterior import sample, score_of, slab_of
from medrev.prediction.preparation import Seen, prepare
from medrev.prediction.regrid import Regrid, edges_in_words, spacing_doubts, to_edges
from medrev.prediction.stages import Engine
from medrev.prediction.steps import Resize
from medrev.prediction.task import Task
from medrev.progress import format_bytes, gib_above
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
        task: Models, direction and options.
        source: The domain of scans.
        target: The domain of predictions.

    Raises:
        InputError: As :class:`medrev.prediction.task.Task`.

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
        options = InferenceOptions() if options is None else options
        self.task, self._s0 = Task(tuple(models), inverse, options), s0
        self.source, self.target = self.task.source, self.task.target

    def __call__(self, scan: Scan, *, show_progress: bool = False) -> Prediction:
        """Translate a scan.

        Args:
            scan: Of the source domain. Of tensors without an affine, the spacing is not looked at;
                without a mask, neither are the values. Scalar volumes need both.
            show_progress: Show a progress bar.

        Raises:
            InputError: The scan is not one that the networks take, there is no such ensemble, an
                engine or a precision is not to be had, more memory is needed than was allowed, or
                the result is not finite.
        """
        task, options = self.task, self.task.options
        if options.voxel_size is not None:
            return self._to_voxels(scan, options.voxel_size, show_progress=show_progress)
        first = task.models[0]
        if isinstance(first.translator, Generator):
            return _draw(first, options, scan)
        check_values(first, scan.values, inverse=task.inverse)
        scales = [
            source.scale_of(scan, model.scale)
            for model, (source, _) in zip(task.models, task.sides, strict=True)
        ]
        given = prepare(task, scan, scales[0])
        steps = given.steps
        resized = isinstance(steps[0] if steps else None, Resize)
        seen = dataclasses.replace(scan, values=given.values) if resized else scan
        warnings, notes = self._doubts(seen, scales)
        regrid = next((step for step in steps if isinstance(step, Regrid)), None)
        resampled: tuple[float, ...] | None = given.shape if resized else None
        if regrid is not None and scan.affine is not None:
            resampled = regrid.edges(voxel_size(scan.affine))
            warnings.append(f"the volume was resampled to {edges_in_words(resampled)} mm and back")

        encodings, told = self._encodings(scan, scales)
        ensemble = self._fastest(
            partial(
                Ensemble,
                task,
                encodings,
                shape=given.shape,
                mask=given.mask,
                held=self._held(scan, given),
            )
        )
        slab, beyond = self._room(ensemble, given, encodings[0])
        self._tell(ensemble, warnings, notes, told)
        guess = self._s0(scan) if self._guesses(scan) else None  # it may be refused, too
        made = ensemble.run(given.values, show_progress=show_progress)
        if options.samples:
            made = sample(
                task,
                given,
                made,
                encode=encodings[0],
                engine=ensemble.engine,
                slab=slab,
                show_progress=show_progress,
            )
        spread = self.source.spread(scan.values, scan.mask) / scales[0]
        interval, score, facts = task.interval_of(made), None, dict(made.facts)
        if interval is not None:
            facts |= interval.about(self.target.intervals)
            if not facts["IntervalCalibrated"]:
                warnings.append(
                    f"the {interval.level:g} % intervals are not calibrated: how much they hold is "
                    f"not known ({interval.calibrated_for(first.metadata)})"
                )
        if options.samples and regrid is None:  # the details of a resampled scan are not its own
            score = self._score(scan, given, scales[0])
        if score is not None:
            facts |= score.about(first.metadata)
            warnings += score.doubts(first.metadata)
        del given

        inside = None if scan.mask is None else steps.result_mask(scan.mask, task.ratio)
        result = steps.undo(made.values, task.ratio)
        result, s0, consistency = self._consistent(result, scan, guess, notes)
        values, told_of = self.target.as_written(result, inside)
        if self.target.spread(values, inside) / encodings[0].result_scale < _UNIFORM * spread:
            warnings.append(
                "the result is nearly uniform, though the input is not: has the model been trained "
                "long enough?"
            )
        draws, residual = made.draws, made.cycle_residual
        if draws is not None:  # as files hold them
            whole = (steps.undo(each, task.ratio) for each in draws)
            draws = torch.stack([self.target.as_written(each, inside)[0] for each in whole])
        if residual is not None:
            residual = steps.undo(residual, task.ratio.one, scan.mask)
        return dataclasses.replace(
            made.spread_moved(lambda each: steps.undo(each, task.ratio, inside)),
            values=values,
            mask=inside,
            affine=steps.result_affine(scan.affine, tuple(scan.values.shape[1:]), task.ratio),
            s0=s0,
            consistency=consistency,
            score=score,
            draws=draws,
            interval=interval,
            cycle_residual=residual,
            input_scale=scales[0],
            scale=encodings[0].result_scale,
            members=ensemble.count,
            engine=str(ensemble.engine),
            # the time differs from run to run
            plan=dataclasses.replace(ensemble.plan, seconds=None),
            resampled=resampled,
            warnings=(*beyond, *warnings),
            told=beyond,
            notes=tuple(notes),
            facts=told_of | facts,
        )

    def _held(self, scan: Scan, given: Seen) -> int:
        """Bytes that are held beside what networks see: the scan, if that was copied, and S0."""
        same = given.values.data_ptr() == scan.values.data_ptr()
        guess = 4 * scan.values[0].numel() * math.prod(self.task.ratio.factors)
        return (0 if same else scan.values.nbytes) + (guess if self._guesses(scan) else 0)

    def _guesses(self, scan: Scan) -> bool:
        """Whether a fine S0 is wanted."""
        return self.task.options.consistency != "none" and scan.signal is not None

    def _consistent(
        self, result: Tensor, scan: Scan, guess: Tensor | None, notes: list[str]
    ) -> tuple[Tensor, Tensor | None, Consistency | None]:
        """A result, its S0 and what was measured: moved, if it shall give back its scan."""
        if self.task.options.consistency == "none":
            return result, None, None
        factors = self.task.factors(scan.affine)
        moved, s0, consistency = self.target.consistent(result, scan, factors, guess)
        notes.append(str(consistency))
        return moved, s0, consistency

    def _tell(
        self, ensemble: Ensemble, warnings: list[str], notes: list[str], told: Sequence[str]
    ) -> None:
        """Say what follows from how the networks are run: warnings; notes, after ``told``."""
        chosen = ensemble.plan
        if chosen.kind == "windows":
            notes.append(
                "the network's normalisation depends on what it sees: it was run in blended "
                "windows of the size it was trained on"
            )
        notes += [*told, *self.source.untrained(ensemble.symmetries)]
        models = self.task.models
        if self.task.options.cycle_residual and not models[0].inverse_is_trained:
            warnings.append("the cycle residual says nothing: one direction was not trained")
        untrained = [model for model in models if not model.inverse_is_trained]
        if self.task.inverse and untrained:
            names = " and ".join(model.pipeline.name for model in untrained)
            whose = "the model" if len(models) == 1 else names
            what = " or ".join(dict.fromkeys(m.translator.untrained_inverse for m in untrained))
            warnings.append(f"{whose}'s inverse direction was not trained: its result is {what}")
        if chosen.kind != "image":
            logger.info("%s", ensemble)

    def _room(self, ensemble: Ensemble, given: Seen, encode: Encode) -> tuple[int, tuple[str, ...]]:
        """Whether memory has room for the smallest pieces, before anything is computed.

        Returns:
            Planes that are sampled at a time, and what is said where there is no room.

        Raises:
            InputError: There is none, and the limit was given and is not that of the pipeline.
        """
        needed, limit, slab = ensemble.plan.memory, self.task.max_memory * 2**30, 0
        if self.task.options.samples:
            slab, least = slab_of(self.task, given, encode=encode, engine=ensemble.engine)
            needed = max(needed, least)
        if needed <= limit:
            return slab, ()
        words = format_bytes(needed), format_bytes(limit)
        if words[0] == words[1]:
            words = f"{needed / 2**20:.3g} MiB", f"{limit / 2**20:.3g} MiB"
        text = (
            f"about {words[0]} are needed, even in the smallest pieces, more than "
            f"{self.task.limited_by} allows ({words[1]})"
        )
        if self.task.options.max_memory is not None:
            raise InputError(
                f"{text}: give --max-memory {gib_above(needed)} or more, or a smaller scan"
            )
        logger.warning("warning: %s", text)
        return slab, (text,)

    def _to_voxels(
        self, scan: Scan, wanted: tuple[float, ...], *, show_progress: bool
    ) -> Prediction:
        """Translate as often as it takes to reach voxels of given edges, then resample once."""
        passes = self.task.passes(scan.affine)
        one = dataclasses.replace(self.task.options, voxel_size=None)
        predictor = Predictor(self.task.models, inverse=self.task.inverse, options=one)
        prediction = predictor(scan, show_progress=show_progress)
        for _ in range(passes - 1):
            finer = dataclasses.replace(
                scan, values=prediction.values, mask=prediction.mask, affine=prediction.affine
            )
            again = predictor(finer, show_progress=show_progress)
            prediction = dataclasses.replace(
                again,
                warnings=_joined(prediction.warnings, again.warnings),
                told=_joined(prediction.told, again.told),
                notes=_joined(prediction.notes, again.notes),
            )
        return to_edges(prediction, wanted * 3 if len(wanted) == 1 else wanted, passes)

    def _doubts(self, scan: Scan, scales: Sequence[float]) -> tuple[list[str], list[str]]:
        """Where a scan is unlike those of the training, and what is not known about that."""
        warnings: list[str] = []
        notes: list[str] = []
        affine = scan.affine
        reorient = None if affine is None else self.source.reorient(affine)
        if reorient is not None:
            affine = reorient.affine_for(tuple(scan.values.shape[1:]))
        task = self.task
        for model, (source, _), scale in zip(task.models, task.sides, scales, strict=True):
            if affine is not None:
                warnings += spacing_doubts(model.metadata, affine, task.ratio)
            doubts, unknown = source.domain_warnings(scan, model.metadata, scale)
            warnings += doubts
            notes += unknown
        return list(dict.fromkeys(warnings)), list(dict.fromkeys(notes))

    def _score(self, scan: Scan, given: Seen, scale: float) -> Score | None:
        """How like the training's a scan is, its maps on the scan's own grid."""
        first = self.task.models[0]
        score = score_of(first, self.source, given.values, given.mask, scale)
        if score is None:
            return None
        places = given.steps.undo(score.places, self.task.ratio.one, scan.mask)
        tissue = self.source.tissue(scan.values, scan.mask, scan.affine)
        return dataclasses.replace(score, places=places).beside(tissue, first.metadata)

    def _encodings(
        self, scan: Scan, scales: Sequence[float]
    ) -> tuple[list[Encode], tuple[str, ...]]:
        """How every model's values are encoded and decoded, and notes about the first one's.

        Results have the unit that the first model knows.
        """
        encodings: list[Encode] = []
        notes: tuple[str, ...] = ()
        task, header = self.task, self.task.models[0].metadata
        for model, (source, _), scale in zip(task.models, task.sides, scales, strict=True):
            result_scale, said = self.target.result_scale(
                scan, header, model_scale=model.scale, input_scale=scale
            )
            notes = notes or said
            encodings.append(Encode(source, self.target, scale, result_scale))
        return encodings, notes

    def _fastest(self, make: Callable[..., Ensemble]) -> Ensemble:
        """The ensemble on the engine asked for, or on another one, where that is faster.

        Another one is tried where an engine is not asked for and the ensemble takes long.
        """
        options, device = self.task.options, self.task.models[0].device
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


def _joined(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    """What the first of two translations says, and what only the second does."""
    return (*first, *(f"second translation: {line}" for line in second if line not in first))


def _draw(model: Model, options: InferenceOptions, scan: Scan) -> Prediction:
    """Draw results of a scan, which is resized to the size that the model was trained on."""
    source, target = domains_of(model.pipeline)
    size = model.pipeline.data.input_shape[1:]
    scale = source.scale_of(scan, model.scale)
    values = scan.values
    if tuple(values.shape[1:]) != size:
        values = source.resized(values, size, scale)
    drawn = generator_of(model).draw(
        source.encode(values, scale)[None].to(model.device),
        options.samples or 1,
        temperature=options.temperature,
        generator=torch.Generator().manual_seed(options.seed),
    )[0]
    result, _ = target.result_scale(
        scan, model.metadata, model_scale=model.scale, input_scale=scale
    )
    made = torch.stack([target.decode(each, result) for each in drawn])
    return Prediction(
        values=made[0],
        draws=made,
        input_scale=scale,
        scale=result,
        members=len(made),
        engine=f"torch, float32, {model.device.type}",
        plan="drawn",
        resampled=tuple(float(n) for n in size),
        facts={"Temperature": options.temperature, "Seed": options.seed},
    )
