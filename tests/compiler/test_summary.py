"""What a program holds and costs; how long values live."""

from __future__ import annotations

import json

import pytest

from netwright.compiler.live import peak
from netwright.compiler.summary import summarize

from .running import LOOP_AND_BRANCH, program
from .test_pipeline import NETWORK


def test_a_network() -> None:
    found = summarize(program(NETWORK), {"N": 2})
    conv, product = 2 * 6 * 16 * 27, 2 * 10 * 6
    assert found.parameters == 6 * 27 + 6 + 6 + 6 + 60 and found.buffers == 12
    assert found.parameter_bytes == 4 * (found.parameters + found.buffers)
    assert found.macs == conv + product
    assert found.flops > 2 * found.macs
    (entry,) = found.entries
    groups = {group.label: group for group in entry.groups}
    assert list(groups) == ["stem", "bn", "(relu)", "pool", "fc", "p"]
    assert groups["stem"].parameters == 6 * 27 + 6 and groups["stem"].macs == conv
    assert groups["bn"].parameters == 12 and groups["bn"].buffers == 12
    assert groups["fc"].macs == product and groups["fc"].output == "float32[2, 10]"
    assert groups["(relu)"].result_bytes == 4 * 2 * 6 * 16
    assert sum(group.macs for group in entry.groups) == found.macs
    json.dumps(found.to_json())


def test_groups_can_be_finer() -> None:
    (entry,) = summarize(program(NETWORK), depth=2).entries
    assert entry.groups[0].label == "stem.conv" and entry.groups[0].parameters == 6 * 27 + 6


def test_sizes_default_to_one_and_are_checked() -> None:
    assert summarize(program(NETWORK)).sizes == {"N": 1}
    text = 'entry "main" [N: 4..8] {\ninput %0 "x": float32[N]\n%1 = exp(%0) : float32[N]\noutput "y" %1\n}'
    assert summarize(program(text)).flops == 4
    assert summarize(program(text), {"N": 8}).flops == 8
    with pytest.raises(ValueError, match="N is 9; it lies between 4 and 8"):
        summarize(program(text), {"N": 9})


def test_loops_count_their_steps_and_conditions_their_dearer_branch() -> None:
    found = summarize(program(LOOP_AND_BRANCH), {"T": 10})
    assert found.flops == 10 * 8 + 8
    assert found.nodes == 4


def test_functions_are_counted_once_and_multiplied() -> None:
    layers = 2000
    body = "\n".join(
        f'%{at + 1} = call(%{at}) {{function: "f", types: [float32[N, 64]]}} : float32[N, 64] @"":1:1 "layer.{at}"'
        for at in range(layers)
    )
    text = f"""function "f" [N] {{
      input %0: float32[N, 64]
      %1 = gelu(%0) : float32[N, 64]
      %2 = dot(%1, %1) {{lhs_contract: [0], rhs_contract: [0]}} : float32[64, 64]
      %3 = dot(%1, %2) {{lhs_contract: [1], rhs_contract: [0]}} : float32[N, 64]
      output %3
    }}
    entry "main" [N] {{
      input %0 "x": float32[N, 64]
      {body}
      output "y" %{layers}
    }}"""
    big = program(text)
    found = summarize(big, {"N": 8})
    assert found.macs == layers * 2 * 8 * 64 * 64
    assert found.nodes == 3 * layers
    assert found.activation_bytes <= 4 * (4 * 8 * 64 + 64 * 64)
    assert [group.label for group in found.entries[0].groups] == ["layer"]


def test_what_a_function_hands_back_needs_no_memory_of_its_own() -> None:
    text = """function "inner" {
      input %0: float32[1000]
      input %1: float32[4]
      %2 = exp(%1) : float32[4]
      %3 = reshape(%0) {shape: [10, 100]} : float32[10, 100]
      output %2
      output %3
    }
    function "outer" {
      input %0: float32[1000]
      input %1: float32[4]
      %2, %3 = call(%0, %1) {function: "inner", types: [float32[4], float32[10, 100]]} : float32[4], float32[10, 100]
      output %3
      output %2
    }
    entry "main" {
      input %0 "x": float32[1000]
      input %1 "y": float32[4]
      %2, %3 = call(%0, %1) {function: "outer", types: [float32[10, 100], float32[4]]} : float32[10, 100], float32[4]
      %4 = neg(%3) : float32[4]
      output "same" %2
      output "z" %4
    }"""
    assert summarize(program(text)).activation_bytes == 16 + 16


def test_what_a_function_reads_last_is_freed_inside() -> None:
    """A program takes the same memory, cut into functions or not."""
    text = """function "f" {
      input %0: float32[1000]
      %1 = exp(%0) : float32[1000]
      %2 = neg(%1) : float32[1000]
      %3 = abs(%2) : float32[1000]
      output %3
    }
    entry "main" {
      input %0 "x": float32[1000]
      %1 = exp(%0) : float32[1000]
      %2 = call(%1) {function: "f", types: [float32[1000]]} : float32[1000]
      %3 = call(%2) {function: "f", types: [float32[1000]]} : float32[1000]
      output "y" %3
    }"""
    assert summarize(program(text)).activation_bytes == 2 * 4000
    kept = text.replace('output "y" %3', 'output "y" %3\noutput "first" %1')
    assert summarize(program(kept)).activation_bytes == 3 * 4000


def test_results_of_functions_that_nobody_reads_are_not_kept() -> None:
    text = """function "f" {
      input %0: float32[1000]
      %1 = exp(%0) : float32[1000]
      %2 = neg(%1) : float32[1000]
      %3 = abs(%2) : float32[1000]
      output %3
      output %1
    }
    entry "main" {
      input %0 "x": float32[1000]
      %1, %2 = call(%0) {function: "f", types: [float32[1000], float32[1000]]} : float32[1000], float32[1000]
      %3, %4 = call(%1) {function: "f", types: [float32[1000], float32[1000]]} : float32[1000], float32[1000]
      output "y" %3
    }"""
    assert summarize(program(text)).activation_bytes == 2 * 4000
    assert summarize(program(text.replace('"y" %3', '"y" %3\noutput "kept" %2'))).activation_bytes == 3 * 4000


def test_values_live_until_they_are_read_last() -> None:
    text = """entry "main" [N] {
      input %0 "x": float32[N]
      %1 = exp(%0) : float32[N]
      %2 = neg(%1) : float32[N]
      %3 = add(%1, %2) : float32[N]
      %4 = tanh(%3) : float32[N]
      output "y" %3
    }"""
    graph = program(text).entries["main"].graph
    assert peak(graph, {"N": 10}) == 3 * 40
    with pytest.raises(ValueError, match=r"a size of float32\[N\] is not given"):
        peak(graph, {})


def test_views_need_no_memory_and_keep_what_they_show() -> None:
    text = """entry "main" {
      input %0 "x": float32[4]
      %1 = exp(%0) : float32[4]
      %2 = broadcast(%1) {shape: [1000, 4], axes: [1]} : float32[1000, 4]
      %3 = exp(%0) : float32[4]
      %4 = reduce_sum(%2) {axes: [0, 1]} : float32[]
      output "y" %4
      output "z" %3
    }"""
    graph = program(text).entries["main"].graph
    assert peak(graph, {}) == 16 + 16 + 4
