"""What training needs to know of each kind of data."""

from medrev.training.tasks.build import build_task
from medrev.training.tasks.task import CardFacts, Score, Task

__all__ = ["CardFacts", "Score", "Task", "build_task"]
