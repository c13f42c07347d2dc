"""The intermediate representation: dimensions, types, ops, graphs, programs."""

from .dims import AnyDim, Dim, Shape, Symbol, Undecided, symbol
from .graph import Builder, Graph, Guard, Loc, Node, Value
from .op import Access, Cost, ErrorSample, Op, OpError, Precision, Sample, Shapes, Size, Sizes
from .program import Entry, Parameter, Port, Program, State
from .sharding import Axes, Placement, Sharding
from .types import DType, Literal, TensorType

__all__ = [
    "Access",
    "AnyDim",
    "Axes",
    "Builder",
    "Cost",
    "DType",
    "Dim",
    "Entry",
    "ErrorSample",
    "Graph",
    "Guard",
    "Literal",
    "Loc",
    "Node",
    "Op",
    "OpError",
    "Parameter",
    "Placement",
    "Port",
    "Precision",
    "Program",
    "Sample",
    "Shape",
    "Shapes",
    "Sharding",
    "Size",
    "Sizes",
    "State",
    "Symbol",
    "TensorType",
    "Undecided",
    "Value",
    "symbol",
]
