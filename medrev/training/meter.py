"""Means of loss terms between two rows of the log, and the log itself."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medrev.errors import ConfigError, install
from medrev.files import write_text
from medrev.training.distributed import World


class Meter:
    """Sums named scalars on their device; reading the means waits for the device once."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Add the scalars of one step."""
        for name, value in terms.items():
            scalar = value.detach().float()
            self.sums[name] = self.sums[name] + scalar if name in self.sums else scalar
        self.count += 1

    def means(self, world: World) -> dict[str, float]:
        """Return the means over steps and processes, and start anew."""
        if not self.sums:
            return {}
        values = world.mean(torch.stack(list(self.sums.values())) / self.count).tolist()
        names = list(self.sums)
        self.sums, self.count = {}, 0
        return dict(zip(names, values, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of the row in the making."""
        return {"sums": dict(self.sums), "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Restore what :meth:`state_dict` gave."""
        self.sums = {name: value.to(device) for name, value in state["sums"].items()}
        self.count = int(state["count"])


class CsvLog:
    """A CSV file that grows row by row; its first column is ``step``.

    Rows of steps after ``step`` are dropped on opening: the resumed training writes them again.

    Args:
        path: The file; a new one is begun with the first row.
        step: The step from which training goes on.
    """

    def __init__(self, path: Path, step: int = 0) -> None:
        self.path = path
        self.columns: list[str] | None = None
        if not path.is_file():
            return
        with path.open(newline="", encoding="utf-8") as stream:
            header, *rows = list(csv.reader(stream)) or [[]]
        kept = [row for row in rows if len(row) == len(header) and int(row[0]) <= step]
        if not kept:
            path.unlink()
            return
        self.columns = header
        write_text(path, lines([header, *kept]), overwrite=True)

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row; the first one names the columns."""
        new = self.columns is None
        if self.columns is None:
            self.columns = list(row)
        rows: list[Sequence[Any]] = [self.columns] if new else []
        rows.append([row.get(name, "") for name in self.columns])
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(lines(rows))


def lines(rows: Sequence[Sequence[Any]]) -> str:
    """Rows as CSV text; floats with six significant digits."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for row in rows:
        writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in row])
    return stream.getvalue()


def require_tensorboard() -> Any:
    """Return TensorBoard's writer class.

    Raises:
        ConfigError: The package is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError(
            "training.tensorboard needs the package tensorboard; set training.tensorboard=false, "
            f"or {install('tensorboard')}"
        ) from None
    return SummaryWriter


def open_tensorboard(folder: Path, step: int) -> Any:
    """Open a TensorBoard log that goes on after ``step``."""
    return require_tensorboard()(str(folder), purge_step=step + 1)
