"""The scenarios, by what they call; to import a module is to register its scenarios."""

from . import bad_files, bad_training, bad_words, evaluation, export, inference, layouts, training

__all__ = [
    "bad_files",
    "bad_training",
    "bad_words",
    "evaluation",
    "export",
    "inference",
    "layouts",
    "training",
]
