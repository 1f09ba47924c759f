"""Exported models, and what they make of an input."""

from pathlib import Path

import numpy as np

from ..bench import Bench, scenario

__all__: list[str] = []

#: Run → shape of an input of both exported directions, without batch.
SHAPES = {
    "dti_low": ((6, 8, 8, 8), (6, 16, 16, 16)),
    "contrast_3d": ((1, 8, 8, 8), (1, 8, 8, 8)),
    "contrast_2d": ((1, 16, 16), (1, 16, 16)),
    "images_paired": ((3, 16, 16), (3, 16, 16)),
}


@scenario("export")
def _export(bench: Bench) -> None:
    for name, shapes in SHAPES.items():
        bench.play(f"train {name}")
        for direction, shape in zip(("forward", "inverse"), shapes, strict=True):
            for kind, ending in (("onnx", "onnx"), ("torchscript", "ts")):
                if kind == "onnx" and (direction == "inverse") != (name == "contrast_2d"):
                    continue  # each export of a graph takes seconds
                path = Path(f"out/export/{name}_{direction}.{ending}")
                label = f"{kind} {name} {direction}"
                words = [kind, f"runs/{name}", path, "--direction", direction]
                if bench.run(label, "export", *words) == 0:
                    bench.note(label, "output", _apply(bench.root / path, shape))
    bench.run("bundle", "export", "bundle", "runs/dti_low", "out/export/bundle")
    bench.run("bundle contrast", "export", "bundle", "runs/contrast_2d", "out/export/bundle2",
              "--direction", "inverse")  # fmt: skip
    bench.run("exists", "export", "bundle", "runs/dti_low", "out/export/bundle")
    words = ["torchscript", "runs/dti_low", "out/export/dti_low_forward.ts"]
    bench.run("file exists", "export", *words)
    bench.run("overwrite", "export", *words, "--overwrite")
    bench.play("train segmentation")
    bench.run("no inverse", "export", "torchscript", "runs/segmentation", "out/export/s.ts",
              "--direction", "inverse")  # fmt: skip
    bench.run("segmentation", "export", "torchscript", "runs/segmentation", "out/export/s.ts")
    bench.run("no run", "export", "onnx", "nowhere", "out/export/x.onnx")


def _apply(path: Path, shape: tuple[int, ...]) -> np.ndarray | str:
    """What an exported network makes of small random numbers; else why it cannot be run."""
    values = np.random.default_rng(0).normal(0, 0.3, (1, *shape)).astype(np.float32)
    values *= 1e-3 if shape[0] == 6 else 1
    try:
        if path.suffix == ".onnx":
            import onnxruntime

            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            return np.asarray(session.run(None, {session.get_inputs()[0].name: values})[0])
        import torch

        with torch.no_grad():
            return torch.jit.load(str(path))(torch.from_numpy(values)).numpy()
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
