"""Training: the loop, schedules, checkpoints and resume, the run folder, several processes."""

from medrev.training.estimate import Estimate, dry_run
from medrev.training.interrupt import TrainingInterrupted
from medrev.training.run_folder import RunFolder
from medrev.training.scoring import Score, heldout, result_warnings, save_picture, validate
from medrev.training.train import train, translator_of
from medrev.training.trainer import DivergedError, Trainer

__all__ = [
    "DivergedError",
    "Estimate",
    "RunFolder",
    "Score",
    "Trainer",
    "TrainingInterrupted",
    "dry_run",
    "heldout",
    "result_warnings",
    "save_picture",
    "train",
    "translator_of",
    "validate",
]
