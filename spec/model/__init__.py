"""The validated document: what the YAML says, with the place of everything."""

from .blocks import Block, Entry
from .declarations import ArgDecl, ConstantDecl, Initializer, InputDecl, Inputs, ParamDecl, StateDecl
from .document import Document
from .formulas import FieldValue, Formula, StaticFormula, StaticValue, Text
from .nodes import RESERVED_KEYS, BlockNode, Node, NodeNames, NodePath, OpNode, PartNode, Scan, ValueNode
from .operands import Operand, OperandList, OperandRecord
from .parts import BlockPart, ModelPart, OpPart, PartDecl
from .types import AnyType, RecordType, TensorType, TypeExpr

__all__ = [
    "RESERVED_KEYS",
    "AnyType",
    "ArgDecl",
    "Block",
    "BlockNode",
    "BlockPart",
    "ConstantDecl",
    "Document",
    "Entry",
    "FieldValue",
    "Formula",
    "Initializer",
    "InputDecl",
    "Inputs",
    "ModelPart",
    "Node",
    "NodeNames",
    "NodePath",
    "OpNode",
    "OpPart",
    "Operand",
    "OperandList",
    "OperandRecord",
    "ParamDecl",
    "PartDecl",
    "PartNode",
    "RecordType",
    "Scan",
    "StateDecl",
    "StaticFormula",
    "StaticValue",
    "TensorType",
    "Text",
    "TypeExpr",
    "ValueNode",
]
