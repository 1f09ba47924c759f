"""What medrev-infer wrote beside a result: deviations, intervals and samples."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medrev.domains.outputs import sidecar_of
from medrev.evaluation.compared import ITSELF
from medrev.files import read_json

_TENSOR, _RESULT = "param-diffusivity_desc-sr_", "desc-sr_"
_MAPS = ("fa", "md", "ad", "rd")


@dataclass(frozen=True)
class Beside:
    """The files beside a result, found by its name.

    Attributes:
        stds: Quantity and file of its standard deviation: of maps of tensors.
        ends: Quantity, and files of the lower and upper ends of its interval.
        samples: Files of samples around the result.
        level: Of the intervals, in percent.
        calibrated: Whether the intervals are.
    """

    stds: tuple[tuple[str, Path], ...]
    ends: tuple[tuple[str, Path, Path], ...]
    samples: tuple[Path, ...]
    level: float
    calibrated: bool

    @classmethod
    def of(cls, result: Path) -> "Beside":
        """What lies beside a result; nothing where its name is not one of medrev's."""
        tensors = _TENSOR in result.name
        quantities = _MAPS if tensors else (ITSELF,)

        def named(label: str, quantity: str = "diffusivity") -> Path:
            """The name of the result with another label, of tensors of another map, too."""
            if not tensors:
                return result.with_name(result.name.replace(_RESULT, f"desc-sr{label}_"))
            return result.with_name(
                result.name.replace(_TENSOR, f"param-{quantity}_desc-sr{label}_")
            )

        if _RESULT not in result.name:
            return cls((), (), (), 0.0, False)
        ends = [(q, named("lower", q), named("upper", q)) for q in quantities]
        ends = [(q, a, b) for q, a, b in ends if a.is_file() and b.is_file()]
        says: dict[str, Any] = read_json(sidecar_of(ends[0][1]), lenient=True) if ends else {}
        level = says.get("IntervalLevel")
        return cls(
            tuple(
                (q, named("std", q)) for q in quantities if tensors and named("std", q).is_file()
            ),
            tuple(ends) if isinstance(level, int | float) else (),
            tuple(sorted(result.parent.glob(named("sample??").name))),
            float(level) if isinstance(level, int | float) else 0.0,
            bool(says.get("IntervalCalibrated")),
        )

    @property
    def files(self) -> dict[str, Path]:
        """All of them by role."""
        named = {f"std of {q or 'the volume'}": path for q, path in self.stds}
        for q, lower, upper in self.ends:
            named |= {f"lower end of {q or 'the volume'}": lower}
            named |= {f"upper end of {q or 'the volume'}": upper}
        return named | {f"sample {n}": path for n, path in enumerate(self.samples, 1)}
