"""Scopes with a graph: blocks and entries."""

from __future__ import annotations

from .base import Model, NameTable, SymbolTable
from .declarations import ArgDecl, ConstantDecl, Inputs, ParamDecl
from .formulas import StaticFormula, StaticValue
from .nodes import NodeField
from .operands import OperandField
from .scalars import Prose


class Block(Model):
    """A reusable graph. Without `outputs` its value is that of its last node, with them a record."""

    what = "a block"

    doc: Prose | None = None
    args: NameTable[ArgDecl] | None = None
    let: NameTable[StaticValue] | None = None
    inputs: Inputs | None = None
    params: NameTable[ParamDecl] | None = None
    constants: NameTable[ConstantDecl] | None = None
    graph: list[NodeField]
    outputs: NameTable[OperandField] | None = None


class Entry(Model):
    """A further program over the parameters of the document."""

    what = "an entry"

    doc: Prose | None = None
    inputs: Inputs | None = None
    dims: SymbolTable[tuple[StaticFormula, StaticFormula]] | None = None
    params: NameTable[ParamDecl] | None = None
    constants: NameTable[ConstantDecl] | None = None
    graph: list[NodeField]
    outputs: NameTable[OperandField]
