"""From the sections of a pipeline to networks."""

from medrev.config.schema import (
    ClassifierModel,
    FCN8sModel,
    FlowModel,
    InvolutionModel,
    Model,
    Pipeline,
    PosteriorModel,
    ResNetModel,
    RevGANModel,
    SelfInverseUNetModel,
    UNetModel,
)
from medrev.errors import ConfigError
from medrev.nets.classifier import Classifier
from medrev.nets.conditioning import ConditioningNet, FeatureStage, zhang_features
from medrev.nets.fcn import FCN8s
from medrev.nets.flows.generator import ClassPrior, Generator, NormalPrior, RestrictedPrior
from medrev.nets.flows.multiscale import multiscale_flow
from medrev.nets.involution import Involution
from medrev.nets.pair import Pair, Segmenter, SelfInverse
from medrev.nets.posterior import Posterior
from medrev.nets.resnet import ResNet
from medrev.nets.revgan import RevGAN
from medrev.nets.translator import Translator
from medrev.nets.unet import UNet
from medrev.volumes import PALETTES, Colour, Factor, per_axis


def translator_of(pipeline: Pipeline) -> Translator:
    """Build the translator of a pipeline, its weights drawn from PyTorch's random state.

    Raises:
        ConfigError: The network does not suit the data.
    """
    data, model = pipeline.data, pipeline.model
    x, y = data.channels
    if isinstance(model, FlowModel):
        return _generator(model, (y, *data.sample_shape), data.input_shape)
    if isinstance(model, ClassifierModel):
        if len(data.input_shape) > 1 or not x:
            raise ConfigError(
                "model.kind 'classifier' tells the class of images: data.given label is needed, "
                f"got x of shape {data.input_shape}"
            )
        return Classifier(model, in_channels=y, classes=x)
    sizes = zip(data.sample_shape, data.grid_factors, strict=True)
    if data.input_shape != (x, *(size // factor for size, factor in sizes)):
        raise ConfigError(
            f"model.kind {model.kind!r} translates images on one grid, got x of shape "
            f"{data.input_shape} and y of shape {(y, *data.sample_shape)}; use model.kind flow, or "
            "data.colour_factor 1"
        )
    return build_translator(model, in_channels=x, out_channels=y, scale_factor=data.grid_factor)


def _generator(model: FlowModel, shape: tuple[int, ...], given: tuple[int, ...]) -> Generator:
    """Build a flow from y of some shape, that is given x of another, and its prior."""
    told = model.conditional and model.prior == "normal" and given != (0,)
    conditioner = None
    if model.conditioner != "none":
        if not told or len(given) == 1:
            raise ConfigError(
                f"model.conditioner {model.conditioner!r} makes features of images, got x of shape "
                f"{given}; set it to none"
            )
        width = model.conditioner_width
        small = [
            FeatureStage(width=width),
            FeatureStage(width=2 * width),
            FeatureStage(width=2 * width, dilation=2),
        ]
        conditioner = (
            ConditioningNet(model.spatial_dims, given[0], small)
            if model.conditioner == "small"
            else zhang_features(given[0], width=width)
        )
    flow = multiscale_flow(
        model, shape=shape, condition_shape=given if told else None, conditioner=conditioner
    )
    match model.prior:
        case "normal":
            return Generator(flow, NormalPrior(flow.dimensions))
        case "restricted":
            used = min(model.prior_dimensions, flow.dimensions)
            return Generator(flow, RestrictedPrior(flow.dimensions, used))
        case "classes":
            if len(given) > 1 or not given[0]:
                raise ConfigError(
                    f"model.prior 'classes' needs data.given label, got x of shape {given}"
                )
            return Generator(flow, ClassPrior(flow.dimensions, given[0]))


def build_translator(
    config: Model, *, in_channels: int, out_channels: int, scale_factor: Factor = 1
) -> Translator:
    """Build the translator of a pipeline, its weights drawn from PyTorch's random state.

    Args:
        config: The ``model`` section.
        in_channels: Channels of x.
        out_channels: Channels of y.
        scale_factor: Voxels of the grid of y per voxel of the grid of x, along every axis, or
            along each.

    Raises:
        ConfigError: If options exclude each other, or the kind of network needs equal grids or
            equal channels and they are not.
    """
    there = {"in_channels": in_channels, "out_channels": out_channels}
    if isinstance(config, RevGANModel):
        return (
            Posterior(config, **there, scale_factor=scale_factor)
            if isinstance(config, PosteriorModel)
            else RevGAN(config, **there, scale_factor=scale_factor)
        )
    if max(per_axis(scale_factor, config.spatial_dims)) != 1:
        raise ConfigError(
            f"model.kind {config.kind!r} needs input and output on one grid, got grids that differ "
            f"by a factor of {scale_factor}; set data.input_grid=target or model.kind=revgan"
        )
    back = {"in_channels": out_channels, "out_channels": in_channels}
    match config:
        case ResNetModel():
            return Pair(ResNet(config, **there), ResNet(config, **back))
        case UNetModel():
            return Pair(UNet(config, **there), UNet(config, **back))
        case SelfInverseUNetModel():
            return SelfInverse(UNet(config, **there))
        case InvolutionModel():
            if in_channels != out_channels:
                raise ConfigError(
                    "model.kind 'involution' needs as many input as output channels, got "
                    f"{in_channels} and {out_channels}"
                )
            return SelfInverse(Involution(config, channels=in_channels))
        case FCN8sModel():
            if out_channels != 3:
                raise ConfigError(
                    "model.kind 'fcn8s' makes label images of 3 channels (red, green, blue), the "
                    f"data has {out_channels}"
                )
            colours = colours_of(config)
            net = FCN8s(config, in_channels=in_channels, classes=len(colours))
            return Segmenter(net, colours)
        case FlowModel() | ClassifierModel():
            raise ConfigError(
                f"model.kind {config.kind!r} needs the shapes of x and y: use translator_of"
            )


def colours_of(config: FCN8sModel) -> tuple[Colour, ...]:
    """The colour of each class, in the order of the classes."""
    if isinstance(config.colours, str):
        return tuple(PALETTES[config.colours].values())
    return config.colours
