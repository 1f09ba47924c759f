"""What inference does with each kind of data, from files to files."""

from medrev.prediction.kinds.build import kind_of
from medrev.prediction.kinds.kind import Kind, Member
from medrev.prediction.kinds.task import Task

__all__ = ["Kind", "Member", "Task", "kind_of"]
