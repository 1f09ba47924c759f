"""From a pipeline to a run folder: data, network, training, held-out table."""

import logging
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from medrev.config.schema import Pipeline
from medrev.domains.dataset import AnyDataset
from medrev.domains.kinds import dataset_of
from medrev.errors import CheckpointError, ConfigError
from medrev.evaluation import heldout_table
from medrev.methods import build_method
from medrev.nets import Flow, Posterior, Translator, translator_of
from medrev.options import keywords
from medrev.prediction import Model, load_model, pick_device
from medrev.training.checkpoint import load_checkpoint
from medrev.training.distributed import join_world
from medrev.training.loop import Loop
from medrev.training.meter import require_tensorboard
from medrev.training.run_folder import RunFolder, describe_environment, model_card
from medrev.training.scoring import data_warnings, heldout, result_warnings
from medrev.training.seeding import deterministic_algorithms, seed_everything
from medrev.training.trainer import Trainer, precision_on, total_steps

logger = logging.getLogger(__name__)


@keywords()
def train(
    pipeline: Pipeline,
    output: str | Path | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: str | torch.device = "auto",
    quiet: bool = False,
) -> RunFolder:
    """Train a pipeline and score it on the held-out subjects.

    Under ``torchrun`` every process calls it with the same arguments; process 0 writes.

    Args:
        pipeline: The experiment.
        output: The run folder (default: ``runs/NAME``).
        resume: Go on from the folder's last checkpoint; on the CPU the weights become bit for bit
            those of an uninterrupted training.
        overwrite: Replace an existing run folder.
        device: auto, cpu, cuda, cuda:N or mps.
        quiet: Show no progress and print no table.

    Returns:
        The run folder; its ``heldout`` is set where there are test subjects.

    Raises:
        MedrevError: Bad pipeline, data, output or checkpoint. Nothing was written unless training
            had begun.
        TrainingInterrupted: Stopped by SIGINT or SIGTERM, after saving.

    Example:
        A network much too small, for two steps, on scans that are drawn (``data.layout``):

        >>> import medrev
        >>> small = ["training.steps=2", "training.schedule.warmup_steps=0", "data.batch_size=1"]
        >>> small += ["model.width=8", "model.depth=1", "data.patches.per_subject=2"]
        >>> small += ["data.simulated={edge: 32, train: 1, validation: 1, test: 1}"]
        >>> pipeline = medrev.load_pipeline("pipelines/t1_x2.yaml", small)
        >>> run = medrev.train(pipeline, "runs/small", quiet=True)
        >>> sorted(set(run.heldout.frame["method"]))
        ['cubic', 'model', 'nearest', 'trilinear']
        >>> medrev.load_model("runs/small").pipeline.training.steps
        2
    """
    place = training_device(device)
    config = pipeline.training
    precision_on(place, config.precision)  # refused before anything is read
    if config.tensorboard:
        require_tensorboard()
    run = RunFolder(output if output is not None else Path("runs") / pipeline.name)
    with (
        join_world(place) as world,
        deterministic_algorithms(config.deterministic),
        run.folder.owned() if world.is_main else nullcontext(),
    ):
        if world.is_main:
            run.check(resume=resume, overwrite=overwrite)
        state = load_checkpoint(run.state(), pipeline) if resume else None
        show = world.is_main and not quiet
        # a resumed training has its scale in its own weights
        start = start_of(pipeline, run.weights("last") if resume else None)
        told = None if resume else pipeline.training.conditioner_from
        donor = None if told is None else load_model(told, "cpu")
        dataset = dataset_of(pipeline, scale=None if start is None else start.scale, show=show)
        dataset.load(world, show=show)

        seed_everything(pipeline.seed)
        translator = translator_from(pipeline, start, donor)
        method = build_method(pipeline, translator, rank=world.rank)
        batches = dataset.batches(rank=world.rank, world=world.size)
        if state is None and (start is None or type(start.translator) is not type(translator)):
            alike = batches if world.size == 1 else dataset.batches()
            method.begin(alike.batch(0, number) for number in range(len(alike)))
        seed_everything(pipeline.seed + world.rank)
        trainer = Trainer(
            method,
            batches,
            config,
            total=total_steps(config, len(batches)),
            device=place,
            world=world,
        )
        model = Model(_translator(trainer), pipeline, dataset.scale, dataset.header())
        loop = Loop(trainer, run, model, dataset, quiet=not show)
        if state is not None:
            _resume(loop, state)
        try:
            if world.is_main:
                run.begin(pipeline, resume=resume)
                run.write_json(
                    "environment.json",
                    describe_environment(
                        pipeline,
                        dataset,
                        device=place,
                        precision=trainer.precision,
                        processes=world.size,
                    ),
                )
                for line in data_warnings(dataset):
                    run.warn(line)
            world.barrier()
            loop.train()
            if world.is_main:
                _conclude(run, dataset, loop, quiet)
        except BaseException as error:
            if world.is_main:
                status = "failed" if isinstance(error, Exception) else "interrupted"
                run.end(status, step=trainer.step_number, steps=trainer.total)
            raise
        if world.is_main and run.heldout is not None and not quiet:
            table = heldout_table(run.heldout, f"Held-out {dataset.noun}s")
            table.print(strong=("model",))
        world.barrier()
    return run


def _resume(loop: Loop, state: dict[str, Any]) -> None:
    """Go on from a state, but not to a length that was passed.

    The run would tell of fewer steps than its weights have seen.

    Raises:
        CheckpointError: Naming the steps done.
    """
    loop.load_state_dict(state)
    trainer = loop.trainer
    if trainer.step_number > trainer.total:
        raise CheckpointError(
            f"{trainer.step_number} steps are done, more than the {trainer.total} that are asked "
            f"for: give training.steps={trainer.step_number} or more, or train anew"
        )
    if trainer.world.is_main:
        logger.info("resuming at step %d of %d", trainer.step_number, trainer.total)


def start_of(pipeline: Pipeline, instead: Path | None = None) -> Model | None:
    """The model that a training starts from, if there is one; `instead` takes its place."""
    start = pipeline.training.start_from
    return None if start is None else load_model(instead or start, "cpu")


def translator_from(
    pipeline: Pipeline, start: Model | None, donor: Model | None = None
) -> Translator:
    """Build the translator of a pipeline, with the weights of the model that it starts from.

    A posterior may start from its point estimate alone. Of a donor a flow takes the conditioning
    network.

    Raises:
        ConfigError: The two are not the same network.
    """
    translator, name = translator_of(pipeline), pipeline.training.start_from
    if donor is not None:
        _take_conditioner(translator, donor.translator, str(pipeline.training.conditioner_from))
    if start is None:
        return translator
    given, wanted = start.translator.state_dict(), translator.state_dict()
    if isinstance(translator, Posterior) and not isinstance(start.translator, Posterior):
        given |= {key: value for key, value in wanted.items() if key.startswith("residual.")}
    shapes = [{key: value.shape for key, value in each.items()} for each in (given, wanted)]
    if shapes[0] != shapes[1]:
        differing = dict(shapes[0].items() ^ shapes[1].items())
        raise ConfigError(
            f"training.start_from: {name} is another network than the pipeline's ({len(differing)} "
            f"of its {len(given)} entries differ, e.g. {min(differing)}): give both the same model "
            "section"
        )
    translator.load_state_dict(given)
    return translator


def training_device(device: str | torch.device) -> torch.device:
    """The device of this process: under ``torchrun`` each has a GPU of its own."""
    place = pick_device(device)
    if place.type == "cuda" and place.index is None:
        place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if place.type == "cuda":
        place = pick_device(str(place))
        torch.cuda.set_device(place)
    return place


def _take_conditioner(translator: Translator, other: Translator, name: str) -> None:
    """Give a flow the conditioning network of another, called ``name``."""
    own, given = (
        flow.conditioner if isinstance(flow := getattr(net, "flow", None), Flow) else None
        for net in (translator, other)
    )
    if own is None or given is None:
        whose = "the pipeline's model" if own is None else name
        raise ConfigError(
            f"training.conditioner_from: {whose} has no conditioning network (model.kind flow with "
            "model.conditioner small or zhang)"
        )
    shapes = [{k: v.shape for k, v in net.state_dict().items()} for net in (own, given)]
    if shapes[0] != shapes[1]:
        first = min(shapes[0].items() ^ shapes[1].items())[0]
        mine, theirs = (tuple(each.get(first, ())) for each in shapes)
        raise ConfigError(
            f"training.conditioner_from: the conditioning network of {name} is another than the "
            f"pipeline's (e.g. {first} has shape {theirs}, {mine} is needed): give both the same "
            "model.conditioner and conditioner_width"
        )
    own.load_state_dict(given.state_dict())


def _translator(trainer: Trainer) -> Translator:
    translator = trainer.translator
    assert isinstance(translator, Translator)
    return translator


def _conclude(run: RunFolder, dataset: AnyDataset, loop: Loop, quiet: bool) -> None:
    """Score the best checkpoint on the test part and write table and model card."""
    model = load_model(run.weights("best"), loop.model.device)
    if dataset.counts["test"]:
        results = heldout(model, dataset, show_progress=not quiet)
        run.write_heldout(results)
        run.warn_of_result(result_warnings(results))
    card = model_card(
        dataset,
        parameters=sum(p.numel() for p in model.translator.parameters()),
        step=loop.history.best_step,
        precision=loop.trainer.precision,
        heldout=run.heldout,
        warnings=run.warnings,
    )
    run.write_text("model_card.md", card)
    step, best = loop.trainer.step_number, loop.history.best_step
    run.end("finished", step=step, steps=loop.trainer.total, best_step=best)
