"""Write down what the program does on small inputs, and compare two states of it.

Before a change, and after it::

    python scripts/characterise.py record /tmp/before
    python scripts/characterise.py record /tmp/after
    python scripts/characterise.py compare /tmp/before /tmp/after

The commands are called as users call them: seeded trainings of a few steps of every kind,
inference, evaluation, export, and bad inputs. Written down are exit codes, what is printed, which
files appear, and what they say: voxels, weights, affines, sidecars, cells of tables. Times, places
and versions are left out. Records of one processor agree to the bit; those of different ones need
a ``--tolerance``.
"""

import argparse
import fnmatch
import json
import os
import sys
import tempfile
import time
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
#: One thread, so that sums come in one order; set before anything that counts threads is imported.
_THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}


def main(argv: list[str] | None = None) -> int:
    """Run the script and return its exit code: 1 where a comparison finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    record = commands.add_parser("record", help="run scenarios and write down what they do")
    record.add_argument("folder", type=Path, help="where record.json and arrays.npz are written")
    record.add_argument("--only", nargs="+", metavar="NAME", help="scenarios, patterns allowed")
    record.add_argument("--list", action="store_true", help="print the names of the scenarios")
    record.add_argument("--keep", type=Path, help="work in this new folder, and keep it")
    compare = commands.add_parser("compare", help="print the differences of two records")
    compare.add_argument("first", type=Path)
    compare.add_argument("second", type=Path)
    compare.add_argument("--tolerance", type=float, default=0.0, help="relative (default: 0)")
    compare.add_argument("--common", action="store_true", help="only scenarios of both records")
    summarise = commands.add_parser("summarise", help="write a record in short, for the tests")
    summarise.add_argument("folder", type=Path, help="of a record")
    summarise.add_argument("file", type=Path, help="JSON file that is written")
    options = parser.parse_args(argv)
    _prepare()
    from characterisation import differences, load, scenarios, summary

    if options.command == "summarise":
        short = summary(*load(options.folder))
        lines = [f"{json.dumps(n)}: {json.dumps(short[n], ensure_ascii=False)}" for n in short]
        options.file.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        return 0
    if options.command == "compare":
        found = differences(
            load(options.first),
            load(options.second),
            options.tolerance,
            partial=options.common,
        )
        count = 0
        for count, line in enumerate(found, start=1):  # noqa: B007
            print(line)
        print(f"{count} differences", file=sys.stderr)
        return int(count > 0)
    if options.list:
        print(*scenarios, sep="\n")
        return 0
    write_record(options.folder, options.only, options.keep)
    return 0


def write_record(folder: Path, only: list[str] | None = None, keep: Path | None = None) -> None:
    """Run scenarios, all of them or those that ``only`` names, and write the record.

    Raises:
        SystemExit: If a name is that of no scenario.
    """
    _prepare()
    import numpy as np
    from characterisation import Bench, scenarios

    chosen = [n for n in scenarios if only is None or any(fnmatch.fnmatch(n, o) for o in only)]
    if not chosen:
        raise SystemExit(f"no scenario is called {only}; there are: {', '.join(scenarios)}")
    with tempfile.TemporaryDirectory(prefix="characterise-") as temporary:
        bench = Bench(keep or Path(temporary))
        began = time.monotonic()
        for name in chosen:
            bench.play(name)
            print(f"{time.monotonic() - began:6.1f} s  {name}", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "arrays.npz", **bench.reader.arrays)
    document = {"scenarios": bench.record}
    (folder / "record.json").write_text(json.dumps(document, indent=1, ensure_ascii=False))
    print(f"{len(bench.record)} commands in {folder}", file=sys.stderr)


def _prepare() -> None:
    """Let this process and its workers use one thread, and the program beside this script."""
    os.environ.update(_THREADS)
    paths = [str(_ROOT), str(_ROOT / "scripts")]
    sys.path[:] = paths + [path for path in sys.path if path not in paths]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])


if __name__ == "__main__":
    sys.exit(main())
