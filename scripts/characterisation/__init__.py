"""What the program does on small inputs, written down and compared."""

from . import plays
from .bench import Bench, scenarios
from .comparison import differences, load
from .summary import summary

__all__ = ["Bench", "differences", "load", "plays", "scenarios", "summary"]
