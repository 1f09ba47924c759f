"""What is measured, and for how long: the presets and what options make of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from reversible_benchmark.gan import GAN_UNITS, GAN_VARIANTS, gan_work
from reversible_benchmark.steps import DTYPES, Group
from reversible_benchmark.trial import Case
from reversible_benchmark.variants import VARIANTS, Variant, available

__all__ = ["PARTS", "PRESETS", "Plan", "Preset"]

PARTS = ("trial", "gan", "correctness")
DEPTHS = (1, 2, 4, 8, 16, 32, 64)
_SMALL, _LARGE, _IMAGE = (24,) * 3, (48,) * 3, (256,) * 2
_EVERY = tuple(VARIANTS)
_MAIN = ("plain", "checkpoint-sqrt", "memcnn", "medrev")


@dataclass(frozen=True, kw_only=True)
class Block:
    """Groups of one patch: variants and types by depth."""

    patch: tuple[int, ...]
    depths: Sequence[int]
    rounds: int
    fp32: Sequence[str] = _EVERY
    bf16: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A choice of sizes.

    Attributes:
        blocks: Steps of the trial network.
        minutes: Budget; None: no limit.
        gan: Variants of the whole RevGAN step.
        gan_rounds: Its timed rounds.
        correct: Variants whose correctness is measured.
        depth: Blocks of the networks whose gradients are compared.
        inverse_depths: Blocks of the cores whose inverses are compared.
        correctness_patch: Size of both.
    """

    blocks: Sequence[Block]
    minutes: float | None
    gan: Sequence[str] = GAN_VARIANTS
    gan_rounds: int = 5
    correct: Sequence[str] = _EVERY
    depth: int = 32
    inverse_depths: Sequence[int] = (8, 32, 64)
    correctness_patch: tuple[int, ...] = (8,) * 3


PRESETS = {
    "quick": Preset(
        blocks=(
            Block(patch=_SMALL, depths=(8,), rounds=3, bf16=("memcnn", "medrev")),
            Block(patch=_LARGE, depths=(8,), rounds=1, fp32=("plain", "memcnn", "medrev")),
            Block(
                patch=_LARGE, depths=(32,), rounds=3, fp32=("plain", "memcnn", "medrev"),
                bf16=("medrev",),
            ),
            Block(patch=_SMALL, depths=(1, 2, 4, 16, 64), rounds=0, fp32=("memcnn", "medrev")),
        ),
        minutes=3, gan=("plain", "memcnn", "medrev"), gan_rounds=3,
        correct=("plain", "memcnn", "medrev", "medrev-exact"), inverse_depths=(32, 64),
    ),
    "standard": Preset(
        blocks=(
            Block(patch=_SMALL, depths=(1, 8), rounds=5, bf16=_MAIN),
            Block(patch=_SMALL, depths=(32,), rounds=3, bf16=_MAIN),
            Block(patch=_LARGE, depths=(1, 8), rounds=3),
            Block(patch=_LARGE, depths=(32,), rounds=3, bf16=_MAIN),
            Block(patch=_IMAGE, depths=(8,), rounds=3, bf16=_MAIN),
            Block(patch=_SMALL, depths=(2, 4, 16, 64), rounds=0, fp32=_MAIN),
        ),
        minutes=10,
    ),
    "full": Preset(
        blocks=[
            Block(patch=patch, depths=DEPTHS, rounds=5, bf16=_EVERY)
            for patch in (_SMALL, _LARGE, _IMAGE)
        ],
        minutes=None,
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured.

    Attributes:
        groups: Steps of the trial network.
        gan: Variants of the whole RevGAN step; none: it is left out.
        gan_rounds: Its timed rounds.
        correct: Variants whose correctness is measured; none: it is left out.
        preset: The preset, with its other options.
        missing: A line for each package that is not installed.
    """

    groups: Sequence[Group]
    gan: Sequence[Variant]
    gan_rounds: int
    correct: Sequence[Variant]
    preset: Preset
    missing: Sequence[str]

    @classmethod
    def of(
        cls,
        preset: Preset,
        *,
        parts: Sequence[str] = PARTS,
        patches: Sequence[tuple[int, ...]] = (),
        depths: Sequence[int] = (),
        dtypes: Sequence[str] = (),
        variants: Sequence[str] = (),
        rounds: int | None = None,
    ) -> "Plan":
        """Apply options to a preset; empty ones leave it as it is.

        With ``patches`` or ``depths`` every combination of the two is timed, at all types and
        variants asked for. The variant ``plain`` in fp32 always takes part: ratios are to it.
        """
        blocks = list(preset.blocks)
        if patches or depths:
            blocks = [
                Block(patch=patch, depths=depths or (1, 8, 32), rounds=5, bf16=_EVERY)
                for patch in patches or (_SMALL, _LARGE)
            ]
            preset = replace(preset, depth=min(32, max(depths, default=32)),
                             inverse_depths=depths or preset.inverse_depths)  # fmt: skip
        wanted = [key for key in VARIANTS if key in variants or key == "plain" or not variants]
        found, missing = available(wanted)
        installed = {variant.key: variant for variant in found}
        groups = [
            Group(
                case=Case(block.patch, depth),
                members=tuple(_members(block, dtypes or DTYPES, installed)),
                rounds=block.rounds if rounds is None or not block.rounds else rounds,
            )
            for block in blocks
            for depth in block.depths
        ]
        return cls(
            groups=groups if "trial" in parts else (),
            gan=_pick(preset.gan, installed) if "gan" in parts else (),
            gan_rounds=preset.gan_rounds if rounds is None else rounds,
            correct=_pick(preset.correct, installed) if "correctness" in parts else (),
            preset=preset,
            missing=missing,
        )

    @property
    def work(self) -> float:
        """Estimated work of all timed parts, in the unit of `Group.work`."""
        gan = gan_work(len(self.gan), self.gan_rounds)
        return sum(group.work for group in self.groups) + gan

    @property
    def units(self) -> int:
        """Units of progress of all timed parts."""
        gan = len(self.gan) * (2 + self.gan_rounds) * GAN_UNITS
        return sum(group.steps * group.units for group in self.groups) + gan


def _members(
    block: Block, dtypes: Sequence[str], installed: dict[str, Variant]
) -> Iterable[tuple[Variant, str]]:
    for key, variant in installed.items():
        for dtype, keys in (("fp32", block.fp32), ("bf16", block.bf16)):
            reference = (key, dtype) == ("plain", "fp32") and "plain" in block.fp32
            if key in keys and (dtype in dtypes or reference):
                yield variant, dtype


def _pick(keys: Sequence[str], installed: dict[str, Variant]) -> list[Variant]:
    return [installed[key] for key in keys if key in installed]
