"""The text form of programs: prints, and parses back to the same program.

    program "double"

    parameter "w": float32[3] init "ones" @"double.yaml":4:5 "scale"

    entry "main" [N, T: 1..1024] {
      input %0 "x": float32[N, T, 3] range 0..9
      param %1 "w": float32[3]
      guard N == 2*T
      %2 = broadcast(%1) {shape: [N, T, 3], axes: [2]} : float32[N, T, 3] @"double.yaml":5:3 "scale"
      %3 = mul(%0, %2) : float32[N, T, 3]
      output "y" %3
    }

Sections: parameter, state, prepare, function, entry, in this order. Values are numbered in order of definition.
Optional operands are named (``bias=%3``), attributes that have their default are left out, regions stand behind the
node as blocks of their own. A comment runs from ``#`` to the end of the line.
"""

from .parser import TextError, parse_program
from .printer import neighbourhood, print_graph, print_program

__all__ = ["TextError", "neighbourhood", "parse_program", "print_graph", "print_program"]
