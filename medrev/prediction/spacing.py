"""Voxel sizes of a volume beside those of a model's training."""

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from medrev.volumes import voxel_size

if TYPE_CHECKING:
    from medrev.prediction.model import Model

__all__ = ["TOLERANCE", "edges_in_words", "spacing_doubts", "trained_edges"]

#: How far outside the training's range voxel edges may lie.
TOLERANCE = 0.1


def trained_edges(model: "Model", inverse: bool) -> tuple[float, float] | None:
    """Smallest and largest voxel edge (mm) of the training's volumes of this direction."""
    known = model.metadata.get("voxel_size")
    if not isinstance(known, list) or len(known) != 2:
        return None
    low, high = (float(edge) / (model.factor if inverse else 1) for edge in known)
    return low, high


def spacing_doubts(model: "Model", affine: NDArray[Any], inverse: bool) -> list[str]:
    """Say so in words where a volume's voxels are unlike those of the training.

    Args:
        model: The model.
        affine: Voxel → RAS mm of the volume.
        inverse: From y to x.
    """
    trained = trained_edges(model, inverse)
    if trained is None:
        return []
    edges, (low, high) = voxel_size(affine), trained
    if low * (1 - TOLERANCE) <= min(edges) and max(edges) <= high * (1 + TOLERANCE):
        return []
    return [
        f"the voxels have {edges_in_words(edges)} mm, the model was trained on edges of "
        f"{low:.3g} to {high:.3g} mm: judge the result with care"
    ]


def edges_in_words(edges: tuple[float, float, float]) -> str:
    """Edges of a voxel as text."""
    return " x ".join(f"{edge:.3g}" for edge in edges)
