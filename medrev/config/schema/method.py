"""The ``method`` section: how the network learns."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from medrev.config.schema.section import Count, NonNegative, Positive, Probability, Section, Width


class Optimizer(Section):
    """Adam, AdamW or Muon."""

    kind: Literal["adam", "adamw", "muon"] = "adam"
    """muon: parameters of two or more axes learn by orthogonal steps, others as with adamw; steps
    are as large as those of adamw, so that rates carry over."""
    lr: Positive = 2e-4
    betas: tuple[Probability, Probability] = (0.5, 0.999)
    weight_decay: NonNegative = 0


class Discriminator(Section):
    """PatchGAN, as in RevGAN's code or as its section 7.2 describes it."""

    width: Width = 64
    strided_layers: Annotated[int, Field(ge=0, le=6)] = 2
    """Stride-2 layers: 3 in the 2D PatchGAN of 70x70 pixels, 2 in 3D; 4 with head pointwise."""
    head: Literal["patch", "pointwise"] = "patch"
    """patch: a stride-1 layer, and a 4-convolution to one channel (the authors' code). pointwise:
    a 1-convolution right after the stride-2 layers (section 7.2)."""
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
    pool_size: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Past outputs kept for the discriminator; 0: none."""
    discriminator: Discriminator = Discriminator()
    optimizer: Optimizer = Optimizer()

    @property
    def turns(self) -> int:
        """Steps that learn from a batch, one after the other."""
        return 1

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
    inverse_loss: Literal["l1", "l2", "charbonnier"] | None = None
    """The inverse direction's loss; null: that of pixel_loss. In super-resolution l1 keeps the many
    voxels right where the block mean is, beside the few at the mask's rim where it is not."""
    inverse_share: Annotated[float, Field(gt=0, le=1)] = 1
    """Share of each batch on which the inverse direction is trained; below 1 it saves time and
    needs adversarial_weight and cycle_weight 0."""
    cycle_weight: NonNegative = 0
    """Weight of a cycle loss on top of eq. 12 (paper: 0)."""
    masked: bool = False
    """Pixel losses count brain voxels only (paper: all voxels of a patch)."""
    consensus_weight: NonNegative = 0
    """Weight of consensus optimisation (Mescheder et al.; RevGAN, appendix B). It takes second
    derivatives, for which a reversible core keeps its activations: memory grows with depth."""

    @property
    def trains_inverse(self) -> bool:
        """Whether any term of the loss asks for the inverse direction."""
        pixel = self.pixel_weight * self.inverse_weight
        return bool(pixel or self.adversarial_weight or self.cycle_weight)


class Unpaired(Adversarial):
    """RevGAN eq. 13: cycle consistency and the adversary of each domain."""

    kind: Literal["unpaired"] = "unpaired"
    adversarial_loss: Literal["log", "least_squares"] = "log"
    pool_size: Annotated[int, Field(ge=0, le=100_000)] = 50
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
    doubled: bool = True
    """Each batch is learnt in both directions, (x, y) in one step and (y, x) in the next (figure
    4): an epoch has twice as many steps. false: in one, which changes with the batches."""
    discriminator: ConditionalDiscriminator = ConditionalDiscriminator()

    @property
    def turns(self) -> int:
        """Steps that learn from a batch, one after the other."""
        return 2 if self.doubled else 1

    @property
    def trains_inverse(self) -> bool:
        """True: both directions are one."""
        return True


class Segmentation(Section):
    """Cross entropy of the classes that the colours of y stand for. Needs model.kind fcn8s."""

    #: Whether any term of the loss asks for the inverse direction.
    trains_inverse: ClassVar[bool] = False
    #: Steps that learn from a batch, one after the other.
    turns: ClassVar[int] = 1

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


class MaximumLikelihood(Section):
    """The likelihood of y given x (cINN, eq. 6).

    Needs model.kind flow with prior normal, or posterior.
    """

    trains_inverse: ClassVar[bool] = False
    #: Steps that learn from a batch, one after the other.
    turns: ClassVar[int] = 1

    kind: Literal["maximum_likelihood"] = "maximum_likelihood"
    noise: NonNegative = 0
    """Standard deviation of normal noise on y, in network range, which whole numbers need; it is
    drawn anew each time, and in validation always alike."""
    frozen_steps: Annotated[int, Field(ge=0, le=10**9)] = 0
    """Steps at the beginning in which the conditioning network is not trained, its heads are."""
    optimizer: Optimizer = Optimizer(lr=1e-4, betas=(0.9, 0.999))
    """weight_decay is 2 tau of eq. 6."""

    @property
    def summary(self) -> str:
        """The loss in words."""
        return f"negative log-likelihood, noise {self.noise:g}"


class CodeDiscriminator(Section):
    """Judges codes: fully connected, with spectral normalisation."""

    hidden: tuple[Width, Width] = (400, 800)
    """Units of its two hidden layers."""
    optimizer: Optimizer = Optimizer(lr=4e-4, betas=(0, 0.9))


class LatentAdversary(Section):
    """A reversible autoencoder with an adversary of its codes (generative reversible networks).

    Needs model.kind flow with prior restricted.
    """

    trains_inverse: ClassVar[bool] = False
    #: Steps that learn from a batch, one after the other.
    turns: ClassVar[int] = 1

    kind: Literal["latent_adversary"] = "latent_adversary"
    reconstruction_steps: Annotated[int, Field(ge=0, le=10**9)] = 0
    """Steps at the beginning without adversary (phase 1)."""
    reconstruction_weight: NonNegative = 1
    """Weight of L1 between y and what is decoded of its code brought to the prior's support."""
    code_weight: NonNegative = 1
    """Weight of the mean square of what codes have outside of that."""
    clip: Positive = 2
    """Codes are cut off at this value in the dimensions that are used."""
    adversarial_weight: NonNegative = 1
    discriminator: CodeDiscriminator = CodeDiscriminator()
    initial_images: Count = 1000
    """Images whose untrained codes decide which dimensions are used."""
    optimizer: Optimizer = Optimizer(lr=1e-4, betas=(0, 0.9))

    @property
    def summary(self) -> str:
        """The loss in words."""
        return f"reconstruction of clipped codes, latent adversary x{self.adversarial_weight:g}"


class OptimalTransport(Section):
    """Codes brought to learnt distributions of their classes by optimal transport.

    Needs model.kind flow with prior classes, and a batch with several images of each class.
    """

    trains_inverse: ClassVar[bool] = False
    #: Steps that learn from a batch, one after the other.
    turns: ClassVar[int] = 1

    kind: Literal["optimal_transport"] = "optimal_transport"
    perturbation: Positive = 0.01
    """Standard deviation of the noise on codes whose decoded images must stay (eq. 6)."""
    perturbation_weight: NonNegative = 1
    initial_images: Count = 2000
    """Images whose untrained codes begin the distributions of the classes."""
    optimizer: Optimizer = Optimizer(lr=1e-3, betas=(0.9, 0.999))

    @property
    def summary(self) -> str:
        """The loss in words."""
        return f"optimal transport of codes, perturbation x{self.perturbation_weight:g}"


class Classification(Section):
    """Cross entropy of the class. Needs model.kind classifier."""

    trains_inverse: ClassVar[bool] = True
    #: Steps that learn from a batch, one after the other.
    turns: ClassVar[int] = 1

    kind: Literal["classification"] = "classification"
    optimizer: Optimizer = Optimizer(lr=1e-3, betas=(0.9, 0.999))

    @property
    def summary(self) -> str:
        """The loss in words."""
        return "cross entropy of classes"


Method = Annotated[
    Paired
    | Unpaired
    | SelfInverse
    | Segmentation
    | MaximumLikelihood
    | LatentAdversary
    | OptimalTransport
    | Classification,
    Field(discriminator="kind"),
]
