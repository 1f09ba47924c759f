"""What is compared: a core, on PyTorch's own modules or on medrev's layers."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec

from torch import nn

from medrev.nets import RevGAN
from medrev.reversible import ReversibleSequence
from reversible_benchmark.cores import (
    CheckpointedCore,
    FreiaCore,
    MemcnnCore,
    PlainCore,
    RevtorchCore,
    SqrtCheckpointedCore,
    exact_core,
)
from reversible_benchmark.trial import stock_twin, with_core

__all__ = ["VARIANTS", "Variant", "available"]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One column of the comparison.

    Attributes:
        key: Its name on the command line and in the CSV.
        title: Its name in tables and figures.
        core: Builds the core from the sub-networks; None: the network's own.
        stock: Whether all layers are ``torch.nn``'s; otherwise medrev's.
        package: The package it needs, by its name for pip and for ``import``.
        has_inverse: Whether the core can be run backwards.
        autocast_backward: Whether backward must run under autocast too, against PyTorch's advice,
            since it evaluates the sub-networks anew in whatever state it finds.
        fraction_bits: The core rounds its input to multiples of 2 to the minus this; 0: it does
            not.
    """

    key: str
    title: str
    core: Callable[..., nn.Module] | None
    stock: bool
    package: str | None = None
    has_inverse: bool = True
    autocast_backward: bool = False
    fraction_bits: int = 0

    def of(self, net: RevGAN, *, random: bool = False) -> RevGAN:
        """Return ``net`` in this variant, sharing its parameters.

        Args:
            net: A network of medrev's layers; it stays as it is.
            random: Whether its sub-networks draw random numbers.
        """
        base = stock_twin(net, net.spatial_dims) if self.stock else net
        nets = [(block.f, block.g) for block in base.core.blocks]  # type: ignore[union-attr]
        if self.core is None or not nets:
            return base  # type: ignore[return-value]
        return with_core(base, self.core(nets, random=random))  # type: ignore[arg-type]


def _variants() -> Iterable[Variant]:
    yield Variant(key="plain", title="plain autograd", core=PlainCore, stock=True)
    yield Variant(key="plain-fast", title="plain, fast layers", core=PlainCore, stock=False)
    yield Variant(
        key="checkpoint", title="checkpoint each block", core=CheckpointedCore, stock=True
    )
    yield Variant(
        key="checkpoint-sqrt", title="checkpoint √R", core=SqrtCheckpointedCore, stock=True
    )
    yield Variant(
        key="memcnn", title="memcnn", core=MemcnnCore, stock=True, package="memcnn",
        autocast_backward=True,
    )  # fmt: skip
    yield Variant(
        key="revtorch", title="revtorch", core=RevtorchCore, stock=True, package="revtorch",
        has_inverse=False, autocast_backward=True,
    )  # fmt: skip
    yield Variant(key="freia", title="FrEIA", core=FreiaCore, stock=True, package="FrEIA")
    yield Variant(key="medrev-stock", title="medrev, stock layers", core=None, stock=True)
    yield Variant(key="medrev", title="medrev", core=None, stock=False)
    if "exact" in inspect.signature(ReversibleSequence).parameters:
        yield Variant(
            key="medrev-exact", title="medrev, exact", core=exact_core, stock=False,
            fraction_bits=16,
        )  # fmt: skip


#: All variants by key; ratios are to the first.
VARIANTS: dict[str, Variant] = {variant.key: variant for variant in _variants()}


def available(keys: Iterable[str]) -> tuple[list[Variant], list[str]]:
    """Return the variants that can be run here, and a line for each that cannot."""
    found, missing = [], []
    for variant in (VARIANTS[key] for key in keys):
        if variant.package is None or find_spec(variant.package) is not None:
            found.append(variant)
        else:
            missing.append(
                f"{variant.package} is not installed and left out; to compare with it: "
                f"pip install --no-deps {variant.package}"
            )
    return found, missing
