"""A check looks at every form of a document, and says each mistake once."""

from __future__ import annotations

from pathlib import Path

import netwright as nw
from netwright.driver.check import Report, check

HEAD = "netwright: 1\nname: t\n"


def checked(tmp_path: Path, text: str) -> Report:
    path = tmp_path / "t.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    return check("t.yaml", lambda: nw.load(path))


def messages(report: Report) -> list[tuple[str, tuple[str, ...]]]:
    return [(problem.diagnostic.message, problem.variants) for problem in report.problems]


def test_a_mistake_of_one_variant(tmp_path: Path) -> None:
    report = checked(
        tmp_path,
        "args: {act: {type: op, default: relu}}\nvariants: {good: {act: tanh}, bad: {act: tanhh}}\n"
        "inputs: {x: 'float[N, 2]'}\ngraph:\n  - {op: $act}\n  - {op: linear, name: y, features: 3}\noutputs: {y: y}\n",
    )
    ((message, variants),) = messages(report)
    assert "tanhh" in message and variants == ("bad",)
    assert "with the variant bad" in report.text() and "t.yaml: 1 mistake" in report.text()
    assert report.parameters == {"": 9, "good": 9}


def test_a_mistake_of_all_forms_is_said_once(tmp_path: Path) -> None:
    report = checked(
        tmp_path,
        "args: {n: 2}\nvariants: {two: {n: 2}, three: {n: 3}}\ninputs: {x: 'float[N, n]'}\n"
        "graph:\n  - tanhh\n  - {op: linear, name: y, features: 3}\noutputs: {y: y}\n",
    )
    assert [variants for _, variants in messages(report)] == [("", "two", "three")]
    assert "variant" not in report.text()


def test_what_happens_when_optional_inputs_are_given_is_checked(tmp_path: Path) -> None:
    report = checked(
        tmp_path,
        "inputs: {x: 'float[N, 2]', mask?: 'float[N, 3]'}\ngraph:\n"
        "  - {name: y, value: x if mask == null else x * mask}\noutputs: {y: y}\n",
    )
    ((message, _),) = messages(report)
    assert "3" in message and "2" in message


def test_required_args_that_every_variant_gives(tmp_path: Path) -> None:
    text = "args: {n: int}\nvariants: {one: {n: 1}, two: {n: 2}}\ninputs: {x: 'float[N, n]'}\n"
    text += "graph:\n  - {op: linear, name: y, features: 1}\noutputs: {y: y}\n"
    report = checked(tmp_path, text)
    assert report.problems == () and report.parameters == {"one": 2, "two": 3}
    assert report.sentence() == "no mistakes; parameters: one 2, two 3"
    without = checked(tmp_path, text.replace("variants: {one: {n: 1}, two: {n: 2}}\n", ""))
    assert "needs the arg `n`" in without.text()


def test_a_library_is_no_mistake(tmp_path: Path) -> None:
    report = checked(tmp_path, "").problems
    assert len(report) == 1  # a library has no name
    path = tmp_path / "l.yaml"
    path.write_text("netwright: 1\nblocks: {b: {inputs: {x: any}, graph: [relu]}}\n", encoding="utf-8")
    assert check("l.yaml", lambda: nw.load(path)).sentence() == "a library of 1 block, checked where they are called"


def test_a_document_that_cannot_be_read(tmp_path: Path) -> None:
    report = checked(tmp_path, "graph: [\n")
    assert len(report.problems) == 1 and report.parameters == {}
    data = report.as_data()
    assert not data["valid"] and data["parameters"] is None and data["errors"][0]["line"] > 0


def test_warnings(tmp_path: Path) -> None:
    report = checked(
        tmp_path,
        "inputs: {x: 'float[N, 2]'}\ngraph:\n  - {op: linear, name: idle, features: 3}\n"
        "  - {name: y, value: x + 1}\noutputs: {y: y}\n",
    )
    assert report.problems == () and any("idle.weight" in warning for warning in report.warnings)
