"""Rooflines and memory on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from netwright.driver import cpu as measuring

from .conftest import Cli


def test_the_roofline_of_each_part(cli: Cli, spec: Path) -> None:
    found = cli("summary", spec, "--device", "h200", "--dim", "N=4").fine()
    assert "waits for" in found and "flops/byte" in found
    assert "main on h200 (NVIDIA H200 SXM): at least " in found and " overhead)" in found
    assert "the device has" not in found


def test_the_roofline_as_json(cli: Cli, spec: Path) -> None:
    data = cli("summary", spec, "--device", "tpu:v5e", "--json", "--dim", "N=4").json
    line = data["roofline"]
    assert line["device"]["name"] == "v5e" and line["device"]["bandwidth"] == 819e9
    (entry,) = line["entries"]
    assert entry["name"] == "main" and entry["bound"] in ("compute", "memory", "overhead")
    assert entry["time"] == pytest.approx(sum(entry["limits"].values()))
    assert entry["flops"] == sum(part["flops"] for part in entry["parts"])
    macs = 4 * (5 * 4 + 4 * 3)
    assert data["macs"] == macs and entry["flops"] > 2 * macs
    assert line["weight_bytes"] == 4 * data["parameters"]
    half = cli("summary", spec, "--device", "v5e", "--json", "--dim", "N=4", "--dtype", "bfloat16").json["roofline"]
    assert half["entries"][0]["bytes"] < entry["bytes"]


def test_what_does_not_fit_is_said(cli: Cli, spec: Path) -> None:
    spec.write_text(spec.read_text().replace("features: 4}", "features: 2000000000}"))
    assert "the device has 16.0 GiB" in cli("summary", spec, "--device", "v5e").fine()


def test_this_machine_is_measured_once(cli: Cli, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, value in (("_SIDE", 32), ("_COPIED", 2**14), ("_SECONDS", 0.0)):
        monkeypatch.setattr(measuring, name, value)
    assert "main on cpu (" in cli("summary", spec, "--device", "cpu").fine()
    (file,) = (tmp_path / "cache" / "netwright").iterdir()
    before = file.read_bytes()
    cli("summary", spec, "--device", "cpu").fine()
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("device", "message"),
    [("h20", "no device is called 'h20'; did you mean h200?"), ("abacus", "they are a100-40gb, a100, h100, h200")],
)
def test_unknown_devices(cli: Cli, spec: Path, device: str, message: str) -> None:
    assert message in cli("summary", spec, "--device", device).refused()


def test_memory_on_a_target(cli: Cli, spec: Path) -> None:
    words = ("summary", spec, "--target", "numpy", "--dim", "N=100")
    assert " in one block for " in cli(*words).fine()
    memory = cli(*words, "--json").json["memory"]
    held = memory["entries"]["main"]
    assert memory["target"] == "numpy" and held["peak"] >= held["live"] >= held["bound"] > 0
    assert held["ratio"] == held["peak"] / held["bound"]


def test_targets_that_plan_by_themselves(cli: Cli, spec: Path) -> None:
    assert "plans its memory by itself" in cli("summary", spec, "--target", "onnx").fine()
    held = cli("summary", spec, "--target", "onnx", "--json").json["memory"]["entries"]["main"]
    assert held["peak"] is None and held["ratio"] is None and held["bound"] > 0
    assert "did you mean numpy" in cli("summary", spec, "--target", "nunpy").refused()


def test_explain_tells_of_memory(cli: Cli, spec: Path) -> None:
    assert "main with N = 1: " in cli("explain", spec, "--target", "numpy").fine()
    data = cli("explain", spec, "--target", "numpy", "--json").json
    assert data["memory"]["sizes"] == {"N": 1} and data["memory"]["entries"]["main"]["peak"] > 0
    assert {"counts", "events"} < set(data)
