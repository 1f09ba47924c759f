import argparse
import logging
import os
import subprocess
import sys
import warnings

import pytest

import medrev
from medrev.cli.common import add_common_options, command_parser, run_command
from medrev.errors import ConfigError, InputError
from medrev.progress import progress


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="medrev-test")
    parser.add_argument("words", nargs="*")
    add_common_options(parser)
    return parser


def run(body, *argv, **options):
    return run_command(parser, body, argv, **options)


def raising(error):
    def body(arguments):
        raise error

    return body


def test_success_is_0_and_a_body_may_return_its_code():
    assert run(lambda arguments: None) == 0
    assert run(lambda arguments: 3) == 3


def test_user_error_is_one_line_and_2(capsys):
    assert run(raising(InputError("a.nii.gz: 3D instead of 4D"))) == 2
    captured = capsys.readouterr()
    assert captured.err == "medrev-test: error: a.nii.gz: 3D instead of 4D\n"
    assert captured.out == ""


def test_each_of_several_errors_has_the_commands_name(capsys):
    run(raising(ConfigError("x.yaml:1: one\nx.yaml:2: two")))
    assert capsys.readouterr().err == (
        "medrev-test: error: x.yaml:1: one\nmedrev-test: error: x.yaml:2: two\n"
    )


def test_unexpected_error_is_one_line_and_1(capsys):
    assert run(raising(RuntimeError("first\n  second"))) == 1
    assert capsys.readouterr().err == (
        "medrev-test: error: RuntimeError: first second (run with --debug for the traceback)\n"
    )


def test_a_name_that_no_file_system_takes_is_2(capsys):
    assert run(lambda arguments: os.stat("x" * 5000)) == 2
    err = capsys.readouterr().err
    assert err.endswith("x: no file system takes a name as long as this\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("error", [InputError("bad"), RuntimeError("bad")])
def test_debug_shows_the_traceback(capsys, error):
    run(raising(error), "--debug")
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1].startswith("medrev-test: error: ")


def test_interruption_is_130(capsys):
    assert run(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "medrev-test: error: interrupted\n"


def test_interruption_may_say_how_to_resume(capsys):
    assert run(raising(KeyboardInterrupt("stopped; resume with --resume"))) == 130
    assert "resume with --resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")]
)
def test_no_memory_left_gives_advice(capsys, error):
    assert run(raising(error), memory_advice="try a smaller data.batch_size") == 1
    message = "medrev-test: error: not enough memory; try a smaller data.batch_size\n"
    assert capsys.readouterr().err == message


def test_wrong_usage_is_2(capsys):
    with pytest.raises(SystemExit) as caught:
        run(raising(AssertionError), "--unknown")
    assert caught.value.code == 2
    assert "medrev-test: error: unrecognized arguments: --unknown" in capsys.readouterr().err


def test_a_mistyped_option_is_answered_with_the_one_that_is_meant(capsys):
    with pytest.raises(SystemExit):
        command_parser("medrev-test", device=True).parse_args(["--devise", "cpu"])
    assert "--devise cpu (did you mean --device?); see" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_names_of_devices(device):
    assert parser().parse_args(["--device", device]).device == device


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cpu:0", "cuda:-1", ""])
def test_wrong_names_of_devices(device, capsys):
    with pytest.raises(SystemExit) as caught:
        parser().parse_args([f"--device={device}"])
    assert caught.value.code == 2
    assert f"must be auto, cpu, cuda, cuda:N or mps, got '{device}'" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        run(raising(AssertionError), "--version")
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"medrev {medrev.__version__}\n"


def test_libraries_are_silent_and_medrev_logs_to_stderr(capsys):
    def body(arguments):
        warnings.warn("noise", stacklevel=1)
        logging.getLogger("library").warning("noise")
        logging.getLogger("medrev.data").info("found 8 subjects")

    assert run(body) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "found 8 subjects\n")


def test_debug_lets_warnings_through():
    with pytest.warns(UserWarning, match="noise"):
        run(lambda arguments: warnings.warn("noise", stacklevel=1), "--debug")


def talk(arguments):
    logging.getLogger("medrev.data").debug("the mask is the one beside it")
    logging.getLogger("medrev.data").info("found 8 subjects")
    logging.getLogger("medrev.data").warning("warning: odd voxels")
    logging.getLogger("medrev.data").error("failed: sub-02")
    print("a table", file=sys.stderr)
    print("out/result.nii.gz")


def test_quiet_leaves_errors_and_results(capsys):
    assert run(talk, "--quiet") == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("out/result.nii.gz\n", "failed: sub-02\n")
    assert run(raising(InputError("bad")), "--quiet") == 2
    assert capsys.readouterr().err == "medrev-test: error: bad\n"


def test_quiet_shows_no_bar(capsys):
    def body(arguments):
        with progress("Fitting", total=1, every=0.0) as bar:
            bar.advance()

    run(body)
    assert "Fitting: 1/1" in capsys.readouterr().err
    run(body, "--quiet")
    assert capsys.readouterr().err == ""


def test_verbose_tells_decisions_and_no_tracebacks(capsys):
    def body(arguments):
        talk(arguments)
        try:
            raise RuntimeError("inner")
        except RuntimeError:
            logging.getLogger("medrev").debug("sub-03", exc_info=True)

    run(body, "--verbose")
    err = capsys.readouterr().err
    assert err.splitlines()[:2] == ["the mask is the one beside it", "found 8 subjects"]
    assert "Traceback" not in err
    run(body)
    assert "the mask" not in capsys.readouterr().err


def test_quiet_and_verbose_exclude_each_other(capsys):
    with pytest.raises(SystemExit) as caught:
        run(talk, "--quiet", "--verbose")
    assert caught.value.code == 2


def test_threads_are_those_of_libraries_and_of_medrev():
    import torch

    from medrev.parallel.outcome import processors

    before, seen = (torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")), []

    def body(arguments):
        seen.append((torch.get_num_threads(), processors(), os.environ["MKL_NUM_THREADS"]))

    assert run(body, "--threads", "3") == 0
    assert seen == [(3, 3, "3")]
    assert (torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")) == before


@pytest.mark.parametrize("count", ["0", "-1", "two", "1025", "1.5"])
def test_wrong_numbers_of_threads(count, capsys):
    with pytest.raises(SystemExit) as caught:
        run(talk, f"--threads={count}")
    assert caught.value.code == 2
    assert f"must be a number from 1 to 1024, got '{count}'" in capsys.readouterr().err


class TestOtherProcesses:
    """Under torchrun the first process speaks for all where all fail alike."""

    def test_shared_errors_are_silent(self, capsys, monkeypatch):
        monkeypatch.setenv("RANK", "1")
        assert run(raising(ConfigError("bad"))) == 2
        assert capsys.readouterr().err == ""

    def test_own_errors_name_the_process(self, capsys, monkeypatch):
        monkeypatch.setenv("RANK", "1")
        assert run(raising(InputError("missing on this node"))) == 2
        assert capsys.readouterr().err == ("medrev-test: error (process 1): missing on this node\n")

    def test_the_first_process_of_a_second_node_is_not_the_first(self, capsys, monkeypatch):
        monkeypatch.setenv("RANK", "8")
        monkeypatch.setenv("LOCAL_RANK", "0")
        run(lambda arguments: logging.getLogger("medrev").info("hello"))
        assert capsys.readouterr().err == ""


def print_schema(stdout):
    """A command in a process of its own, which prints into a file or descriptor."""
    code = (
        "import sys; sys.path.insert(0, '.'); from medrev.cli.train import main; "
        "sys.exit(main(['--print-schema']))"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        timeout=120,
        text=True,
    )


def test_a_closed_pipe_changes_nothing():
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = print_schema(writing)
    finally:
        os.close(writing)
    assert (done.stderr, done.returncode) == ("", 0)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_below_standard_output_is_said_and_changes_nothing():
    with open("/dev/full", "w") as full:
        done = print_schema(full)
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: standard output cannot be written (No space left")


@pytest.mark.parametrize("command", ["train", "infer"])
def test_help_imports_nothing_slow(command):
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", f"medrev.cli.{command}", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert run.stdout.startswith(f"usage: medrev-{command}")
    imported = {line.split("|")[-1].strip() for line in run.stderr.splitlines()}
    assert not imported & {"torch", "numpy", "pydantic", "yaml", "monai", "rich"}


LOST = """
import gc, sys, time, os, signal
sys.path.insert(0, ".")
from medrev.cli.common import command_parser, run_command
count = 0
def swallow(phase, info):
    global count
    count += 1
    if count <= 3:
        os.kill(os.getpid(), signal.{name})
def body(arguments):
    gc.callbacks.append(swallow)
    try:
        for _ in range(3):
            gc.collect()
            time.sleep(0.01)
    finally:
        gc.callbacks.clear()
    time.sleep(20)
sys.exit(run_command(lambda: command_parser("medrev-test"), body, []))
"""


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_that_is_lost_in_a_callback_still_ends_the_command(name, code):
    """Python reports what a callback of the garbage collector raises, and goes on."""
    done = subprocess.run(
        [sys.executable, "-c", LOST.format(name=name)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code
    assert done.stderr.startswith("medrev-test: error: ")
    assert done.stderr.count("\n") == 1


NAMES = r"""
import sys
sys.path.insert(0, ".")
from medrev.cli.common import command_parser, run_command
def body(arguments):
    print("M\xfcller \u65e5\u672c \udcff")
    print("e \u65e5", file=sys.stderr)
sys.exit(run_command(lambda: command_parser("medrev-test"), body, []))
"""


@pytest.mark.parametrize(
    ("encoding", "out"),
    [
        ("ascii", b"M\\xfcller \\u65e5\\u672c \xff\n"),
        ("cp1252", b"M\xfcller \\u65e5\\u672c \xff\n"),
        ("utf-8", "Müller 日本 ".encode() + b"\xff\n"),
    ],
)
def test_names_that_the_terminal_cannot_show(encoding, out):
    done = subprocess.run(
        [sys.executable, "-c", NAMES],
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
    )
    assert (done.returncode, done.stdout) == (0, out)
    assert done.stderr in (b"e \\u65e5\n", "e 日\n".encode())
