"""Installing the command-line modules: an executable and its description for each."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from medrev.errors import OutputError
from medrev.files import atomic_path
from medrev.prediction import load_model
from medrev.slicer.description import MODULES, describe

__all__ = ["install_modules"]

#: What Slicer sets for its own Python and libraries, and another Python must not see.
SLICERS_OWN = (
    "PYTHONHOME",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "DYLD_LIBRARY_PATH",
    "SSL_CERT_FILE",
)


def install_modules(
    folder: str | Path,
    *,
    model: str | Path | None = None,
    python: str | Path = sys.executable,
    overwrite: bool = False,
) -> list[Path]:
    """Write the modules that run medrev inside 3D Slicer.

    Each is a short shell script, because Slicer would run a ``.py`` file in its own Python, which
    has no medrev, and an XML file beside it, which Slicer reads instead of starting the script.
    Slicer finds them once the folder is among its additional module paths.

    Args:
        folder: Where the modules go; a folder of their own, because Slicer looks at every file.
        model: Run folder or weight file that the modules propose.
        python: The Python that has medrev.
        overwrite: Replace existing modules.

    Returns:
        The files written: each module followed by its description.

    Raises:
        OutputError: If a module exists, the folder cannot be written, the Python has no medrev, or
            the system is Windows.
        CheckpointError: If the model cannot be used.
    """
    folder = Path(folder)
    if sys.platform == "win32":
        raise OutputError("modules for Slicer are shell scripts, which Windows does not run")
    files = {kind: (folder / name, folder / f"{name}.xml") for kind, name in MODULES.items()}
    for file in (file for pair in files.values() for file in pair):
        if file.exists() and not overwrite:
            raise OutputError(f"{file} exists already; give --overwrite to replace it")
    python = _python_with_medrev(Path(python))
    weights = "" if model is None else str(Path(load_model(model, "cpu").path or "").resolve())
    for kind, (script, description) in files.items():
        with atomic_path(description, overwrite) as temporary:
            temporary.write_bytes(describe(kind, weights))
        with atomic_path(script, overwrite) as temporary:
            temporary.write_text(_script(kind, python), encoding="utf-8")
            temporary.chmod(0o755)
    return [file for pair in files.values() for file in pair]


def _python_with_medrev(python: Path) -> Path:
    """The absolute path of a Python, as it was given: its links tell its environment."""
    path = Path(os.path.abspath(python))
    try:
        run = subprocess.run(
            [path, "-I", "-c", "import medrev"],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    except subprocess.TimeoutExpired as error:
        raise OutputError(f"{path}: has not answered within 120 s; give another Python") from error
    except OSError as error:
        raise OutputError(f"{path}: is no Python that can be run: {error.strerror}") from error
    if run.returncode != 0:
        raise OutputError(
            f"{path}: has no medrev of its own: install it there (pip install medrev), not by "
            "PYTHONPATH, which Slicer changes"
        )
    return path


def _script(kind: str, python: Path) -> str:
    unset = " ".join(f"-u {name}" for name in SLICERS_OWN)
    return f"""#!/bin/sh
# A command-line module of 3D Slicer, written by "medrev-slicer install".
if [ "$1" = "--xml" ]; then
    exec cat "$0.xml"
fi
exec env {unset} \\
    {shlex.quote(str(python))} -I -m medrev.cli.slicer_module {kind} "$@"
"""
