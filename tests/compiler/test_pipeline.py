"""The list of passes: what runs, what a target may choose, what is written and reported."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from netwright.compiler import pipeline
from netwright.compiler.explain import explain
from netwright.compiler.ir import Node, Program
from netwright.compiler.ir.text import parse_program, print_program
from netwright.compiler.ir.verify import VerifyError, verify
from netwright.compiler.passes.context import Context, Event
from netwright.compiler.passes.legalize import LegalizeError
from netwright.compiler.pipeline import STEPS, PipelineError, Step, plan, run

from .running import assert_same, program

NETWORK = """
parameter "conv.weight": float32[6, 3, 3, 3] init "he"
parameter "conv.bias": float32[6] init "zeros"
parameter "bn.weight": float32[6] init "ones"
parameter "bn.bias": float32[6] init "zeros"
parameter "bn.mean": float32[6] init "zeros" frozen
parameter "bn.var": float32[6] init "ones" frozen
parameter "fc.weight": float32[10, 6] init "he"

function "stem" [N] {
  input %0: float32[N, 3, 8, 8]
  input %1: float32[6, 3, 3, 3]
  input %2: float32[6]
  %3 = conv(%0, %1) {stride: [2, 2], padding: [[1, 1], [1, 1]]} : float32[N, 6, 4, 4] @"m.yaml":3:4 "conv"
  %4 = reshape(%2) {shape: [6, 1, 1]} : float32[6, 1, 1] @"m.yaml":3:4 "conv"
  %5 = broadcast(%4) {shape: [N, 6, 4, 4], axes: [1, 2, 3]} : float32[N, 6, 4, 4] @"m.yaml":3:4 "conv"
  %6 = add(%3, %5) : float32[N, 6, 4, 4] @"m.yaml":3:4 "conv"
  output %6
}

entry "main" [N] {
  input %0 "x": float32[N, 3, 8, 8]
  param %1 "conv.weight": float32[6, 3, 3, 3]
  param %2 "conv.bias": float32[6]
  param %3 "bn.weight": float32[6]
  param %4 "bn.bias": float32[6]
  param %5 "bn.mean": float32[6]
  param %6 "bn.var": float32[6]
  param %7 "fc.weight": float32[10, 6]
  %8 = call(%0, %1, %2) {function: "stem", types: [float32[N, 6, 4, 4]]} : float32[N, 6, 4, 4] @"m.yaml":9:4 "stem"
  %9 = normalize_batch(%8, scale=%3, shift=%4, %5, %6) : float32[N, 6, 4, 4] @"m.yaml":10:4 "bn"
  %10 = relu(%9) : float32[N, 6, 4, 4] @"m.yaml":11:4
  %11 = reduce_mean(%10) {axes: [2, 3]} : float32[N, 6] @"m.yaml":12:4 "pool"
  %12 = dot(%11, %7) {lhs_contract: [1], rhs_contract: [1]} : float32[N, 10] @"m.yaml":13:4 "fc"
  %13 = softmax(%12) : float32[N, 10] @"m.yaml":14:4 "p"
  output "p" %13
}
"""


def primitives_only(node: Node) -> str | None:
    return "a composite" if node.op.is_composite() else None


def names(**options: frozenset[str]) -> list[str]:
    return [step.name for step in plan(Context(**options))]  # type: ignore[arg-type]


def test_the_order() -> None:
    order = names()
    assert order.index("inline") == 0
    assert order.index("fold_weights") < order.index("legalize") < order.index("hoist")
    assert order[-1] == "dce"
    assert all(step.why for step in STEPS)


def test_a_network_becomes_what_its_target_takes() -> None:
    before = program(NETWORK)
    context = Context(claims=primitives_only, debug=True)
    after = run(before, context)
    assert_same(before, after)
    ops = [node.op.name for node in after.entries["main"].graph.nodes]
    assert not after.functions and "normalize_batch" not in ops
    assert ops.count("conv") == 1 and ops.count("mul") <= 1 and "sqrt" not in ops
    assert set(after.entries["main"].params) == {"conv.weight.packed", "bn.bias.packed", "fc.weight"}
    locs = {str(node.loc) for node in after.entries["main"].graph.nodes if node.op.name == "conv"}
    assert locs == {"m.yaml:3:4 (stem.conv)"}


def test_a_target_that_emits_functions_keeps_them() -> None:
    before = program(NETWORK)
    after = run(before, Context(claims=primitives_only, forbids=frozenset({"inline"}), debug=True))
    assert list(after.functions) == ["stem"]
    # Passes work on functions too: the reshape before the broadcast is gone.
    assert [node.op.name for node in after.functions["stem"].nodes] == ["conv", "broadcast", "add"]
    assert_same(before, after)


def test_forbidding_all_that_can_be() -> None:
    before = program(NETWORK)
    optional = frozenset(step.name for step in STEPS if step.optional)
    context = Context(claims=primitives_only, forbids=optional)
    assert {step.name for step in plan(context)} == {"legalize", "dce"}
    assert_same(before, run(before, context))


def test_what_is_claimed_stays() -> None:
    after = run(program(NETWORK), Context(debug=True))
    assert {"relu", "softmax", "reduce_mean"} <= {node.op.name for node in after.entries["main"].graph.nodes}


@pytest.mark.parametrize(
    ("requires", "forbids", "message"),
    [
        ({"inlin"}, set(), "toy names the pass 'inlin', which there is not; did you mean inline?"),
        (set(), {"zzz"}, r"which there is not \(they are shard, roll, inline, precision"),
        ({"cse"}, {"cse"}, "toy requires and forbids cse"),
        (set(), {"legalize"}, "toy forbids legalize, which every target needs"),
    ],
)
def test_choices_that_cannot_be(requires: set[str], forbids: set[str], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        run(program(NETWORK), Context("toy", requires=frozenset(requires), forbids=frozenset(forbids)))


def test_steps_off_by_default_run_when_required(monkeypatch: pytest.MonkeyPatch) -> None:
    def extra(program: Program, context: Context) -> Program:
        return program

    monkeypatch.setattr(pipeline, "STEPS", (*STEPS, Step(extra, "for this test", default=False)))
    assert "extra" not in names()
    assert names(requires=frozenset({"extra"}))[-1] == "extra"


def test_a_pass_that_breaks_the_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaking(program: Program, context: Context) -> Program:
        return parse_program(print_program(program).replace("tanh(%0) : float32[4]", "tanh(%0) : float32[5]"))

    monkeypatch.setattr(pipeline, "STEPS", (Step(breaking, "for this test"),))
    small = program('entry "main" {\ninput %0 "x": float32[4]\n%1 = tanh(%0) : float32[4]\noutput "y" %1\n}')
    with pytest.raises(VerifyError, match="after breaking: entry 'main', tanh: gives"):
        run(small, Context(debug=True))
    run(small, Context())


def test_dumps(tmp_path: Path) -> None:
    after = run(program(NETWORK), Context(claims=primitives_only, dump_dir=tmp_path / "new"))
    files = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert files[:2] == ["00_input.txt", "01_inline.txt"] and len(files) == len(plan(Context())) + 1
    assert (tmp_path / "new" / "00_input.txt").read_text() == print_program(program(NETWORK))
    assert (tmp_path / "new" / files[-1]).read_text() == print_program(after)
    for name in files:
        verify(parse_program((tmp_path / "new" / name).read_text()), name)


def test_running_twice_gives_the_same() -> None:
    texts = {print_program(run(program(NETWORK), Context(claims=primitives_only))) for _ in range(2)}
    assert len(texts) == 1
    once = run(program(NETWORK), Context(claims=primitives_only))
    twice = run(once, Context(claims=primitives_only, debug=True))
    assert [n.op for n in twice.entries["main"].graph.nodes] == [n.op for n in once.entries["main"].graph.nodes]


def test_hash_seeds_do_not_show(tmp_path: Path) -> None:
    (tmp_path / "network.txt").write_text(print_program(program(NETWORK)))
    code = (
        "import sys\n"
        "from netwright.compiler.ir.text import parse_program, print_program\n"
        "from netwright.compiler.passes.context import Context\n"
        "from netwright.compiler.pipeline import run\n"
        "context = Context(claims=lambda node: 'a composite' if node.op.is_composite() else None)\n"
        "print(print_program(run(parse_program(open(sys.argv[1]).read()), context)), end='')"
    )
    wanted = print_program(run(program(NETWORK), Context(claims=primitives_only)))
    for seed in ("0", "1"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code, str(tmp_path / "network.txt")]
        assert subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout == wanted


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_a_target_lacks_is_one_clear_error(dtype: str) -> None:
    def claims(node: Node) -> str | None:
        return "no product on this chip" if node.op.name == "dot" else primitives_only(node)

    text = f"""entry "main" [N] {{
      input %0 "x": {dtype}[N, 4]
      %1 = dot(%0, %0) {{lhs_contract: [1], rhs_contract: [1]}} : {dtype}[N, N] @"m.yaml":7:5 "fc"
      output "y" %1
    }}"""
    with pytest.raises(LegalizeError) as caught:
        run(program(text), Context("chip", claims))
    wanted = f"m.yaml:7:5 (fc): chip cannot compute dot({dtype}[N, 4], {dtype}[N, 4]): no product on this chip"
    assert str(caught.value).replace("float32[N, 4]", f"{dtype}[N, 4]") == wanted


def test_explain_puts_equal_events_together() -> None:
    context = Context(claims=primitives_only)
    run(program(NETWORK), context)
    found = explain(context.log)
    assert found.counts["fold_weights"] == {"rewritten": 1, "refused": 0}
    (line,) = [line for line in found.lines if line.pass_name == "fold_weights"]
    assert line.what == "add, normalize_batch folded into the weights of conv" and line.count == 1
    assert str(line.places[0]) == "m.yaml:3:4 (stem.conv)"
    events = [Event("p", "refused", "a", "why") for _ in range(20)]
    assert explain(events).lines[0].count == 20
    data = found.to_json()
    assert data["counts"] == found.counts and len(data["events"]) == len(found.lines)


def test_the_compiler_knows_nothing_above_it() -> None:
    folder = Path(pipeline.__file__).parent
    for path in folder.rglob("*.py"):
        depth = len(path.relative_to(folder).parts) - 1
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level <= depth + 1, f"{path} imports from above the compiler"
