"""What inference does with each kind of data, from files to files."""

from medrev.inference.kinds.build import kind_of
from medrev.inference.kinds.kind import Kind, Member
from medrev.inference.kinds.task import Task

__all__ = ["Kind", "Member", "Task", "kind_of"]
