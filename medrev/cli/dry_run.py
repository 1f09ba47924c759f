"""What ``medrev-train --dry-run`` prints: a pipeline file whose comments say what would happen."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medrev.config import Pipeline


def print_dry_run(pipeline: "Pipeline", device: str) -> None:
    """Print the resolved pipeline, the data found, and the estimates; nothing is written.

    The output is itself a pipeline file: everything beside the resolved keys is a comment.
    """
    from medrev.config import dump_pipeline
    from medrev.domains.kinds import dataset_of
    from medrev.training import dry_run

    found, estimates = dataset_of(pipeline).found(), dry_run(pipeline, device).lines()
    print(dump_pipeline(pipeline), flush=True)
    _print_comments("data found", found)
    _print_comments("estimates", estimates)


def _print_comments(title: str, lines: Iterable[str]) -> None:
    print(f"# {title}")
    for line in lines:
        print(f"#   {line}")
    print("#")
