"""Several results for one input, from a model that makes y from x and chance."""

from collections.abc import Sequence

import torch

from medrev.domains.kinds import domains_of
from medrev.domains.values import Prediction, Scan
from medrev.errors import InputError
from medrev.nets import Generator
from medrev.options import InferenceOptions
from medrev.prediction.model import Model


def generator_of(model: Model, asked: Sequence[str] = ()) -> Generator:
    """The generator of a model.

    Args:
        model: It.
        asked: The options that need one.

    Raises:
        InputError: It is a model of another kind.
    """
    if not isinstance(model.translator, Generator):
        options = f"{', '.join(asked)}: " if asked else ""
        raise InputError(
            f"{options}{model.pipeline.name} makes one result of an input (model.kind "
            f"{model.pipeline.model.kind}): images are drawn by a model of model.kind flow, scans "
            "by medrev-infer SCAN --samples N with a model of model.kind posterior, such as "
            "dti-x2-posterior"
        )
    return model.translator


def draw(model: Model, options: InferenceOptions, scan: Scan) -> Prediction:
    """Draw results of a scan, which is resized to the size that the model was trained on.

    Args:
        model: A generator.
        options: How many, temperature, seed.
        scan: Of x.
    """
    source, target = domains_of(model.pipeline)
    size = model.pipeline.data.input_shape[1:]
    scale = source.scale_of(scan, model.scale)
    values = scan.values
    if tuple(values.shape[1:]) != size:
        values = source.resized(values, size, scale)
    drawn = generator_of(model).draw(
        source.encode(values, scale)[None].to(model.device),
        options.samples or 1,
        temperature=options.temperature,
        generator=torch.Generator().manual_seed(options.seed),
    )[0]
    result, _ = target.result_scale(
        scan, model.metadata, model_scale=model.scale, input_scale=scale
    )
    made = torch.stack([target.decode(each, result) for each in drawn])
    return Prediction(
        values=made[0],
        draws=made,
        input_scale=scale,
        scale=result,
        members=len(made),
        engine=f"torch, float32, {model.device.type}",
        plan="drawn",
        resampled=tuple(float(n) for n in size),
        facts={"Temperature": options.temperature, "Seed": options.seed},
    )
