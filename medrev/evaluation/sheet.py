"""The records of one method on one subject, as they are measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from medrev.errors import InputError
from medrev.evaluation.records import WHOLE, Key, Record
from medrev.evaluation.target import Target
from medrev.metrics import RMSE_UNIT

__all__ = ["DIFFUSIVITY", "Sheet"]

#: Unit of diffusivities in records; :data:`RMSE_UNIT` in mm²/s.
DIFFUSIVITY = "1e-5 mm²/s"


@dataclass
class Sheet:
    """The records of one method.

    Attributes:
        subject: Subject name.
        method: Name of the method.
        target: The reference.
        records: What has been measured.
    """

    subject: str
    method: str
    target: Target
    records: list[Record] = field(default_factory=list)

    @property
    def unit(self) -> str:
        """Unit of the volume's values in the records."""
        return DIFFUSIVITY if self.target.tensors else self.target.settings.unit

    @property
    def scale(self) -> float:
        """The volume's unit in that of the records."""
        return 1 / RMSE_UNIT if self.target.tensors else 1.0

    @property
    def everywhere(self) -> str:
        """Name of the region of all voxels that are compared."""
        return next(region.name for region in self.target.regions if region.chosen is None)

    @property
    def of_slices(self) -> str:
        """Name of the region whose slices are scored."""
        return WHOLE if self.target.settings.whole_slices else self.everywhere

    def write(self, key: Key, unit: str, value: Callable[[], float] | float) -> None:
        """Measure and record; an :class:`InputError` becomes the reason of an undefined value."""
        if not self.target.settings.measures(key.metric):
            return
        try:
            number = float(value() if callable(value) else value)
        except InputError as error:
            self.refuse(key, unit, str(error))
            return
        self.records.append(Record(self.subject, self.method, *key, number, unit))

    def refuse(self, key: Key, unit: str, reason: str) -> None:
        """Record why a value is undefined."""
        if self.target.settings.measures(key.metric):
            self.records.append(Record(self.subject, self.method, *key, None, unit, reason))

    def write_each(
        self, key: Key, names: Sequence[str], unit: str, values: Callable[[], Sequence[float]]
    ) -> None:
        """One record per component; if one is undefined, all are."""
        if not self.target.settings.measures(key.metric):
            return
        try:
            for name, value in zip(names, values(), strict=True):
                self.write(key._replace(component=name), unit, float(value))
        except InputError as error:
            for name in names:
                self.refuse(key._replace(component=name), unit, str(error))
