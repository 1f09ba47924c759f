"""From a pipeline to its method."""

from torch import nn

from medrev.config.schema import (
    Adversarial,
    Classification,
    Discriminator,
    FCN8sModel,
    InvolutionModel,
    LatentAdversary,
    MaximumLikelihood,
    OptimalTransport,
    Paired,
    Pipeline,
    RevGANModel,
    Segmentation,
    SelfInverse,
    Unpaired,
)
from medrev.errors import ConfigError
from medrev.methods.adversary import DiscriminatorPhase, Grids
from medrev.methods.base import Method, Phase
from medrev.methods.consensus import ConsensusDiscriminatorPhase, ConsensusTranslatorPhase
from medrev.methods.latent_adversary import LatentDiscriminatorPhase, ReconstructionPhase
from medrev.methods.likelihood import LikelihoodPhase, PosteriorPhase
from medrev.methods.paired import PairedTranslatorPhase
from medrev.methods.segmentation import ClassificationPhase, SegmentationPhase
from medrev.methods.self_inverse import SelfInverseTranslatorPhase, SharedDiscriminatorPhase
from medrev.methods.transport import TransportPhase
from medrev.methods.unpaired import UnpairedTranslatorPhase
from medrev.nets import (
    Classifier,
    Generator,
    LatentDiscriminator,
    PatchGAN,
    Posterior,
    RestrictedPrior,
    Segmenter,
)
from medrev.reversible import ReversibleSequence


def build_method(pipeline: Pipeline, translator: nn.Module, *, rank: int = 0) -> Method:
    """Build the method of a pipeline around a translator; ranks have image pools of their own.

    Returns:
        A method with the phase ``translator`` and, where ``adversarial_weight`` is not 0, the
        phase ``discriminator``.

    Raises:
        ConfigError: The sections of the pipeline contradict each other.
    """
    config = pipeline.method
    check_segmentation(pipeline)
    check_networks(pipeline)
    check_consistent(pipeline)
    check_patches(pipeline, translator)
    if isinstance(config, Segmentation):
        assert isinstance(translator, Segmenter)
        return _method(translator, SegmentationPhase(translator, config), None)
    if isinstance(config, Classification):
        assert isinstance(translator, Classifier)
        return _method(translator, ClassificationPhase(translator, config), None)
    if isinstance(config, MaximumLikelihood | LatentAdversary | OptimalTransport):
        assert isinstance(translator, Generator | Posterior)
        return _generative(translator, config)
    if isinstance(config, SelfInverse):
        shared = build_shared_adversary(pipeline, rank) if config.adversarial_weight else None
        return _method(translator, SelfInverseTranslatorPhase(translator, config, shared), shared)
    grids = Grids(pipeline.data.grid_factor, pipeline.data.upsampling)
    adversary = build_adversary(pipeline, grids, rank) if config.adversarial_weight else None
    if isinstance(config, Paired):
        phase: Phase = PairedTranslatorPhase(translator, config, adversary, grids)
    else:
        phase = UnpairedTranslatorPhase(translator, config, adversary)
    if config.consensus_weight and adversary is not None:
        for module in translator.modules():
            if isinstance(module, ReversibleSequence):
                module.keep_graph = True
        phase = ConsensusTranslatorPhase(phase, adversary, config.consensus_weight)
        return _method(translator, phase, ConsensusDiscriminatorPhase(adversary))
    return _method(translator, phase, adversary)


def _generative(
    generator: Generator | Posterior, config: MaximumLikelihood | LatentAdversary | OptimalTransport
) -> Method:
    """The method of a flow, which suits its prior."""
    if isinstance(generator, Posterior):
        assert isinstance(config, MaximumLikelihood)
        return _method(generator, PosteriorPhase(generator, config), None)
    if isinstance(config, MaximumLikelihood):
        return _method(generator, LikelihoodPhase(generator, config), None)
    if isinstance(config, OptimalTransport):
        return _method(generator, TransportPhase(generator, config), None)
    assert isinstance(generator.prior, RestrictedPrior)
    adversary = None
    if config.adversarial_weight:
        judge = LatentDiscriminator(len(generator.prior.index), config.discriminator.hidden)
        adversary = LatentDiscriminatorPhase(judge, config)
    return _method(generator, ReconstructionPhase(generator, adversary, config), adversary)


def _method(translator: nn.Module, phase: Phase, adversary: Phase | None) -> Method:
    phases = {"translator": phase}
    if adversary is not None:
        phases["discriminator"] = adversary
    return Method(translator, phases)


def build_adversary(pipeline: Pipeline, grids: Grids, rank: int) -> DiscriminatorPhase:
    """Build both discriminators of a pipeline and the phase that trains them."""
    x, y = (_discriminator(pipeline, channels) for channels in pipeline.data.channels)
    seed = _seed(pipeline, rank)
    return DiscriminatorPhase(x, y, _adversarial(pipeline), seed=seed, grids=grids)


def build_shared_adversary(pipeline: Pipeline, rank: int) -> SharedDiscriminatorPhase:
    """Build the only discriminator of a self-inverse method and the phase that trains it."""
    judge = _discriminator(pipeline, pipeline.data.channels[0])
    return SharedDiscriminatorPhase(judge, _adversarial(pipeline), seed=_seed(pipeline, rank))


def _adversarial(pipeline: Pipeline) -> Adversarial:
    config = pipeline.method
    assert isinstance(config, Adversarial)
    return config


def _seed(pipeline: Pipeline, rank: int) -> int:
    """Of the image pools of a process."""
    return pipeline.seed + 7919 * rank


def _discriminator(pipeline: Pipeline, channels: int) -> nn.Module:
    """Build one discriminator, if the samples are large enough for it."""
    config, data = _adversarial(pipeline).discriminator, pipeline.data
    edge = min(_coarse_shape(pipeline) if not config.conditional else data.sample_shape)
    least = _least_edge(config)
    if edge < least:
        raise ConfigError(
            f"the discriminator needs patches of at least {least} voxels on the grid it judges, "
            f"got {edge}; raise {data.sample_key} or lower method.discriminator.strided_layers"
        )
    judged = sum(data.channels) if config.conditional else channels
    return PatchGAN(config, in_channels=judged, spatial_dims=pipeline.model.spatial_dims)


def _least_edge(config: Discriminator) -> int:
    """Edge of the smallest sample that a discriminator can judge."""
    if config.head == "patch":
        return 3 * 2**config.strided_layers  # two 4-convolutions of stride 1 need 3 voxels
    single = config.norm != "instance"  # of which the normalisation of one voxel leaves nothing
    return (1 if single else 2) * 2**config.strided_layers


def _coarse_shape(pipeline: Pipeline) -> list[int]:
    """Sizes of a training sample on the grid of x."""
    data = pipeline.data
    return [n // factor for n, factor in zip(data.sample_shape, data.grid_factors, strict=True)]


def check_patches(pipeline: Pipeline, translator: nn.Module) -> None:
    """Raise ConfigError where samples have a size that the network does not take."""
    data = pipeline.data
    for size, factor in zip(data.sample_shape, data.grid_factors, strict=True):
        multiple = getattr(translator, "size_multiple", 1) * factor
        if size % multiple:
            raise ConfigError(
                f"{data.sample_key} must be a multiple of {multiple} for this network (model.kind "
                f"{pipeline.model.kind}), got {size}"
            )


def check_consistent(pipeline: Pipeline) -> None:
    """Raise ConfigError where options of the method exclude each other."""
    config, data = pipeline.method, pipeline.data
    if pipeline.model.spatial_dims != data.spatial_dims:
        chosen = "samples" in type(data).model_fields
        samples = f" with samples {data.sampling}" if chosen else ""
        raise ConfigError(
            f"model.spatial_dims must be {data.spatial_dims} for data.kind {data.kind}{samples}, "
            f"got {pipeline.model.spatial_dims}"
        )
    weights = [
        name
        for name in ("pixel_weight", "adversarial_weight", "cycle_weight")
        if name in type(config).model_fields
    ]
    if weights and not any(getattr(config, name) for name in weights):
        raise ConfigError(f"method: one of {', '.join(weights)} must be above 0, got 0 for all")
    if getattr(config, "consensus_weight", 0):
        check_consensus(pipeline)
    if pipeline.model.self_inverse and data.channels[0] != data.channels[1]:
        raise ConfigError(
            f"model.kind {pipeline.model.kind} needs as many channels in as out, the data has "
            f"{data.channels[0]} and {data.channels[1]}"
        )
    if isinstance(config, SelfInverse) and not pipeline.model.self_inverse:
        raise ConfigError(
            "method.kind self_inverse needs a network that is its own inverse: model.kind "
            f"self_inverse_unet or involution, got {pipeline.model.kind}"
        )
    if (
        isinstance(config, Paired)
        and config.inverse_share < 1
        and (config.adversarial_weight or config.cycle_weight)
    ):
        raise ConfigError(
            "method.inverse_share below 1 needs adversarial_weight and cycle_weight 0, got "
            f"{config.inverse_share} with {config.adversarial_weight} and {config.cycle_weight}"
        )
    if isinstance(config, Unpaired):
        if config.discriminator.conditional:
            raise ConfigError(
                "method.discriminator.conditional must be false for kind unpaired (there are no "
                "pairs to judge), got true"
            )
        if config.identity_weight and max(data.grid_factors) != 1:
            raise ConfigError(
                "method.identity_weight needs input and output on one grid; set "
                f"data.input_grid=target or identity_weight=0, got {config.identity_weight}"
            )
        if config.identity_weight and data.channels[0] != data.channels[1]:
            raise ConfigError(
                "method.identity_weight needs as many channels in as out; set it to 0, got "
                f"{data.channels[0]} and {data.channels[1]} channels"
            )


def check_segmentation(pipeline: Pipeline) -> None:
    """Raise ConfigError unless segmentation networks learn segmentation, and no others do."""
    model, method = pipeline.model, pipeline.method
    if isinstance(model, FCN8sModel) != isinstance(method, Segmentation):
        raise ConfigError(
            "model.kind fcn8s and method.kind segmentation belong together, got model.kind "
            f"{model.kind} with method.kind {method.kind}"
        )
    if isinstance(method, Segmentation) and not pipeline.data.may_be_labels:
        raise ConfigError(
            "method.kind segmentation needs label images in colour: data.kind images, got "
            f"{pipeline.data.kind}"
        )


#: What the methods of generation and classification need: model.kind and, of flows, model.prior.
_NEEDS = {
    "maximum_likelihood": ("flow", "normal"),
    "latent_adversary": ("flow", "restricted"),
    "optimal_transport": ("flow", "classes"),
    "classification": ("classifier", None),
}


def check_networks(pipeline: Pipeline) -> None:
    """Raise ConfigError unless flows and classifiers learn as such, and no others do."""
    method, model = pipeline.method.kind, pipeline.model.kind
    prior = getattr(pipeline.model, "prior", None)
    needed, of = _NEEDS.get(method, (None, None))
    if (method, model) == ("maximum_likelihood", "posterior"):
        if pipeline.training.start_from is None:
            raise ConfigError(
                "model.kind posterior learns how the truth lies around a trained model's result: "
                "give that model as training.start_from"
            )
        return
    if needed is None and model == "posterior":
        raise ConfigError(
            f"model.kind posterior is trained by method.kind maximum_likelihood, got {method}"
        )
    if needed is None and model in {kind for kind, _ in _NEEDS.values()}:
        suited = ", ".join(name for name, (kind, _) in _NEEDS.items() if kind == model)
        raise ConfigError(f"model.kind {model} is trained by method.kind {suited}, got {method}")
    if needed is not None and (model, prior) != (needed, of):
        with_prior = f" with model.prior {of}" if of else ""
        got = f" with model.prior {prior}" if prior else ""
        raise ConfigError(
            f"method.kind {method} needs model.kind {needed}{with_prior}, got {model}{got}"
        )


def check_consensus(pipeline: Pipeline) -> None:
    """Raise ConfigError where consensus optimisation cannot be had."""
    model = pipeline.model
    exact = isinstance(model, InvolutionModel) and model.exact
    if exact or (isinstance(model, RevGANModel) and model.core == "ode" and model.depth > 0):
        raise ConfigError(
            "method.consensus_weight takes second derivatives, which model.core ode and "
            "model.exact true have not; set it to 0 or choose others, got "
            + ("model.exact true" if exact else "model.core ode")
        )
    if not _adversarial(pipeline).adversarial_weight:
        raise ConfigError(
            "method.consensus_weight needs an adversary: set adversarial_weight above 0, got 0"
        )
