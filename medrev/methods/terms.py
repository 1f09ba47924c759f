"""Arithmetic on the terms of a loss."""

from collections.abc import Mapping

from torch import Tensor


def as_float(x: Tensor) -> Tensor:
    """Bring half precision to float32, so that losses are computed in full precision."""
    return x.float() if x.dtype.itemsize < 4 else x


def weighted_sum(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Return the sum of weight times term; terms of weight 0 stay out of the graph."""
    used = [weights[name] * term for name, term in terms.items() if weights[name]]
    if not used:
        raise ValueError("every term of the loss has weight 0")
    total, *rest = used
    for term in rest:
        total = total + term
    return total


def detached(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the terms without their graph."""
    return {name: term.detach() for name, term in terms.items()}
