"""How bright tissues are."""

import numpy as np

TISSUES = ("csf", "gm", "wm", "deep", "bone", "marrow", "fat", "muscle", "vessel")
#: Signals of weightings as scanners give them, in the order of the tissues.
_WEIGHTINGS = {
    "t1": (0.22, 0.62, 0.95, 0.78, 0.10, 0.75, 1.25, 0.55, 0.30),
    "t2": (1.20, 0.62, 0.42, 0.50, 0.08, 0.45, 0.75, 0.30, 0.10),
    "flair": (0.15, 0.80, 0.62, 0.68, 0.08, 0.40, 0.60, 0.35, 0.15),
    "pd": (0.85, 0.95, 0.72, 0.80, 0.10, 0.50, 0.80, 0.60, 0.20),
}
#: How often; of the rest, nothing is known.
_ODDS = {"t1": 2, "t2": 1, "flair": 1, "pd": 1, "any": 1}
#: Spread of a weighting's signals, relatively.
_SPREAD = 0.15


def draw_signals(rng: np.random.Generator) -> dict[str, float]:
    """A signal for every tissue: a weighting of scanners, changed a little, or any numbers."""
    odds = np.array(list(_ODDS.values()), float)
    kind = list(_ODDS)[int(rng.choice(len(odds), p=odds / odds.sum()))]
    if kind == "any":
        values = rng.uniform(0.05, 1.2, len(TISSUES))
    else:
        spread = np.exp(_SPREAD * rng.standard_normal(len(TISSUES)))
        values = np.array(_WEIGHTINGS[kind]) * spread
    return {name: float(value) for name, value in zip(TISSUES, values, strict=True)}
