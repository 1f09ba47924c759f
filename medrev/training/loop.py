"""The training loop: step, log, validate, save, until done, interrupted or stopped early."""

import logging
import math
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import FrameType, TracebackType
from typing import Any

from medrev.config.schema import Pipeline, TrainingConfig
from medrev.domains.dataset import AnyDataset
from medrev.domains.sample import Translated
from medrev.errors import DivergedError
from medrev.prediction import Model, save_weights
from medrev.progress import Bar, progress
from medrev.training.checkpoint import save_checkpoint
from medrev.training.meter import CsvLog, open_tensorboard
from medrev.training.normalisation import gather_statistics
from medrev.training.run_folder import RunFolder
from medrev.training.scoring import Score, save_picture, validate
from medrev.training.trainer import Trainer


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by the user and saved; the message says how to resume."""


class Interruption:
    """Notes SIGINT and SIGTERM; a second SIGINT raises ``KeyboardInterrupt`` at once.

    Only a SIGINT of at least a second later is a second one: on Ctrl-C both the terminal and
    ``torchrun`` send a signal to every process. Works in the main thread only; elsewhere it never
    reports anything.

    Example:
        >>> with Interruption() as interruption:
        ...     interruption.requested
        False
    """

    signals = (signal.SIGINT, signal.SIGTERM)
    #: Seconds within which several signals are one.
    same = 1.0

    def __init__(self, *, announce: bool = True) -> None:
        self.requested = False
        self._first = 0.0
        self._announce = announce
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._note) for s in self.signals}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.requested:
            if number == signal.SIGINT and now - self._first >= self.same:
                raise KeyboardInterrupt
            return
        self.requested, self._first = True, now
        if self._announce:
            print("\nstopping after this step (again to stop at once)", file=sys.stderr, flush=True)


logger = logging.getLogger(__name__)

#: Losses that are so many times the first one have run away.
RUNAWAY = 10.0


@dataclass
class History:
    """What the loop remembers from step to step; part of a checkpoint.

    Attributes:
        best: Lowest validation error so far.
        best_step: The step it was reached at.
        stale: Validations since then.
        validated: The step of the last validation.
        seconds: Time trained, over all parts of the training.
        first_loss: The first phase's loss in the log's first row that is no single step's
            (with ``log_every=1`` all are).
        warned: Whether that the loss ran away was told.
    """

    best: float = math.inf
    best_step: int = 0
    stale: int = 0
    validated: int = 0
    seconds: float = 0.0
    first_loss: float | None = None
    warned: bool = False


class Loop:
    """Trains until the last step, saving as it goes.

    Args:
        trainer: Takes the steps.
        run: Where logs, pictures and checkpoints go; process 0 alone writes.
        model: The translator to validate and save, with scale, pipeline and the header of its
            weight files.
        dataset: The data; without a validation part, the best checkpoint is the last.
        quiet: Show no progress bar.
    """

    def __init__(
        self,
        trainer: Trainer,
        run: RunFolder,
        model: Model,
        dataset: AnyDataset,
        *,
        quiet: bool = False,
    ) -> None:
        self.trainer = trainer
        self.run = run
        self.model = model
        self.dataset = dataset
        self.validates = dataset.counts["validation"] > 0
        self.quiet = quiet
        self.history = History()
        self.saved: int | None = None
        self.pipeline: Pipeline = model.pipeline
        self.config: TrainingConfig = self.pipeline.training
        self.every = self.config.validate_every or max(1, trainer.total // 10)

    def train(self) -> None:
        """Run to the end.

        Raises:
            TrainingInterrupted: Stopped by SIGINT or SIGTERM, after saving.
            DivergedError: A loss or gradient is not finite; names the last good checkpoint.
        """
        trainer, world = self.trainer, self.trainer.world
        begun = time.monotonic() - self.history.seconds
        self._open_logs()
        showing = world.is_main and not self.quiet
        with (
            Interruption(announce=world.is_main) as interruption,
            progress("Training", trainer.total, done=trainer.step_number, enabled=showing) as bar,
        ):
            while True:
                stop = world.any(interruption.requested, trainer.device)
                if not stop and self._due_for_validation():
                    self._validate(bar)
                complete = trainer.step_number >= trainer.total and not self._due_for_validation()
                done = complete or self._stopped_early()
                self.history.seconds = time.monotonic() - begun
                if done and not self.validates:
                    self._gather()
                if self._due_for_saving() or stop or done:
                    self._save("last")
                if stop and not done:
                    raise self._interrupted()
                if done:
                    break
                losses = self._step()
                self.history.seconds = time.monotonic() - begun
                if trainer.step_number % self.config.log_every == 0 or trainer.step_number == 1:
                    self._log()
                bar.advance(1, text=", ".join(f"{n} {v:.4g}" for n, v in losses.items()))
        self._finish()

    def state_dict(self) -> dict[str, Any]:
        """Everything the rest of the training depends on (all processes together)."""
        return {"trainer": self.trainer.state_dict(), "history": asdict(self.history)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""
        self.trainer.load_state_dict(state["trainer"])
        self.history = History(**state["history"])
        self.saved = self.trainer.step_number

    def _step(self) -> dict[str, float]:
        """Take a step; on divergence say where to go back to."""
        guard = self.trainer.guard
        skipped = guard.skipped
        try:
            losses = self.trainer.step()
        except DivergedError as error:
            kept = (
                f"last good checkpoint: step {self.saved}, {self.run.state().parent}"
                if self.saved
                else "no checkpoint was saved before"
            )
            raise DivergedError(f"{error}; {kept}") from None
        if guard.skipped > skipped == 0 and self.trainer.world.is_main:
            self.run.warn(
                f"step {self.trainer.step_number}: the loss is {next(iter(losses.values())):.3g}, "
                f"usually it is {guard.usual:.3g}: nothing is learnt of this step, nor of others "
                f"above training.skip_above={self.config.skip_above:g} times the usual loss"
            )
        return losses

    def _open_logs(self) -> None:
        step = self.trainer.step_number
        self.board: Any = None
        if self.trainer.world.is_main:
            self.metrics = CsvLog(self.run.metrics, step)
            self.scores = CsvLog(self.run.validation, self.history.validated)
            if self.config.tensorboard:
                self.board = open_tensorboard(self.run.path / "tensorboard", step)

    def _log(self) -> None:
        """Write a row of the log: means since the row before."""
        trainer = self.trainer
        means = trainer.meter.means(trainer.world)
        if not trainer.world.is_main:
            return
        head = {
            "step": trainer.step_number,
            "epoch": trainer.epoch,
            "lr": trainer.learning_rate,
        }
        self.metrics.write(head | means | {"seconds": round(self.history.seconds, 3)})
        if trainer.step_number % self.config.log_every == 0:  # not the first step alone
            self._watch(means[f"loss_{next(iter(trainer.method.phases))}"])
        if self.board:
            for name, value in (means | {"lr": trainer.learning_rate}).items():
                self.board.add_scalar(name, value, trainer.step_number)

    def _watch(self, loss: float) -> None:
        """Warn once where the loss has grown far above what it was in the beginning."""
        history = self.history
        if history.first_loss is None:
            history.first_loss = loss
        first = history.first_loss
        if not history.warned and loss > RUNAWAY * first > 0:
            history.warned = True
            self.run.warn(
                f"step {self.trainer.step_number}: the loss is {loss:.3g}, in the beginning it was "
                f"{first:.3g}: training runs away; lower method.optimizer.lr or set "
                "training.clip_norm=1"
            )

    def _due_for_validation(self) -> bool:
        step = self.trainer.step_number
        wanted = step > 0 and (step % self.every == 0 or step >= self.trainer.total)
        return self.validates and wanted and self.history.validated != step

    def _due_for_saving(self) -> bool:
        step = self.trainer.step_number
        return step > 0 and step % self.config.checkpoint_every == 0 and step != self.saved

    def _stopped_early(self) -> bool:
        patience = self.config.early_stop.patience
        return patience > 0 and self.history.stale >= patience

    def _gather(self) -> None:
        """Give batch normalisation the statistics of the present weights, in process 0."""
        trainer = self.trainer
        if trainer.world.is_main:
            with trainer.autocast():
                gather_statistics(trainer.translator, trainer.batches)

    def _validate(self, bar: Bar) -> None:
        """Validate in process 0; tell all processes; keep the best."""
        world, step = self.trainer.world, self.trainer.step_number
        self._gather()
        score: Score | None = validate(self.model, self.dataset) if world.is_main else None
        error = world.broadcast(_error_of(score))
        better = error == -math.inf or error < self.history.best - self.config.early_stop.min_delta
        self.history.validated = step
        self.history.stale = 0 if better else self.history.stale + 1
        self.trainer.plateau.see(error)
        if better:
            self.history.best = error
        better = better or self.config.keep == "last"
        if better:
            self.history.best_step = step
            self._save("best")
        if score is None:
            return
        self.scores.write({"step": step, **score.values, "best_step": self.history.best_step})
        if self.board:
            for name, value in score.values.items():
                self.board.add_scalar(f"validation/{name}", value, step)
        self._picture(score.first)
        bar.note(
            f"step {step}: validation {score.message}"
            + (", the best so far" if better and score.error is not None else "")
        )

    def _picture(self, first: Sequence[Translated] = ()) -> None:
        step = self.trainer.step_number
        save_picture(self.run.sample(step), self.model, self.dataset, f"step {step}", first)

    def _save(self, which: str) -> None:
        """Save weights and resume state; a state is complete only when its file is."""
        state = self.state_dict()
        if self.trainer.world.is_main:
            step = self.trainer.step_number
            extra = self.model.metadata | {"step": step}
            save_weights(
                self.run.weights(which),
                self.model.translator,
                self.pipeline,
                self.model.scale,
                extra,
            )
            save_checkpoint(self.run.state(which), self.pipeline, state)
            self.run.write_status("running", step=step, steps=self.trainer.total)
        if which == "last":
            self.saved = self.trainer.step_number
        self.trainer.world.barrier()

    def _interrupted(self) -> TrainingInterrupted:
        step, total = self.trainer.step_number, self.trainer.total
        return TrainingInterrupted(
            f"stopped at step {step} of {total} and saved; resume with: "
            f"medrev-train --resume --output {self.run.path}"
        )

    def _finish(self) -> None:
        """Without validation the best is the last, with a picture of a training sample."""
        if not self.validates:
            self.history.best_step = self.trainer.step_number
            self._save("best")
            if self.trainer.world.is_main:
                self._picture()
        if self.trainer.guard.skipped:
            logger.info("%d steps were skipped for their loss", self.trainer.guard.skipped)
        if self._stopped_early():
            logger.info(
                "stopped early at step %d: no better validation since step %d",
                self.trainer.step_number,
                self.history.best_step,
            )
        if self.board:
            self.board.close()


def _error_of(score: Score | None) -> float:
    """The error by which checkpoints are chosen; −∞, always the best, where nothing tells."""
    if score is None:
        return math.inf
    return -math.inf if score.error is None else score.error
