"""What the program does on small inputs, written down and compared."""

from .bench import Bench, scenarios
from .comparison import differences, load
from .plays import bad_files, bad_training, bad_words, evaluation, export, inference, training  # noqa: F401
from .summary import summary

__all__ = ["Bench", "differences", "load", "scenarios", "summary"]
