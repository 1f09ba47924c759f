"""What the command imports: nothing that takes seconds and is not needed."""

import subprocess
import sys

from medrev.inference import save_weights

#: Each takes between half a second and three to import.
NEVER = {"monai", "torchio", "SimpleITK", "nrrd", "matplotlib", "tensorboard"}


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


def test_an_inference_imports_what_it_needs_only(residual_model, tensor_file, tmp_path):
    model = residual_model()
    path = tmp_path / "w.safetensors"
    save_weights(path, model.translator, model.pipeline, model.scale)
    words = [str(tensor_file), "--model", str(path), "--output", str(tmp_path / "out")]
    words.append("--no-quick-look")
    loaded = loaded_by(f"from medrev.cli.infer import main\nassert main({words!r}) == 0")
    assert "torch" in loaded
    assert loaded & NEVER == set()


def test_the_library_is_imported_without_monai_and_dipy():
    assert loaded_by("import medrev.inference") & {*NEVER, "dipy", "pandas"} == set()
