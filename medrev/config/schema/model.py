"""The ``model`` section: the network."""

from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from medrev.config.schema.section import Count, DefaultKind, Depth, Positive, Section, Seed, Width

Padding = Literal["reflect", "replicate", "zeros"]
Kernel = Literal[1, 3, 5, 7]
Downsampling = Literal["strided", "subpixel"]
Upsampling = Literal["transposed", "subpixel", "nearest", "trilinear"]
Activation = Literal["none", "tanh"]
Level = Annotated[int, Field(ge=0, le=255)]
Colours = Annotated[tuple[tuple[Level, Level, Level], ...], Field(min_length=2, max_length=255)]


class Network(Section):
    """What all networks have."""

    #: Whether forward and inverse are one function.
    self_inverse: ClassVar[bool] = False


class RevGANModel(Network):
    """Lift, reversible core, project, in both directions (RevGAN, section 3, eq. 10-11)."""

    kind: Literal["revgan"] = "revgan"
    spatial_dims: Literal[2, 3] = 3
    width: Annotated[int, Field(ge=2, le=8192)] = 32
    """Channels K of the first lift layer."""
    depth: Depth = 4
    """Reversible blocks R in the core; 0 gives the non-reversible 3D-SRCNN pair."""
    downsamplings: Annotated[int, Field(ge=0, le=4)] = 0
    """Stride-2 layers in the lift and the project (2 in the 2D networks of the paper)."""
    hidden: Width | None = None
    """Channels between the two convolutions of a sub-network (default: half the core's)."""
    norm: Literal["instance", "batch", "none"] = "instance"
    """batch uses statistics of training data at inference, in the core those of the direction, so
    that tiles never change the result."""
    padding: Padding = "reflect"
    downsampling_padding: Padding | None = None
    """Padding of the stride-2 convolutions (default: as padding; the authors' 2D code: zeros)."""
    downsampling: Downsampling = "strided"
    """subpixel: blocks of voxels become channels, then a convolution (appendix B)."""
    upsampling: Upsampling = "transposed"
    """subpixel, nearest and trilinear (bilinear in 2D) are those of appendix B."""
    lift_kernel: Kernel = 3
    project_kernel: Kernel = 1
    noise_channels: Annotated[int, Field(ge=0, le=8192)] = 0
    """Channels of noise z, drawn in every training step, that F(x, z) and G(y, z) read beside their
    input. z is 0 in use, but for inference.as_trained."""
    lift_norm: bool = True
    """Normalisation and ReLU after the lift's convolutions."""
    subnet_final_norm: bool = False
    """Normalisation after the second convolution of a sub-network (2D networks of the paper)."""
    zero_init: bool = True
    """Second convolution of every sub-network starts at zero: the core starts as identity. With a
    global residual G's last layer too: G starts as the block mean."""
    bounded: bool = False
    """Sub-networks end in tanh: a stream changes by at most 1 in a half-step, so that neither
    direction of a core without normalisation can run away."""
    coupling: Literal["additive", "affine"] = "additive"
    core: Literal["reversible", "ode"] = "reversible"
    """ode: continuous depth (appendix B), which needs torchdiffeq; depth is its Runge-Kutta steps,
    and the inverse is as exact as the solver."""
    ode_tolerance: Positive | None = None
    """With core ode: steps chosen by the solver to this error, instead of depth equal ones."""
    final_activation: Activation = "none"
    global_residual: Literal["none", "nearest", "trilinear", "cubic"] = "none"
    """The network adds to this interpolation of its input (and to the block mean, in reverse)."""
    consistency: Literal["none", "exact", "learnt"] = "none"
    """exact: the block mean of the fine grid is the input, whatever the weights. learnt: it may
    differ from it by consistency_bound. The inverse direction is the block mean then, which has
    nothing to learn."""
    consistency_bound: Positive = 0.1
    """With consistency learnt: largest correction of a coarse value, in the network's numbers."""
    initialisation: Literal["normal", "kaiming"] = "normal"
    """normal: N(0, 0.02), the paper's. kaiming: He's for the core and PyTorch's own for the lifts,
    which networks without normalisation need."""

    @property
    def summary(self) -> str:
        """What it is made of, in words."""
        if self.core == "ode":
            return "a core of continuous depth"
        return f"{self.depth} reversible blocks ({self.coupling} coupling)"


class PosteriorModel(RevGANModel):
    """RevGAN, whose F is kept as it is, and a flow: the distribution of y around F(x).

    Needs a model to start from (training.start_from) and method.kind maximum_likelihood.
    """

    kind: Literal["posterior"] = "posterior"  # type: ignore[assignment]
    couplings: Annotated[int, Field(ge=1, le=1000)] = 8
    """Couplings of the flow. A sample depends on as many coarse voxels each way, and 6 more."""
    flow_hidden: Width = 48
    """Channels between the two layers of their sub-networks."""
    features: Width = 48
    """Channels of the network that tells the flow what x and F(x) look like."""

    @property
    def summary(self) -> str:
        """What it is made of, in words."""
        return f"{super().summary} and a flow of {self.couplings} couplings"


class ResNetModel(Network):
    """Two residual generators, one for each direction (CycleGAN). Needs equal grids."""

    kind: Literal["resnet"] = "resnet"
    spatial_dims: Literal[2, 3] = 3
    width: Width = 32
    """Channels of the first layer (CycleGAN: 64; the baselines of RevGAN's tables: 32)."""
    depth: Depth = 6
    """Residual blocks (6 for 128², 9 for 256² images)."""
    downsamplings: Annotated[int, Field(ge=0, le=4)] = 2
    norm: Literal["instance", "batch", "none"] = "instance"
    padding: Padding = "reflect"
    downsampling_padding: Padding | None = None
    """Padding of the stride-2 convolutions (default: as padding; CycleGAN's code: zeros)."""
    downsampling: Downsampling = "strided"
    upsampling: Upsampling = "transposed"
    lift_kernel: Kernel = 7
    project_kernel: Kernel = 7
    final_activation: Activation = "none"
    """tanh for images in -1 to 1."""

    @property
    def summary(self) -> str:
        """What it is made of, in words."""
        return f"{self.depth} residual blocks in each of two networks"


class _UNetOptions(Network):
    """What both kinds of U-Net share."""

    spatial_dims: Literal[2, 3] = 3
    width: Width = 64
    """Channels of the first layer; they double at each level up to 8 times as many."""
    levels: Annotated[int, Field(ge=1, le=10)] = 3
    """Down-samplings by 2 (8 for 256², 7 for 128² images); sizes must be multiples of 2^levels."""
    norm: Literal["instance", "batch", "none"] = "batch"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0
    """Share of features dropped in the three coarsest decoder layers (pix2pix: 0.5)."""
    final_activation: Activation = "none"
    """tanh for images in -1 to 1."""


class UNetModel(_UNetOptions):
    """Two U-Nets, one for each direction (pix2pix). Needs equal grids."""

    kind: Literal["unet"] = "unet"

    @property
    def summary(self) -> str:
        """What it is made of, in words."""
        return f"two U-Nets of {self.levels} levels"


class SelfInverseUNetModel(_UNetOptions):
    """One U-Net for both directions (one2one). Needs equal grids and channels."""

    self_inverse: ClassVar[bool] = True

    kind: Literal["self_inverse_unet"] = "self_inverse_unet"

    @property
    def summary(self) -> str:
        """What it is made of, in words."""
        return f"one U-Net of {self.levels} levels"


class InvolutionModel(Network):
    """One network f with f(f(x)) = x for all weights. Needs equal grids and channels.

    A reversible map, a reflection of one of its streams, and the map undone.
    """

    self_inverse: ClassVar[bool] = True

    kind: Literal["involution"] = "involution"
    spatial_dims: Literal[2, 3] = 3
    width: Width = 32
    """Channels of the first layer of a sub-network; they double at each level of its U-Net."""
    depth: Annotated[int, Field(ge=1, le=1000)] = 2
    """Reversible blocks."""
    downsamplings: Annotated[int, Field(ge=1, le=9)] = 2
    """Halvings of the grid: one by a checkerboard, the others in the U-Nets that are the
    sub-networks (1: two convolutions instead); sizes must be multiples of 2^downsamplings."""
    norm: Literal["instance", "none"] = "instance"
    zero_init: bool = True
    """Sub-networks start at zero: f starts with the sign of every other voxel changed."""
    coupling: Literal["additive", "affine"] = "additive"
    exact: bool = False
    """f(f(x)) = x bit for bit, on numbers rounded to multiples of 2^-16; additive coupling only."""
    initialisation: Literal["normal", "kaiming"] = "normal"

    @property
    def summary(self) -> str:
        """What it is made of, in words."""
        blocks = f"{self.depth} reversible block{'' if self.depth == 1 else 's'}"
        return f"an involution with {blocks} ({self.coupling} coupling)"


class FCN8sModel(Network):
    """FCN-8s (Long et al., arXiv:1411.4038): from a photograph to coloured labels, one way only."""

    kind: Literal["fcn8s"] = "fcn8s"
    spatial_dims: Literal[2, 3] = 2
    width: Width = 64
    """Channels of the first layers (VGG-16: 64); they double at poolings up to 8 times as many."""
    fc_width: Width = 4096
    """Channels of the two layers that were fully connected in VGG-16 (fc6, fc7)."""
    norm: Literal["instance", "batch", "none"] = "batch"
    """none is the paper's, whose weights come from ImageNet; from random ones it hardly learns."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of features dropped after fc6 and after fc7 in training."""
    colours: Literal["cityscapes"] | Colours = "cityscapes"
    """Colour of each class in label images: [red, green, blue] from 0 to 255, or a palette's name
    (cityscapes: its 19 classes)."""

    @property
    def summary(self) -> str:
        """What it is made of, in words."""
        count = "the" if isinstance(self.colours, str) else str(len(self.colours))
        named = f" of {self.colours}" if isinstance(self.colours, str) else ""
        return f"VGG-16 with skips from pool3 and pool4 to {count} classes{named}"

    @model_validator(mode="after")
    def _colours_differ(self) -> "FCN8sModel":
        twice = [list(c) for n, c in enumerate(self.colours) if c in self.colours[:n]]
        if twice and not isinstance(self.colours, str):
            raise ValueError(f"colours must differ from class to class, got {twice[0]} twice")
        return self


class FlowStage(Section):
    """Couplings at one resolution of a flow, behind a change of resolution."""

    squeeze: Literal["haar", "checkerboard", "space_to_depth", "flatten", "none"] = "haar"
    """What stands before them; flatten: one vector, and the couplings are fully connected."""
    keep: Count | None = None
    """Channels that go on behind the squeeze, the others leave as a part of the code; null: all."""
    couplings: Annotated[int, Field(ge=0, le=1000)] = 4
    hidden: Width = 64
    """Channels between the two layers of a sub-network."""
    kernel_size: Literal[1, 3, 5, 7] = 3
    condition_width: Width | None = None
    """Channels that a head of each coupling makes of the condition's features; null: no heads, the
    couplings get the features themselves, averaged to their size."""


class FlowModel(Network):
    """An invertible network between y and a code, that may be told x; y is made from codes."""

    kind: Literal["flow"] = "flow"
    spatial_dims: Literal[2, 3] = 2
    stages: Annotated[tuple[FlowStage, ...], Field(min_length=1)]
    """From y to the last part of the code."""
    conditional: bool = True
    """Whether couplings are told x (where there is any)."""
    conditioner: Literal["none", "small", "zhang"] = "none"
    """Network h that makes features of x where that is an image. small: six convolutions at its
    size. zhang: that of Zhang et al. up to its second-to-last convolution, at a quarter of the
    size."""
    conditioner_width: Width = 64
    """Channels of its first convolutions (small: 32 in the LSUN network)."""
    coupling: Literal["affine", "additive", "swapped", "spline"] = "affine"
    """swapped: additive, exchanging its two streams."""
    clamp: Positive | None = 1.9
    """Alpha of the bound of log-scales; null: no bound."""
    clamp_form: Literal["cinn", "unit-slope"] = "cinn"
    """cinn: (2 alpha / pi) atan(s / alpha), eq. 7. unit-slope: its slope at 0 is 1."""
    mixing: Literal["orthogonal", "permutation", "reversal", "plu", "learnt_orthogonal", "none"] = (
        "orthogonal"
    )
    """Of the channels, in front of every coupling: fixed rotation, fixed order, learnt, none."""
    mixing_seed: Seed = 0
    """Of fixed mixings."""
    actnorm: bool = False
    """Learnt scales and shifts of the channels in front of every coupling."""
    padding: Padding = "zeros"
    zero_init: bool = True
    """Couplings start as the identity."""
    initialisation: Literal["xavier", "normal", "kaiming", "default"] = "xavier"
    """default: PyTorch's own."""
    prior: Literal["normal", "restricted", "classes"] = "normal"
    """What codes are drawn from. restricted: normal in some dimensions, else zero. classes: a
    normal distribution for each class, learnt."""
    prior_dimensions: Count = 64
    """Dimensions of the restricted prior."""
    exact: bool = False
    """Bit-exact inverse of additive couplings."""

    @property
    def summary(self) -> str:
        """What it is made of, in words."""
        count = sum(stage.couplings for stage in self.stages)
        return f"a flow of {count} {self.coupling} couplings in {len(self.stages)} stages"


class ClassifierModel(Network):
    """A convolutional network that tells the class of an image. Needs data.given label."""

    kind: Literal["classifier"] = "classifier"
    spatial_dims: Literal[2, 3] = 2
    width: Width = 32
    """Channels of the first two of six convolutions; they double twice."""
    norm: Literal["instance", "batch", "none"] = "batch"

    @property
    def summary(self) -> str:
        """What it is made of, in words."""
        return "six convolutions and a linear layer"


Model = Annotated[
    Annotated[RevGANModel, Tag("revgan")]
    | Annotated[PosteriorModel, Tag("posterior")]
    | Annotated[ResNetModel, Tag("resnet")]
    | Annotated[UNetModel, Tag("unet")]
    | Annotated[SelfInverseUNetModel, Tag("self_inverse_unet")]
    | Annotated[InvolutionModel, Tag("involution")]
    | Annotated[FCN8sModel, Tag("fcn8s")]
    | Annotated[FlowModel, Tag("flow")]
    | Annotated[ClassifierModel, Tag("classifier")],
    Discriminator(DefaultKind("revgan")),
]
