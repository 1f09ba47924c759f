"""Systems without what POSIX has: everything is imported, and a scan is translated."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: Takes away what Windows lacks, after the packages that medrev stands on have been imported: on
#: Windows they are other builds.
WITHOUT = """
import os, pkgutil, importlib, signal, sys, multiprocessing.pool, subprocess, tempfile, asyncio
import concurrent.futures.process
import torch, scipy.ndimage, nibabel, safetensors.torch, matplotlib.figure, psutil, distributed
import dipy.reconst.dti, monai.data, torchio, SimpleITK, pandas, rich.progress
MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "pty", "tty", "syslog")
for name in MODULES:
    sys.modules[name] = None
for name in ("fork", "forkpty", "getuid", "geteuid", "getgid", "getpgid", "killpg", "setsid",
             "sched_getaffinity", "sched_setaffinity", "mkfifo", "chown", "lchown", "getloadavg",
             "O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "O_CLOEXEC", "uname", "sysconf", "statvfs",
             "WNOHANG", "posix_fadvise", "nice", "wait3", "wait4", "register_at_fork", "ttyname"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD", "SIGQUIT", "SIGPIPE",
             "pthread_sigmask", "sigwait", "setitimer", "alarm", "pthread_kill"):
    delattr(signal, name)
"""

EVERYTHING = """
import medrev
for found in pkgutil.walk_packages(medrev.__path__, "medrev."):
    importlib.import_module(found.name)
from medrev.cli.train import _peak_memory
assert _peak_memory() is None
"""

TRANSLATE = """
import numpy as np
from medrev.cli.infer import main
from medrev.volumes import Volume, write_nifti
values = torch.zeros(6, 12, 12, 12)
values[[0, 3, 5]] = 1e-3
write_nifti("in put.nii.gz", Volume(values, np.diag([2.0, 2, 2, 1])))
words = ["in put.nii.gz", "--model", "dti-x2", "--output", "out", "--no-quick-look"]
code = main(words) or main([*words, "--overwrite"])
sys.stderr.flush()
os._exit(code)  # the ends of other packages are not ours
"""

#: Python's interface to Windows' locks, on those of this system.
LOCKS = """
import fcntl, types, errno
system = fcntl
def locking(descriptor, mode, count):
    system.lockf(descriptor, system.LOCK_EX | system.LOCK_NB, count, 0, os.SEEK_CUR)
sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
"""

HELD = """
from pathlib import Path
from medrev.errors import OutputError
from medrev.locks import hold
lock = Path(".medrev-lock-a")
code = '''
import sys
sys.path.insert(0, sys.argv[1])
import fcntl, os, types
system = fcntl
if sys.argv[2] == "msvcrt":
    def locking(descriptor, mode, count):
        system.lockf(descriptor, system.LOCK_EX | system.LOCK_NB, count, 0, os.SEEK_CUR)
    sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
sys.modules["fcntl"] = None
from pathlib import Path
from medrev.errors import OutputError
from medrev.locks import hold
try:
    with hold(Path(".medrev-lock-a")):
        print("taken")
except OutputError as error:
    print(error)
'''
def other():
    argv = [sys.executable, "-c", code, ROOT, KIND]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
for _ in range(2):
    with hold(lock):
        assert "is in use by" in other(), "held by two"
        try:
            with hold(lock):
                raise SystemExit("held twice")
        except OutputError:
            pass
    assert other() == "taken\\n"
assert not lock.exists()
"""


def run(code, folder):
    return subprocess.run(
        [sys.executable, "-c", f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        cwd=folder,
    )


def test_a_scan_is_translated_without_what_windows_lacks(tmp_path):
    done = run(WITHOUT + EVERYTHING + TRANSLATE, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "dataset_description.json").is_file()
    assert not list((tmp_path / "out").glob(".medrev-*"))


@pytest.mark.parametrize("kind", ["msvcrt", "none"])
def test_locks_of_systems_without_fcntl(tmp_path, kind):
    locks = LOCKS if kind == "msvcrt" else ""
    head = "import os, subprocess, sys\n" + locks + "sys.modules['fcntl'] = None\n"
    done = run(f"{head}ROOT, KIND = {str(ROOT)!r}, {kind!r}\n{HELD}", tmp_path)
    assert done.returncode == 0, done.stderr
