"""Networks as files that other programs run: ONNX and TorchScript, checked against PyTorch."""

import contextlib
import importlib.util
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from medrev import __version__
from medrev.domains.kinds import domains_of
from medrev.dti import COMPONENTS
from medrev.errors import InputError, install
from medrev.export.network import NetworkTranslator, PhysicalTranslator
from medrev.files import atomic_path
from medrev.prediction import Model

#: Names of input and output.
INPUT, OUTPUT = "image", "pred"
#: Largest difference allowed, in standard deviations of PyTorch's result.
_TOLERANCE = 1e-4
_ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


Network = PhysicalTranslator | NetworkTranslator


def write_torchscript(
    model: Model, path: str | Path, *, inverse: bool = False, overwrite: bool = False
) -> Path:
    """Write a direction of a model as TorchScript.

    Tensors (B, 6, I, J, K) go to the other grid, in mm²/s; contrasts and images (B, C, *spatial)
    to the other side, in network range. Sizes are free, up to the network's ``multiple``. A 3D
    network with instance normalisation must be run on windows of its training patch.

    Raises:
        OutputError: The file exists or cannot be written.
        RuntimeError: The file written does not compute what PyTorch computes.
    """
    path = Path(path)
    network = _network(model, inverse)
    with atomic_path(path, overwrite) as temporary:
        with _quiet(), torch.no_grad():
            traced = torch.jit.trace(network, network.example(1), check_trace=False)
            torch.jit.save(traced, str(temporary))
            loaded = torch.jit.load(str(temporary), map_location="cpu")
        _compare(network, loaded, "TorchScript")
    return path


def write_onnx(
    model: Model, path: str | Path, *, inverse: bool = False, overwrite: bool = False
) -> Path:
    """Write a direction of a model as ONNX; as :func:`write_torchscript`, otherwise.

    Input and output are named ``image`` and ``pred``, their axes ``batch``, ``i``, ``j``, ``k``;
    all sizes are free. Weights are inside of the file, and its metadata say what the model is, what
    its numbers mean and which sizes it takes (:func:`describe`).

    Raises:
        InputError: A package is missing.
        OutputError: The file exists or cannot be written.
        RuntimeError: The file written does not compute what PyTorch computes.
    """
    if not has_onnx():
        missing = ", ".join(name for name in _ONNX_PACKAGES if not _is_installed(name))
        raise InputError(f"ONNX needs more packages ({missing}): {install('onnx')}")
    path = Path(path)
    network = _network(model, inverse)
    automatic, example = torch.export.Dim.AUTO, network.example(2)
    pair = torch.cat([example, example.flip(0, 2)])  # a batch of 1 would be a constant
    free = {axis: automatic for axis in range(example.dim()) if axis != 1}
    with atomic_path(path, overwrite) as temporary:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                network,
                (pair,),
                dynamo=True,
                dynamic_shapes=(free,),
                input_names=[INPUT],
                output_names=[OUTPUT],
                verbose=False,
            )
            assert program is not None
            program.save(temporary, external_data=False)
        _describe(temporary, describe(model, network, inverse=inverse))
        _compare(network, _onnx_function(temporary), "ONNX")
    return path


def describe(model: Model, network: Network, *, inverse: bool) -> dict[str, str]:
    """What users of a file need to know to feed it, as the metadata of the file."""
    source, target = domains_of(model.pipeline, inverse=inverse)
    physical = isinstance(network, PhysicalTranslator)
    return {
        "medrev": __version__,
        "name": model.pipeline.name,
        "direction": "inverse" if inverse else "forward",
        "from": source.called,
        "to": target.called,
        "unit": source.unit if physical else "network range, -1 to 1",
        "channels": ", ".join(COMPONENTS) if physical else str(network.channels),
        "frame": "voxel" if physical else "",
        "scale": f"{model.scale:.9g}",
        "size_multiple": str(network.multiple),
        "least_size": str(network.least),
        "weights_sha256": model.sha256 or "",
    }


def _describe(path: Path, metadata: dict[str, str]) -> None:
    """Name the axes of an ONNX file and add metadata."""
    import onnx

    file = onnx.load(path)
    (given,) = file.graph.input
    axes = ("batch", "", *"ijk")
    names = {
        axis.dim_param: name
        for axis, name in zip(given.type.tensor_type.shape.dim, axes, strict=False)
        if axis.dim_param
    }
    for value in (*file.graph.input, *file.graph.output, *file.graph.value_info):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param:
                axis.dim_param = re.sub(
                    r"\b[a-z]\w*", lambda found: names.get(found[0], found[0]), axis.dim_param
                )
    file.producer_name, file.producer_version = "medrev", __version__
    onnx.helper.set_model_props(file, {key: text for key, text in metadata.items() if text})
    onnx.save(file, path)


def _network(model: Model, inverse: bool) -> Network:
    """A direction of a model as one module."""
    physical = domains_of(model.pipeline)[0].fixed_scale
    kind = PhysicalTranslator if physical else NetworkTranslator
    return kind.of(model, inverse=inverse)


def has_onnx() -> bool:
    """Whether all packages for ONNX are installed."""
    return all(_is_installed(name) for name in _ONNX_PACKAGES)


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _onnx_function(path: Path) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def function(x: Tensor) -> Tensor:
        (result,) = session.run([OUTPUT], {INPUT: x.numpy()})
        return torch.from_numpy(result)

    return function


def _compare(network: Network, function: Callable[[Tensor], Tensor], what: str) -> None:
    """Compare a file with PyTorch on sizes that it was not made with, too."""
    with torch.no_grad():
        for number in (1, 4):
            x = torch.cat([network.example(number)] * number)  # other batches, too
            expected = network(x)
            difference = float((function(x) - expected).abs().max() / expected.std())
            if not difference <= _TOLERANCE:
                raise RuntimeError(
                    f"the {what} file does not compute what PyTorch computes: the largest "
                    f"difference is {difference:.2g} standard deviations; please report this"
                )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' remarks on Python values and missing packages to themselves."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
