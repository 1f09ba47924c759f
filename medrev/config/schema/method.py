"""The ``method`` section: how the network learns."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from medrev.config.schema.section import Count, NonNegative, Positive, Probability, Section

__all__ = [
    "Adversarial",
    "ConditionalDiscriminator",
    "Discriminator",
    "Method",
    "Optimizer",
    "Paired",
    "Segmentation",
    "SelfInverse",
    "Unpaired",
]


class Optimizer(Section):
    """Adam or AdamW."""

    kind: Literal["adam", "adamw"] = "adam"
    lr: Positive = 2e-4
    betas: tuple[Probability, Probability] = (0.5, 0.999)
    weight_decay: NonNegative = 0


class Discriminator(Section):
    """PatchGAN (RevGAN, section 7.2)."""

    width: Count = 64
    strided_layers: Annotated[int, Field(ge=0, le=6)] = 2
    """Stride-2 layers: 3 in the 2D PatchGAN of 70x70 pixels, 2 in 3D."""
    norm: Literal["instance", "batch", "none"] = "instance"
    conditional: bool = False
    """Judge the output together with its input."""
    optimizer: Optimizer = Optimizer()


class ConditionalDiscriminator(Discriminator):
    """PatchGAN that judges the output together with its input, unless told otherwise."""

    conditional: bool = True
    """Judge the output together with its input."""


class Adversarial(Section):
    """What the adversarial methods share."""

    adversarial_weight: NonNegative = 1
    """0 trains without adversary and builds none."""
    adversarial_loss: Literal["log", "least_squares"] = "log"
    pool_size: Annotated[int, Field(ge=0)] = 0
    """Past outputs kept for the discriminator; 0: none."""
    discriminator: Discriminator = Discriminator()
    optimizer: Optimizer = Optimizer()

    @property
    def summary(self) -> str:
        """The adversary in words."""
        if not self.adversarial_weight:
            return "no adversary"
        return f"adversary x{self.adversarial_weight:g} ({self.adversarial_loss} loss)"


class Paired(Adversarial):
    """RevGAN eq. 12: pixel loss in both directions, plus the adversary of each domain."""

    kind: Literal["paired"] = "paired"
    pixel_loss: Literal["l1", "l2", "charbonnier"] = "l1"
    pixel_weight: NonNegative = 100
    """Lambda of eq. 12."""
    inverse_weight: NonNegative = 1
    """Weight of the inverse direction's loss relative to the forward direction's. Below 1, without
    adversary and cycle loss, the layers that only the inverse has learn as much slower."""
    inverse_share: Annotated[float, Field(gt=0, le=1)] = 1
    """Share of each batch on which the inverse direction is trained; below 1 it saves time and
    needs adversarial_weight and cycle_weight 0."""
    cycle_weight: NonNegative = 0
    """Weight of a cycle loss on top of eq. 12 (paper: 0)."""
    masked: bool = False
    """Pixel losses count brain voxels only (paper: all voxels of a patch)."""
    consensus_weight: NonNegative = 0
    """Weight of consensus optimisation (Mescheder et al.; RevGAN, appendix B). It takes second
    derivatives, which no reversible core has: resnet, unet, or revgan of depth 0."""

    @property
    def trains_inverse(self) -> bool:
        """Whether any term of the loss asks for the inverse direction."""
        pixel = self.pixel_weight * self.inverse_weight
        return bool(pixel or self.adversarial_weight or self.cycle_weight)


class Unpaired(Adversarial):
    """RevGAN eq. 13: cycle consistency and the adversary of each domain."""

    kind: Literal["unpaired"] = "unpaired"
    adversarial_loss: Literal["log", "least_squares"] = "log"
    pool_size: Annotated[int, Field(ge=0)] = 50
    cycle_weight: NonNegative = 10
    """Lambda of the cycle losses."""
    identity_weight: NonNegative = 0
    """Weight of the identity losses relative to cycle_weight (needs equal grids)."""
    consensus_weight: NonNegative = 0
    """Weight of consensus optimisation (Mescheder et al.; RevGAN, appendix B). It takes second
    derivatives, which no reversible core has: resnet, unet, or revgan of depth 0."""

    @property
    def trains_inverse(self) -> bool:
        """Whether any term of the loss asks for the inverse direction."""
        return bool(self.adversarial_weight or self.cycle_weight)


class SelfInverse(Adversarial):
    """One network for both directions (one2one): batches (x, y) and (y, x) in turn.

    One discriminator judges both domains. Needs a model that is its own inverse.
    """

    kind: Literal["self_inverse"] = "self_inverse"
    pixel_loss: Literal["l1", "l2", "charbonnier"] = "l1"
    pixel_weight: NonNegative = 100
    """Lambda of eq. 4."""
    masked: bool = False
    """Pixel losses count brain voxels only."""
    discriminator: ConditionalDiscriminator = ConditionalDiscriminator()

    @property
    def trains_inverse(self) -> bool:
        """True: both directions are one."""
        return True


class Segmentation(Section):
    """Cross entropy of the classes that the colours of y stand for. Needs model.kind fcn8s."""

    #: Whether any term of the loss asks for the inverse direction.
    trains_inverse: ClassVar[bool] = False

    kind: Literal["segmentation"] = "segmentation"
    tolerance: NonNegative = 30
    """Largest distance in RGB (0 to 441) between a pixel of a label image and the colour of its
    class. Others are void: they have no class, and are neither learnt nor scored."""
    unknown: Literal["void", "refuse"] = "void"
    """refuse: stop at a label image that has void pixels, naming their colour."""
    class_weights: Literal["none", "inverse_frequency"] = "none"
    """inverse_frequency: pixels weigh inversely to how often their class was seen so far."""
    optimizer: Optimizer = Optimizer(lr=1e-4, betas=(0.9, 0.999))

    @property
    def summary(self) -> str:
        """The loss in words."""
        weighted = ", classes weighted by inverse frequency"
        return f"cross entropy{'' if self.class_weights == 'none' else weighted}"


Method = Annotated[Paired | Unpaired | SelfInverse | Segmentation, Field(discriminator="kind")]
