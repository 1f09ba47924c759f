"""Training: the loop, schedules, checkpoints and resume, the run folder, several processes."""

from medrev.training.estimate import Estimate, dry_run
from medrev.training.interrupt import TrainingInterrupted
from medrev.training.run_folder import RunFolder
from medrev.training.train import train
from medrev.training.trainer import DivergedError

__all__ = ["DivergedError", "Estimate", "RunFolder", "TrainingInterrupted", "dry_run", "train"]
