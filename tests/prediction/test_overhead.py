"""What the command imports: nothing that takes seconds and is not needed."""

import subprocess
import sys

from medrev.prediction import save_weights

#: Each takes between half a second and three to import.
SLOW = {"monai", "torchio", "SimpleITK", "nrrd", "matplotlib", "tensorboard"}
PROGRAM = """
import sys
def loaded(): print(*{name.split('.')[0] for name in sys.modules})
from medrev.cli.infer import main
import medrev.prediction
loaded()
assert main(sys.argv[1:]) == 0
loaded()
"""


def test_an_inference_imports_what_it_needs_only(residual_model, tensor_file, tmp_path):
    model = residual_model()
    weights = tmp_path / "w.safetensors"
    save_weights(weights, model.translator, model.pipeline, model.scale)
    words = [tensor_file, "--model", weights, "--output", tmp_path / "out", "--no-quick-look"]
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    lines = run.stdout.splitlines()
    before, after = set(lines[0].split()), set(lines[-1].split())
    assert "torch" in before
    assert before & {*SLOW, "dipy", "pandas"} == set()
    assert after & SLOW == set()
