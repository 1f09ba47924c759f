"""Training: the loop, schedules, checkpoints and resume, the run folder, several processes."""

from medrev.training.estimate import Estimate, dry_run
from medrev.training.loop import TrainingInterrupted
from medrev.training.run_folder import RunFolder
from medrev.training.scoring import Score, heldout, result_warnings, save_picture, validate
from medrev.training.train import train
from medrev.training.trainer import Trainer

__all__ = [
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
    "validate",
]
