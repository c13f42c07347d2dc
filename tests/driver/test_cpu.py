"""The measured processor and its cache: read with distrust, written whole, no error where it cannot be written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netwright.driver import cpu as module
from netwright.driver.cpu import FILE, Measurement, Rates, cpu, machine


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Measuring takes no time; each entry is one measurement."""
    calls: list[str] = []

    def measure(report: Any) -> Measurement:
        report("measuring")
        calls.append("measured")
        rates = Rates(float32=float(len(calls)), float64=1.0)
        return Measurement(machine=machine(), matrix=rates, vector=rates, bandwidth=1e9, overhead=1e-6)

    monkeypatch.setattr(module, "measure", measure)
    return calls


def test_measured_once(tmp_path: Path, measured: list[str]) -> None:
    told: list[str] = []
    first = cpu(told.append, tmp_path / "new")
    again = cpu(told.append, tmp_path / "new")
    assert first == again and told == ["measuring"] and measured == ["measured"]
    assert first.matrix == {"float32": 1.0, "float64": 1.0} and first.kind == "cpu" and first.memory > 2**28
    assert [path.name for path in (tmp_path / "new").iterdir()] == [FILE]


def _change(**changes: Any) -> Any:
    return lambda data: json.dumps({**data, **changes}).encode()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"\xff\xfe{",
        lambda data: json.dumps(data).encode()[:-5],
        lambda data: json.dumps([data]).encode(),
        lambda data: json.dumps(data).encode() + b" " * 5000,
        lambda data: b'{"a":' * 2000,
        _change(format=2),
        _change(bandwidth=-1.0),
        _change(bandwidth="1e9"),
        _change(overhead=0),
        _change(matrix={"float32": 1.0}),
        _change(matrix={"float32": float("inf"), "float64": 1.0}),
        _change(extra=1),
        _change(machine={"processor": "another"}),
    ],
)
def test_what_is_damaged_or_of_another_machine_is_measured_anew(
    tmp_path: Path, measured: list[str], spoil: Any
) -> None:
    cpu(folder=tmp_path)
    path = tmp_path / FILE
    path.write_bytes(spoil(json.loads(path.read_text())))
    found = cpu(folder=tmp_path)
    assert len(measured) == 2 and found.matrix["float32"] == 2.0
    assert cpu(folder=tmp_path) == found and len(measured) == 2


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, measured: list[str]) -> None:
    (tmp_path / "file").write_text("")
    assert cpu(folder=tmp_path / "file" / "cache").name == "cpu"
    (tmp_path / "taken" / FILE).mkdir(parents=True)
    assert cpu(folder=tmp_path / "taken").name == "cpu"
    assert [path.name for path in (tmp_path / "taken").iterdir()] == [FILE]


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch, measured: list[str]) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(module, "cache_folder", homeless)
    assert cpu().bandwidth == 1e9


def test_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_SIDE", 64), ("_COPIED", 2**16), ("_SECONDS", 0.0)):
        monkeypatch.setattr(module, name, value)
    told: list[str] = []
    found = module.measure(told.append)
    assert 1e6 < found.vector.float32 < 1e15 and 1e6 < found.matrix.float64 < 1e16
    assert 1e6 < found.bandwidth < 1e14 and 1e-9 < found.overhead < 1e-2
    assert len(told) == 5 and found.machine == machine()
    assert Measurement.model_validate_json(found.model_dump_json()) == found
