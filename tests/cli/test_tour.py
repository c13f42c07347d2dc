"""The tour: every target on real pictures, and what it says where one is missing."""

from __future__ import annotations

import pytest

from netwright.backends import registry
from netwright.backends.onnx import OnnxBackend
from netwright.cli.commands import tour
from netwright.driver import tour as driven
from netwright.driver.tour import targets

from .conftest import Cli

STOPS = tour.STOPS


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the small network, and no GPU."""
    monkeypatch.setattr(tour, "STOPS", tour.STOPS[:1])
    monkeypatch.setattr(type(registry.get("triton")), "unready", lambda backend: "no GPU")


@pytest.mark.usefixtures("short")
def test_every_installed_target_agrees(cli: Cli) -> None:
    rows = cli("tour", "--json").json
    installed = [target.name for target in targets() if not target.missing]
    assert [row["target"] for row in rows] == [*installed, "onnxruntime"]
    for row in rows:
        assert row["model"] == "lenet5" and row["agrees"] and row["problem"] is None
        assert row["read"] == row["truth"] == list(range(10))
        assert row["max_relative_error"] < 1e-5 and row["seconds"] > 0 and row["bytes"] > 61_706 * 4


@pytest.mark.usefixtures("short")
def test_without_jax_the_tour_names_its_extra(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = "the jax target needs JAX: pip install 'netwright[jax]'"
    monkeypatch.setattr(type(registry.get("jax")), "unavailable", lambda backend: missing)
    out = cli("tour").fine()
    assert "lenet5" in out and "numpy" in out and "onnx" in out
    assert f"jax is left out: {missing}" in out
    assert "weights are random" in out
    assert "3 of 3 agree" in out and "30 of 30 digits are read as what they are" in out
    assert max(map(len, out.splitlines())) <= max(80, len(missing) + 20)


@pytest.mark.usefixtures("short")
def test_a_target_that_fails_is_a_row(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise registry.BackendError("the dog ate it")

    monkeypatch.setattr(OnnxBackend, "emit", broken)
    monkeypatch.setattr(type(registry.get("jax")), "unavailable", lambda backend: "not here")
    ended = cli("tour")
    assert ended.code == 1
    assert "lenet5 on onnx: the dog ate it" in ended.out and "2 of 3 agree" in ended.out


def test_the_pictures_are_there() -> None:
    assert all(path.is_file() for path in (*tour.DIGITS, tour.PHOTOGRAPH))


@pytest.mark.usefixtures("short")
def test_a_text_goes_on_letter_by_letter(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same letters on every target: the loop, the cache and the draws are in the graph."""
    monkeypatch.setattr(tour, "STOPS", STOPS[-1:])
    rows = cli("tour", "--json").json
    installed = [target.name for target in targets() if not target.missing]
    assert [(row["model"], row["target"]) for row in rows] == [
        ("gpt_lecture", target) for target in (*installed, "onnxruntime")
    ]
    assert all(row["agrees"] and row["max_relative_error"] == 0 for row in rows)


@pytest.mark.usefixtures("short")
def test_without_tokenizers_the_text_is_left_out(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tour, "STOPS", (STOPS[0], STOPS[-1]))
    monkeypatch.setattr(driven, "_reads_texts", lambda: False)
    monkeypatch.setattr(tour, "tour", lambda stops, names, tell: iter(()))
    assert "gpt_lecture is left out: the package tokenizers reads texts" in cli("tour").fine()
