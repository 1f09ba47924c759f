"""From volume to volume: loading a model, planning, tiling, scaling, files."""

from medrev.domains.source import Entry, Source, check_kind, recognise
from medrev.options import InferenceOptions, Request
from medrev.prediction.batch import Report, infer_distributed, infer_many
from medrev.prediction.entries import find_entries
from medrev.prediction.geometry import MIN_VOXELS, Geometry
from medrev.prediction.loading import (
    WEIGHTS_FILE,
    LoadedModel,
    load_model,
    load_models,
    pick_device,
    weight_file,
)
from medrev.prediction.model import Model
from medrev.prediction.network import (
    direction_of,
    round_trip,
    segment_image,
    segmenter_of,
    translate,
)
from medrev.prediction.plan import Plan, plan
from medrev.prediction.posterior import score_of
from medrev.prediction.predictor import Predictor
from medrev.prediction.run import Inference, infer_entry, infer_file
from medrev.prediction.shipped import (
    ShippedModel,
    like,
    shipped_models,
    shipped_sources,
    suitable_model,
    suitable_models,
)
from medrev.prediction.weights import (
    FORMAT_VERSION,
    Weights,
    copy_weights,
    read_weights,
    save_weights,
)

__all__ = [
    "FORMAT_VERSION",
    "MIN_VOXELS",
    "WEIGHTS_FILE",
    "Entry",
    "Geometry",
    "Inference",
    "InferenceOptions",
    "LoadedModel",
    "Model",
    "Plan",
    "Predictor",
    "Report",
    "Request",
    "ShippedModel",
    "Source",
    "Weights",
    "check_kind",
    "copy_weights",
    "direction_of",
    "find_entries",
    "infer_distributed",
    "infer_entry",
    "infer_file",
    "infer_many",
    "like",
    "load_model",
    "load_models",
    "pick_device",
    "plan",
    "read_weights",
    "recognise",
    "round_trip",
    "save_weights",
    "score_of",
    "segment_image",
    "segmenter_of",
    "shipped_models",
    "shipped_sources",
    "suitable_model",
    "suitable_models",
    "translate",
    "weight_file",
]
