"""Random programs: every pass, and all of them together, keep what is computed; the text form keeps everything."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from netwright.compiler.ir import Node
from netwright.compiler.ir.text import parse_program, print_program
from netwright.compiler.ir.verify import verify
from netwright.compiler.passes.context import Context
from netwright.compiler.pipeline import STEPS, run

from .random_programs import programs
from .running import assert_same

PASSES = {step.name: step.run for step in STEPS}
# Without shrinking, which takes minutes: the text of a failing program is short enough to cut down by hand.
QUIET = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def primitives_only(node: Node) -> str | None:
    return "a composite" if node.op.is_composite() else None


@QUIET
@given(programs())
def test_the_text_form(text: str) -> None:
    program = parse_program(text)
    verify(program)
    assert print_program(program) == text


@pytest.mark.parametrize("name", PASSES)
def test_each_pass(name: str) -> None:
    @QUIET
    @given(programs())
    def check(text: str) -> None:
        program = parse_program(text)
        after = PASSES[name](program, Context(claims=primitives_only))
        verify(after, name)
        assert_same(program, after, 1e-9)

    check()


@settings(QUIET, max_examples=150)
@given(programs(24))
def test_all_passes(text: str) -> None:
    program = parse_program(text)
    after = run(program, Context(claims=primitives_only, debug=True))
    assert_same(program, after, 1e-9)
    assert print_program(run(program, Context(claims=primitives_only))) == print_program(after)
