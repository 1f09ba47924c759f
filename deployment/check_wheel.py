"""Check that a wheel is whole: ``python deployment/check_wheel.py dist/medrev-*.whl [--run]``.

With ``--run`` it is installed in a new environment, where the packages of this one are seen but its
medrev is not, and translates a small volume in a folder outside of the repository, offline.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: Ends the process where somebody opens a connection.
OFFLINE = """
import socket
def refuse(*arguments, **options):
    raise SystemExit("medrev asked for the network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
"""

TRANSLATE = """
import sys
import numpy as np, torch
import medrev
assert {site!r} in medrev.__file__, medrev.__file__
from medrev.cli.infer import main
from medrev.volumes import Volume, write_nifti
values = torch.zeros(6, 12, 12, 12)
values[[0, 3, 5], 2:10, 2:10, 2:10] = 1e-3
write_nifti("scan.nii.gz", Volume(values, np.diag([2.0, 2, 2, 1])))
sys.exit(main(["scan.nii.gz", "--output", "fine.nii.gz", "--threads", "1"]))
"""


def expected(root: Path = ROOT) -> set[str]:
    """Every file of the package that is no leftover, as names in a wheel."""
    return {
        path.relative_to(root).as_posix()
        for path in (root / "medrev").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def problems(wheel: Path, root: Path = ROOT) -> list[str]:
    """What is wrong with the content of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry = next((name for name in names if name.endswith("entry_points.txt")), None)
        commands = "" if entry is None else archive.read(entry).decode()
        found = [f"{name} is missing" for name in sorted(expected(root) - names)]
        found += [
            f"{name} has other bytes"
            for name in sorted(expected(root) & names)
            if archive.read(name) != (root / name).read_bytes()
        ]
    found += [
        f"{name} does not belong there"
        for name in sorted(names)
        if not name.startswith(("medrev/", f"{wheel.name.split('-py3')[0]}.dist-info/"))
    ]
    if not any(name.endswith("licenses/LICENSE") for name in names):
        found.append("there is no licence")
    if "medrev-infer = medrev.cli.infer:main" not in commands:
        found.append("there is no command medrev-infer")
    return found


def run(wheel: Path, folder: Path) -> Path:
    """Install a wheel in a new environment, translate a volume there, and return the result.

    Raises:
        subprocess.CalledProcessError: A step fails.
    """
    venv.create(folder / "environment", with_pip=False)
    binaries = folder / "environment" / ("Scripts" if os.name == "nt" else "bin")
    python = binaries / "python"
    site = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    ).strip()
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    subprocess.run([*install, "--no-index", wheel], check=True)
    # After the environment's own packages; an editable medrev of this one is not seen.
    Path(site, "others.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    place = folder / "some where else"
    place.mkdir()
    code = OFFLINE + TRANSLATE.format(site=site)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run([python, "-c", code], cwd=place, env=clean, check=True)
    names = subprocess.check_output([binaries / "medrev-infer", "--list-models"], env=clean)
    if b"dti-x2" not in names:
        raise RuntimeError("medrev-infer --list-models does not list dti-x2")
    return place / "fine.nii.gz"


def main() -> int:
    """Check the wheel that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--run", action="store_true", help="install it and translate a volume")
    arguments = parser.parse_args()
    found = problems(arguments.wheel)
    print(*found, sep="\n", end="\n" if found else "")
    if not found and arguments.run:
        with tempfile.TemporaryDirectory() as folder:
            print(run(arguments.wheel.absolute(), Path(folder)))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
