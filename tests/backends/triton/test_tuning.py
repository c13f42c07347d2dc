"""Autotuning by a clock that the tests make, and its cache beside damage, strangers and another process."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from netwright.backends.api import BackendError
from netwright.backends.triton import tuning
from netwright.backends.triton.kernel import Argument, Config, Kernel
from netwright.backends.triton.toolchain import Gpu
from netwright.backends.triton.tuning_cache import Answer, Cache, Question, default_folder, size_class
from netwright.compiler.ir import DType

GPU = Gpu("cuda:0", "H100", 90, 80 * 2**30)


class Refused(Exception):
    """The device's no."""


class FakeClock:
    """Seconds by config: what ran last decides. Each turn is a little off, as on a real machine."""

    def __init__(self, seconds: list[float]) -> None:
        self.seconds, self.ran, self.turns = seconds, -1, []
        self.random = random.Random(0)

    def launch(self, place: int) -> None:
        if self.seconds[place] < 0:
            raise Refused("out of shared memory")
        self.ran = place

    def __call__(self, launch) -> float:
        launch()
        self.turns.append(self.ran)
        return self.seconds[self.ran] * (1 + 0.01 * self.random.random())


def kernel(configs: int = 4) -> Kernel:
    arguments = (Argument("x0", "pointer", DType.FLOAT32), Argument("s0", "int"))
    choices = tuple(Config({"BLOCK": 64 << place}, warps=4, stages=2) for place in range(configs))
    return Kernel("k1", "text", arguments, choices, choices[0])


def asked(source: str = "text", size: int = 100, configs: int = 4, version: str = "3.9") -> Question:
    return tuning.question(kernel(configs), source, {"s0": size}, {"WIDE": False}, GPU, version)


def tuner(clock: FakeClock, folder: Path, **rest) -> tuning.Tuner:
    return tuning.Tuner(clock, Cache(folder), refusals=(Refused,), **rest)


def test_the_fastest_wins_and_is_remembered(tmp_path):
    clock, told = FakeClock([3.0, 1.1, 1.0, 9.0]), []
    first = tuner(clock, tmp_path, report=lambda *what: told.append(what))
    assert first.choose(asked(), clock.launch, what="k1") == 2
    assert told[-1][1] == told[-1][2] == len(clock.turns)
    assert clock.turns.count(0) == clock.turns.count(3) == tuning.FIRST_ROUNDS, "the hopeless leave"
    assert clock.turns.count(1) == clock.turns.count(2) == tuning.FIRST_ROUNDS + tuning.LAST_ROUNDS
    again = FakeClock([0.0] * 4)
    assert tuner(again, tmp_path).choose(asked(), again.launch) == 2
    assert not again.turns, "the file answers"
    clock.turns.clear()
    assert first.choose(asked(), clock.launch) == 2 and not clock.turns


def test_turns_are_interleaved(tmp_path):
    clock = FakeClock([1.0, 1.0, 1.0])
    tuner(clock, tmp_path).choose(asked(configs=3), clock.launch)
    assert clock.turns[:9] == [0, 1, 2, 1, 2, 0, 2, 0, 1]


def test_a_median_is_no_victim_of_one_slow_turn(tmp_path):
    class Jumpy(FakeClock):
        def __call__(self, launch) -> float:
            seconds = super().__call__(launch)
            return seconds * (50 if len(self.turns) % 7 == 0 else 1)

    clock = Jumpy([1.0, 1.5])
    assert tuner(clock, tmp_path).choose(asked(configs=2), clock.launch) == 0


def test_what_the_device_cannot_run_is_left_out(tmp_path):
    clock = FakeClock([-1, 2.0, 3.0])
    assert tuner(clock, tmp_path).choose(asked(configs=3), clock.launch) == 1
    (file,) = tmp_path.glob("*.json")
    assert json.loads(file.read_text())["seconds"][0] is None
    clock = FakeClock([-1, -1])
    with pytest.raises(BackendError, match=r"H100 can run no config of k7: out of shared memory"):
        tuner(clock, tmp_path).choose(asked(configs=2), clock.launch, what="k7")


def test_faults_that_are_no_refusals_go_on(tmp_path):
    def broken(place: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tuner(FakeClock([1.0, 1.0]), tmp_path).choose(asked(configs=2), broken)
    assert not list(tmp_path.glob("*.json"))


def test_what_was_written_is_restored_once_measured_and_not_for_a_known_answer(tmp_path):
    clock, log = FakeClock([1.0, 2.0]), []

    def save():
        log.append(len(clock.turns))
        return lambda: log.append(len(clock.turns))

    one = tuner(clock, tmp_path)
    one.choose(asked(configs=2), clock.launch, save)
    assert log == [0, len(clock.turns)]
    one.choose(asked(configs=2), clock.launch, save)
    tuner(clock, tmp_path).choose(asked(configs=2), clock.launch, save)
    assert len(log) == 2


def test_what_was_written_is_restored_after_a_failure(tmp_path):
    clock, log = FakeClock([-1, -1]), []
    with pytest.raises(BackendError):
        tuner(clock, tmp_path).choose(asked(configs=2), clock.launch, lambda: lambda: log.append("restored"))
    assert log == ["restored"]


def test_without_measuring_the_first_that_runs(tmp_path):
    clock = FakeClock([-1, 5.0, 1.0])
    assert tuner(clock, tmp_path, measuring=False).choose(asked(configs=3), clock.launch) == 1
    assert not clock.turns and not list(tmp_path.iterdir()), "that is no measurement to keep"


def test_one_config_is_not_measured(tmp_path):
    clock = FakeClock([1.0])
    assert tuner(clock, tmp_path).choose(asked(configs=1), clock.launch) == 0
    assert not clock.turns


@pytest.mark.parametrize("size, wanted", [(0, 0), (1, 1), (2, 2), (3, 4), (64, 64), (65, 128), (2**31 - 1, 2**31)])
def test_classes_of_sizes(size, wanted):
    assert size_class(size) == wanted


def test_what_makes_a_question_another():
    base = asked()
    assert asked(size=128).key == base.key, "one class"
    others = [asked(source="other"), asked(size=129), asked(configs=3), asked(version="3.10")]
    others.append(tuning.question(kernel(), "text", {"s0": 100}, {"WIDE": True}, GPU, "3.9"))
    others.append(tuning.question(kernel(), "text", {"s0": 100}, {"WIDE": False}, Gpu("cuda:0", "H200", 90, 1), "3.9"))
    assert len({base.key, *(each.key for each in others)}) == 7


def _answer(question: Question, choice: int = 1) -> Answer:
    return Answer(question=question, choice=choice, seconds=(None, *[1e-5] * (len(question.candidates) - 1)))


def _replaced(change):
    def apply(path: Path, question: Question) -> None:
        data = json.loads(_answer(question).model_dump_json())
        change(data)
        path.write_text(json.dumps(data))

    return apply


def _symlink(path: Path, question: Question) -> None:
    real = path.parent / "elsewhere"
    real.write_text(_answer(question).model_dump_json())
    path.symlink_to(real)


DAMAGE = {
    "nothing": lambda path, question: path.write_bytes(b""),
    "half": lambda path, question: path.write_text(_answer(question).model_dump_json()[:-40]),
    "binary": lambda path, question: path.write_bytes(os.urandom(500)),
    "pickle": lambda path, question: path.write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR."),
    "deep": lambda path, question: path.write_text("[" * 20000),
    "huge": lambda path, question: path.write_text(_answer(question).model_dump_json() + " " * 100_000),
    "a folder": lambda path, question: path.mkdir(),
    "a link": _symlink,
    "a pipe": lambda path, question: os.mkfifo(path),
    "another question": lambda path, question: path.write_text(_answer(asked(source="x")).model_dump_json()),
    "another key": _replaced(lambda data: data.update(hint="rm -rf")),
    "another format": _replaced(lambda data: data["question"].update(format=2)),
    "a choice too many": _replaced(lambda data: data.update(choice=4)),
    "a negative choice": _replaced(lambda data: data.update(choice=-1)),
    "a choice that cannot run": _replaced(lambda data: data.update(choice=0)),
    "a choice as text": _replaced(lambda data: data.update(choice="1")),
    "a missing key": _replaced(lambda data: data.pop("seconds")),
    "too few seconds": _replaced(lambda data: data["seconds"].pop()),
    "seconds that are no number": _replaced(lambda data: data.update(seconds=[float("nan")] * 4)),
    "other candidates": _replaced(lambda data: data["question"]["candidates"].reverse()),
    "a list": lambda path, question: path.write_text("[]"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_and_foreign_entries_are_ignored_and_rewritten(tmp_path, what):
    question, cache = asked(), Cache(tmp_path)
    path = tmp_path / f"{question.key}.json"
    DAMAGE[what](path, question)
    assert cache.get(question) is None
    clock = FakeClock([3.0, 2.0, 1.0, 4.0])
    assert tuner(clock, tmp_path).choose(question, clock.launch) == 2
    if what == "a folder":
        return  # It stays where it is: not ours to remove.
    assert not path.is_symlink() and cache.get(question).choice == 2
    if what == "a link":
        assert Answer.model_validate_json((tmp_path / "elsewhere").read_text()).choice == 1


def test_a_folder_that_cannot_be_had_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    clock = FakeClock([2.0, 1.0])
    assert tuner(clock, tmp_path / "file" / "below").choose(asked(configs=2), clock.launch) == 1


def test_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NETWRIGHT_TUNING_CACHE", str(tmp_path / "own"))
    assert default_folder() == tmp_path / "own"
    monkeypatch.delenv("NETWRIGHT_TUNING_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "netwright" / "triton-tuning"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert default_folder() is None
    clock = FakeClock([2.0, 1.0])
    assert tuning.Tuner(clock, Cache(), refusals=(Refused,)).choose(asked(configs=2), clock.launch) == 1


def test_bounded_and_what_is_used_stays(tmp_path):
    cache = Cache(tmp_path, most_files=10)
    questions = [asked(source=str(number)) for number in range(15)]
    for number, question in enumerate(questions[:10]):
        cache.put(_answer(question))
        os.utime(tmp_path / f"{question.key}.json", (number, number))
    assert cache.get(questions[0]) is not None, "the oldest is used"
    stale, fresh = tmp_path / ".writing-old", tmp_path / ".writing-new"
    stale.write_text("")
    fresh.write_text("")
    os.utime(stale, (1, 1))
    (tmp_path / "README").write_text("not ours")
    for question in questions[10:]:
        cache.put(_answer(question))
    kept = [number for number, question in enumerate(questions) if cache.get(question) is not None]
    assert kept == [0, 6, 7, 8, 9, 10, 11, 12, 13, 14]
    assert not stale.exists() and fresh.exists() and (tmp_path / "README").exists()
    small = Cache(tmp_path, most_bytes=3000)
    small.put(_answer(asked(source="last")))
    assert sum(path.stat().st_size for path in tmp_path.glob("*.json")) <= 3000
    assert small.get(asked(source="last")) is not None


HAMMER = """
import random, sys, time
from pathlib import Path
from netwright.backends.triton import tuning
from netwright.backends.triton.kernel import Config, Kernel
from netwright.backends.triton.toolchain import Gpu
from netwright.backends.triton.tuning_cache import Answer, Cache

class Clock:
    def __init__(self, best): self.best, self.ran = best, -1
    def launch(self, place): self.ran = place
    def __call__(self, launch):
        launch()
        return 1.0 + (self.ran != self.best)

configs = tuple(Config({"BLOCK": 64 << place}) for place in range(3))
kernel, gpu = Kernel("k1", "text", (), configs, configs[0]), Gpu("cuda:0", "H100", 90, 1)
folder, dice, wrong, end = Path(sys.argv[1]), random.Random(int(sys.argv[2])), 0, time.monotonic() + 1.5
while time.monotonic() < end:
    number = dice.randrange(6)
    clock = Clock(number % 3)
    one = tuning.Tuner(clock, Cache(folder, most_files=4))
    wrong += one.choose(tuning.question(kernel, str(number), {}, {}, gpu, "3.9"), clock.launch) != number % 3
    for path in folder.glob("*.json"):
        try:
            Answer.model_validate_json(path.read_text())
        except FileNotFoundError:
            continue
        except ValueError:
            wrong += 1
print(wrong)
"""


def test_two_processes_do_not_harm_each_other(tmp_path):
    """Both tune the same few questions over and over, in a cache that is always full."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HAMMER, str(tmp_path), seed],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in "12"
    ]
    for process in processes:
        out, problem = process.communicate(timeout=60)
        assert out.strip() == "0", problem
    assert 1 <= len(list(tmp_path.glob("*.json"))) <= 6


def test_a_bar_where_there_is_a_terminal(monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert tuning.on_terminal() is None
    monkeypatch.setattr("sys.stderr", Screen())
    report = tuning.on_terminal()
    report("tuning k1", 1, 4)
    assert sys.stderr.getvalue() == "\rtuning k1 ######.................. 1/4\x1b[K"
    report("tuning k1", 4, 4)
    assert sys.stderr.getvalue().endswith("\r\x1b[K"), "nothing is left of it"


def test_the_switch(monkeypatch):
    monkeypatch.delenv("NETWRIGHT_TUNE", raising=False)
    assert tuning.enabled()
    monkeypatch.setenv("NETWRIGHT_TUNE", "0")
    assert not tuning.enabled()


def test_the_clock_of_a_gpu():
    """Events around the launch alone, after a cleared buffer that is larger than the device's cache."""
    log = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            log.append("record")

        def synchronize(self):
            log.append("synchronize")

        def elapsed_time(self, end):
            return 2.5

    class Buffer:
        def zero_(self):
            log.append("clear")

    class Torch:
        int8 = "int8"

        class cuda:
            pass

        @staticmethod
        def empty(size, dtype, device):
            log.append((size, dtype, device))
            return Buffer()

    Torch.cuda.Event = Event
    clock = tuning.CudaClock(Torch, GPU)
    assert clock(lambda: log.append("launch")) == pytest.approx(2.5e-3)
    assert log == [(2**28, "int8", "cuda:0"), "clear", "record", "launch", "record", "synchronize"]
    clock(lambda: None)
    assert sum(isinstance(each, tuple) for each in log) == 1
