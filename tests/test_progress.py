import io
import subprocess
import sys

import pytest

from medrev import progress as module
from medrev.progress import format_seconds, progress, progress_listener


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that only moves when told to."""

    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_quick_task_prints_nothing_into_a_log():
    stream = io.StringIO()
    with progress("Preparing", total=100, stream=stream) as bar:
        for _ in range(100):
            bar.advance()
    assert stream.getvalue() == ""


def test_slow_task_prints_a_line_each_tenth(clock):
    stream = io.StringIO()
    with progress("Training", total=100, stream=stream) as bar:
        for _ in range(100):
            clock.now += 5
            bar.advance(1, text="loss 0.1")
    lines = stream.getvalue().splitlines()
    assert "Training: 50/100 (50 %), 4 min 10 s left, loss 0.1" in lines
    assert lines[-1] == "Training: 100/100 (100 %), loss 0.1"
    assert 10 <= len(lines) <= 20


def test_very_slow_task_prints_at_most_every_half_minute(clock):
    stream = io.StringIO()
    with progress("Training", total=10_000, stream=stream) as bar:
        for _ in range(60):
            clock.now += 2
            bar.advance()
    assert len(stream.getvalue().splitlines()) == 4


def test_time_left_counts_only_the_steps_of_this_run(clock):
    stream = io.StringIO()
    with progress("Training", total=100, done=90, stream=stream) as bar:
        clock.now += 60
        bar.advance(5)
    assert stream.getvalue() == "Training: 95/100 (95 %), 1 min 00 s left\n"


def test_terminal_shows_a_bar_with_text():
    stream = Terminal()
    with progress("Preparing", total=2, stream=stream) as bar:
        bar.advance(1, text="loss [0.1]")
        bar.note("[a] line")
        bar.advance(1)
    assert "Preparing" in stream.getvalue()
    assert "loss [0.1]" in stream.getvalue()
    assert "[a] line" in stream.getvalue()


def test_disabled_shows_nothing_even_on_a_terminal():
    stream = Terminal()
    with progress("Preparing", total=2, enabled=False, stream=stream) as bar:
        bar.advance(2)
        bar.note("line")
    assert stream.getvalue() == ""


def test_standard_output_stays_free(capsys):
    with progress("Preparing", total=1, every=0) as bar:
        bar.advance()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Preparing: 1/1" in captured.err


def test_rich_is_imported_only_for_a_terminal():
    code = (
        "import sys, io; from medrev.progress import progress\n"
        "with progress('a', 1, stream=io.StringIO()) as bar: bar.advance()\n"
        "sys.exit('rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min 00 s"), (3599, "59 min 59 s"), (3600, "1 h 00 min")],
)
def test_durations_in_words(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize("enabled", [True, False])
def test_a_listener_hears_every_step_of_every_bar(enabled):
    heard = []
    with progress_listener(lambda title, share: heard.append((title, share))):
        for title in ("a", "b"):
            with progress(title, 4, done=1, enabled=enabled, stream=io.StringIO()) as bar:
                bar.advance()
                bar.note("between")
                bar.advance(5)
    assert heard == [("a", 0.5), ("a", 1.0), ("b", 0.5), ("b", 1.0)]
    with progress("c", 1, enabled=enabled, stream=io.StringIO()) as bar:
        bar.advance()
    assert len(heard) == 4
