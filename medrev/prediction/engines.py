"""What computes a network's layers: PyTorch, or OpenVINO where it is installed; and which is best.

In chains that OpenVINO computes on the CPU, weights are inputs of the compiled graph, and sizes are
left open. So one small graph serves every block of a network, every network of the same width and
every volume, and holds no more memory than the slab that is being computed.
"""

import functools
import hashlib
import importlib.util
import json
import logging
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medrev.errors import InputError, OutputError, install
from medrev.files import atomic_path, user_cache
from medrev.prediction.chain import Chain, Convolution, Normalisation, TorchChain, flatten
from medrev.prediction.stages import Engine
from medrev.reversible import Conv

logger = logging.getLogger(__name__)

_PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}
_MODES = {"reflect": "reflect", "replicate": "edge"}
#: How many times the memory of PyTorch's kernels, copies in other layouts included, is taken.
_COPIES = 4
#: Lift, step and projection.
_REQUESTS = 3
_INSTALL = f"engine openvino needs the package openvino: {install('openvino')}"


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def supports_bfloat16() -> bool:
    """Whether OpenVINO computes in bfloat16 on this CPU."""
    capabilities = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities


def openvino_engine(dtype: torch.dtype, cache_dir: Path | None = None) -> Engine:
    """OpenVINO on the CPU.

    Args:
        dtype: float32 or bfloat16.
        cache_dir: Folder of compiled graphs (default: ``engines`` in the user's cache folder). One
            that cannot be written is only read.

    Raises:
        InputError: OpenVINO is not installed.
    """
    if not has_openvino():
        raise InputError(_INSTALL)
    store = _Store(user_cache() / "engines" if cache_dir is None else cache_dir, _PRECISIONS[dtype])

    def make_chain(layers: nn.Sequential) -> Chain:
        return _OpenVINOChain(TorchChain(flatten(layers)), store)

    return Engine("openvino", dtype, torch.device("cpu"), make_chain)


class _OpenVINOChain:
    """The steps of a chain as a graph: one for each way its ends can lie."""

    def __init__(self, chain: TorchChain, store: "_Store") -> None:
        self.radius = chain.radius
        self._chain = chain
        self._steps = chain.steps
        self._store = store
        self._weights: list[Any] = []
        for step in chain.steps:
            if isinstance(step, Convolution):
                self._weights.append(step.weight.contiguous().numpy())
                if step.bias is not None:
                    self._weights.append(step.bias.reshape(1, -1, 1, 1, 1).numpy())

    def __call__(self, x: Tensor, *, first: bool, last: bool) -> Tensor:
        """Run the layers; the result is overwritten by the next call of the same kind of chain."""
        import openvino

        request = self._store.request(self._steps, first=first, last=last)
        volume = x.to(torch.float32).contiguous().numpy()
        inputs = [openvino.Tensor(volume, shared_memory=True), *self._weights]
        request.infer(inputs, share_outputs=True)
        return torch.from_numpy(request.get_output_tensor(0).data)

    def memory(self, shape: tuple[int, int, int]) -> int:
        """Largest number of bytes that a call holds, as was seen for graphs of two convolutions."""
        return _COPIES * self._chain.memory(shape)


class _Store:
    """Compiled graphs, in this process and on disk."""

    def __init__(self, folder: Path, precision: str) -> None:
        self.folder = folder
        self.precision = precision
        self._models: dict[str, Any] = {}
        self._requests: dict[str, Any] = {}  # the one used last is the last one

    def request(self, steps: list[Any], *, first: bool, last: bool) -> Any:
        """What runs a graph, compiled if need be.

        A request holds memory for what lies between its layers: only those that take turns inside
        of a volume are kept.
        """
        structure = _describe(steps, first=first, last=last)
        request = self._requests.pop(structure, None)
        if request is None:
            if len(self._requests) >= _REQUESTS:
                oldest = next(iter(self._requests))
                del self._requests[oldest]
                self._models[oldest].release_memory()
            if structure not in self._models:
                self._models[structure] = self._compiled(structure, steps, first, last)
            request = self._models[structure].create_infer_request()
        self._requests[structure] = request
        return request

    def _compiled(self, structure: str, steps: list[Any], first: bool, last: bool) -> Any:
        import openvino

        core = _core()
        options = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        described = [
            openvino.__version__,
            core.get_property("CPU", "FULL_DEVICE_NAME"),
            core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
            options,
            structure,
        ]
        key = hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]
        path = self.folder / f"{key}.openvino"
        model = _read(core, path, options)
        if model is None:
            model = core.compile_model(_graph(steps, first=first, last=last), "CPU", options)
            _write(model, path)
        return model


def _read(core: Any, path: Path, options: dict[str, Any]) -> Any:
    """A graph compiled before; None if there is none that can be read."""
    try:
        return core.import_model(path.read_bytes(), "CPU", options)
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError) as error:
        logger.debug("%s cannot be used and is compiled anew: %s", path, error)
        return None


def _write(model: Any, path: Path) -> None:
    """Keep a compiled graph, where that is possible."""
    try:
        with atomic_path(path, overwrite=True) as temporary:
            temporary.write_bytes(model.export_model().getvalue())
    except (OutputError, OSError, RuntimeError) as error:
        logger.debug("the compiled graph is not kept: %s", error)


def _describe(steps: list[Any], *, first: bool, last: bool) -> str:
    """All that a graph depends on; not the values of weights."""
    parts: list[Any] = [first, last]
    for step in steps:
        if isinstance(step, Convolution):
            parts.append([list(step.weight.shape), step.bias is not None, step.amount, step.mode])
        else:
            parts.append(step.eps if isinstance(step, Normalisation) else step.kind)
    return json.dumps(parts)


def _graph(steps: list[Any], *, first: bool, last: bool) -> Any:
    """A graph of the volume and, in the order of the steps, weights and biases."""
    import openvino
    from openvino import opset13 as ops

    channels = int(steps[0].weight.shape[1])
    x = ops.parameter([1, channels, -1, -1, -1], openvino.Type.f32)
    inputs = [x]
    for step in steps:
        if isinstance(step, Normalisation):
            axes = ops.constant([2, 3, 4], openvino.Type.i64)
            x = ops.mvn(x, axes, True, step.eps, "inside_sqrt")
        elif isinstance(step, Convolution):
            weight = ops.parameter(list(step.weight.shape), openvino.Type.f32)
            inputs.append(weight)
            amount, ones = step.amount, [1, 1, 1]
            begin, end = [amount * first, amount, amount], [amount * last, amount, amount]
            if step.mode != "zeros" and amount:
                x = ops.pad(x, [0, 0, *begin], [0, 0, *end], _MODES[step.mode])
                begin = end = [0, 0, 0]
            x = ops.convolution(x, weight, ones, begin, end, ones)
            if step.bias is not None:
                bias = ops.parameter([1, int(step.bias.numel()), 1, 1, 1], openvino.Type.f32)
                inputs.append(bias)
                x = ops.add(x, bias)
        else:
            x = ops.relu(x) if step.kind == "relu" else ops.tanh(x)
    return openvino.Model([x], inputs, "chain")


@functools.cache
def _core() -> Any:
    import openvino

    return openvino.Core()


_CHANNELS, _EDGE, _ROUNDS = 16, 24, 12


@functools.cache
def bfloat16_speedup(device: torch.device) -> float:
    """How many times faster small convolutions are than in float32; 0 where they do not run.

    Tried once in a process, which takes about 0.1 s: processors without instructions for bfloat16
    imitate them and are slower.
    """
    x = torch.randn(1, _CHANNELS, _EDGE, _EDGE, _EDGE, device=device)
    x = x.contiguous(memory_format=torch.channels_last_3d)
    conv = Conv(3, _CHANNELS, _CHANNELS, 3).to(device)
    try:
        chains = [TorchChain([conv, conv], t) for t in (torch.float32, torch.bfloat16)]
        rounds = [[_seconds(chain, x) for chain in chains] for _ in range(_ROUNDS)]
    except RuntimeError:  # what PyTorch raises where the type is not supported
        return 0.0
    single, half = (min(times) for times in zip(*rounds, strict=True))
    return single / half


@torch.no_grad()
def _seconds(chain: TorchChain, x: torch.Tensor) -> float:
    start = time.perf_counter()
    chain(x, first=True, last=True)[0, 0, 0, 0, 0].item()  # waits for the device
    return time.perf_counter() - start


#: How much faster bfloat16 must be to be worth the lost digits.
_WORTH = 1.2


def choose_engine(
    name: str, precision: str, device: torch.device, cache_dir: Path | None = None
) -> Engine:
    """The engine of a name and precision; ``auto`` is PyTorch (see :func:`alternative_engine`).

    Compiled graphs are kept in a folder.

    Raises:
        InputError: The engine is not installed, or cannot run on the device or in the precision.
    """
    if name == "openvino":
        if device.type != "cpu":
            raise InputError(
                f"engine openvino runs on the CPU only, got device '{device}'; use --device cpu, "
                "or engine torch"
            )
        engine = openvino_engine(torch.float32, cache_dir)  # says what is missing
        able = supports_bfloat16()
        if precision == "bfloat16" and not able:
            raise InputError(_no_bfloat16("openvino", device))
        if precision == "float32" or not able:
            return engine
        return openvino_engine(torch.bfloat16, cache_dir)
    if precision == "float32":
        return Engine.torch(device)
    if precision == "bfloat16" and not bfloat16_speedup(device):
        raise InputError(_no_bfloat16("torch", device))
    wanted = precision == "bfloat16" or prefers_bfloat16(device)
    return Engine.torch(device, torch.bfloat16 if wanted else torch.float32)


def prefers_bfloat16(device: torch.device) -> bool:
    """Say whether bfloat16 is so much faster on a device that it is worth the lost digits."""
    speedup = bfloat16_speedup(device)
    logger.debug(
        "bfloat16 is %.2g times as fast as float32 here, used from %g times on", speedup, _WORTH
    )
    return speedup > _WORTH


def alternative_engine(engine: Engine, cache_dir: Path | None = None) -> Engine | None:
    """Another engine of the same precision that is worth trying, if there is one."""
    if engine.name != "torch" or engine.device.type != "cpu" or not has_openvino():
        return None
    if engine.dtype == torch.bfloat16 and not supports_bfloat16():
        return None
    return openvino_engine(engine.dtype, cache_dir)


def _no_bfloat16(engine: str, device: torch.device) -> str:
    return f"engine {engine} cannot compute in bfloat16 on this {device}; use precision float32"
