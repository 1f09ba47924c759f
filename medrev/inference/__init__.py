"""From volume to volume: loading a model, planning, tiling, scaling, files."""

from medrev.inference.batch import Report, infer_many
from medrev.inference.contrast import round_trip_volume, slicing_for, translate_volume
from medrev.inference.device import pick_device
from medrev.inference.distributed import infer_distributed
from medrev.inference.entries import find_entries
from medrev.inference.entry import Entry
from medrev.inference.images import translate_images
from medrev.inference.infer import infer_file, load_models
from medrev.inference.kinds import Kind, kind_of
from medrev.inference.loading import WEIGHTS_FILE, load_model, newest_run, weight_file
from medrev.inference.model import Model
from medrev.inference.options import InferenceOptions, Translation
from medrev.inference.plan import Plan, plan
from medrev.inference.prepared import as_written, predict
from medrev.inference.request import Request
from medrev.inference.runner import MIN_VOXELS
from medrev.inference.segmentation import segment_image, segmenter_of
from medrev.inference.source import Source, check_kind, convention_of, recognise
from medrev.inference.synthesis import Synthesis, synthesise
from medrev.inference.weights import FORMAT_VERSION, Weights, read_weights, save_weights

__all__ = [
    "FORMAT_VERSION",
    "MIN_VOXELS",
    "WEIGHTS_FILE",
    "Entry",
    "InferenceOptions",
    "Kind",
    "Model",
    "Plan",
    "Report",
    "Request",
    "Source",
    "Synthesis",
    "Translation",
    "Weights",
    "as_written",
    "check_kind",
    "convention_of",
    "find_entries",
    "infer_distributed",
    "infer_file",
    "infer_many",
    "kind_of",
    "load_model",
    "load_models",
    "newest_run",
    "pick_device",
    "plan",
    "predict",
    "read_weights",
    "recognise",
    "round_trip_volume",
    "save_weights",
    "segment_image",
    "segmenter_of",
    "slicing_for",
    "synthesise",
    "translate_images",
    "translate_volume",
    "weight_file",
]
