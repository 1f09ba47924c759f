"""Networks with random weights."""

import torch

from medrev.config.schema import Pipeline
from medrev.nets import Translator, build_translator


def random_network(pipeline: Pipeline, std: float, seed: int = 0) -> Translator:
    """The translator of a pipeline, with weights large enough that every layer shows."""
    torch.manual_seed(seed)
    x, y = pipeline.data.channels
    translator = build_translator(
        pipeline.model, in_channels=x, out_channels=y, scale_factor=pipeline.data.grid_factor
    )
    with torch.no_grad():
        for parameter in translator.parameters():
            parameter.normal_(0, std)
    return translator
