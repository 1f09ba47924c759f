"""Several results for one input, from a model that makes y from x and chance."""

from collections.abc import Sequence

import torch

from medrev.domains.domain import Prediction, Scan
from medrev.domains.kinds import domains_of
from medrev.errors import InputError
from medrev.nets import Generator
from medrev.options import Request
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


class Draws:
    """Makes several results of a scan, in the place of a `Predictor`.

    Raises:
        InputError: The model is of another kind, has no inverse direction, or a number is too
            small.
    """

    def __init__(self, model: Model, request: Request) -> None:
        self.model, self.request = model, request
        self.net = generator_of(model)
        self.source, self.target = domains_of(model.pipeline)
        if request.interval is not None or request.keep_samples:
            raise InputError(
                "--interval and --keep-samples are for models with a posterior, such as "
                f"dti-x2-posterior; all that {model.pipeline.name} draws is written: leave them out"
            )
        if request.inverse:
            raise InputError(
                f"{model.pipeline.name} has no inverse direction: a flow makes y from x"
            )

    def __call__(self, scan: Scan, *, show_progress: bool = False) -> Prediction:
        """Draw results of a scan, which is resized to the size that the model was trained on."""
        size = self.model.pipeline.data.input_shape[1:]
        scale = self.source.scale_of(scan, self.model.scale)
        values = scan.values
        if tuple(values.shape[1:]) != size:
            values = self.source.resized(values, size, scale)
        x = self.source.encode(values, scale)[None].to(self.model.device)
        drawn = self.net.draw(
            x,
            self.request.samples or 1,
            temperature=self.request.temperature,
            generator=torch.Generator().manual_seed(self.request.seed),
        )[0]
        result, _ = self.target.result_scale(
            scan, self.model.metadata, model_scale=self.model.scale, input_scale=scale
        )
        made = torch.stack([self.target.decode(each, result) for each in drawn])
        return Prediction(
            values=made[0],
            draws=made,
            input_scale=scale,
            scale=result,
            members=len(made),
            engine=f"torch, float32, {self.model.device.type}",
            plan="drawn",
            resampled=tuple(float(n) for n in size),
            facts={"Temperature": self.request.temperature, "Seed": self.request.seed},
        )
