"""What a Triton kernel of ours is: its text, its arguments, the tiles it may run with, and how it is launched.

A kernel is written through a `Draft`, which gives names to what the text needs from outside: pointers ``x0``, ``x1``
... in the order of first use, sizes ``s0``, ``s1`` .... Names depend on nothing else, so equal work gives equal text,
and equal texts are one kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal as OneOf

from ...compiler.ir import AnyDim, Dim, DType
from ...compiler.ir.dims import Extreme, FloorDiv, Symbol, bounds
from .arrays import Array

WIDE = "WIDE"
"""A constant that kernels with long offsets have: whether they count in 64 bits. The launcher sets it."""
LONG_TEXT = "2**31 - 2**20"
LONG = 2**31 - 2**20
"""Elements of an array from which on kernels count in 64 bits: the last tile may reach past the end, and Triton's tiles
have 2^20 elements at most. Below it every offset, and every stride that is not multiplied by 0, fits 32 bits."""
INTERPRETED = "INTERPRETED"
"""A constant that kernels may have: whether the interpreter runs them (its 16-bit `tl.dot` is wrong)."""


@dataclass(frozen=True)
class Config:
    """One choice of tiles: the constants of the kernel by name, warps and pipeline stages."""

    constants: Mapping[str, int]
    warps: int = 4
    stages: int = 2


@dataclass(frozen=True)
class Argument:
    """What a kernel gets at run time. Pointers are aligned to 16 bytes; bool is in memory as int8."""

    name: str
    kind: OneOf["pointer", "int", "float"]
    dtype: DType | None = None
    written: bool = False


@dataclass(frozen=True)
class Kernel:
    """``text`` is the whole function with its decorator. Two kernels with one text are one.

    ``configs[0]`` is what runs without tuning; ``interpreted`` has tiles for the interpreter, whose time goes by
    operations. ``special`` are the constants that the launcher sets: `WIDE`, `INTERPRETED`.
    """

    name: str
    text: str
    arguments: tuple[Argument, ...]
    configs: tuple[Config, ...]
    interpreted: Config
    special: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tiles:
    """How many tiles cover ``size``: ``ceil(size / block)``, where ``block`` names a constant of the config."""

    size: AnyDim
    block: str


GridAxis = tuple["AnyDim | Tiles | str", ...]
"""The product of these; a text names a constant of the config (the parts of a split, ...)."""


@dataclass(frozen=True, eq=False)
class Launch:
    """One run of a kernel: arguments in its order (arrays by the start of their buffer, sizes), and the grid.

    ``extents`` are counts of elements; where one of them reaches `LONG` the kernel counts in 64 bits.
    """

    kernel: Kernel
    arguments: tuple[Array | AnyDim, ...]
    grid: tuple[GridAxis, ...]
    writes: tuple[Array, ...]
    extents: tuple[AnyDim, ...] = ()


@dataclass
class Draft:
    """A kernel under construction. ``label`` is the first part of its name, ``constants`` its tile sizes."""

    label: str
    constants: tuple[str, ...] = ()
    lines: list[str] = field(default_factory=list)
    pointers: dict[object, tuple[str, Array]] = field(default_factory=dict)
    sizes: dict[Symbol | FloorDiv | Extreme, str] = field(default_factory=dict)
    helpers: set[str] = field(default_factory=set)
    special: set[str] = field(default_factory=set)
    written: list[Array] = field(default_factory=list)
    extents: list[AnyDim] = field(default_factory=list)
    indent: str = "    "
    count: int = 0

    def fresh(self, letter: str = "t") -> str:
        """A name that nothing else in the kernel has."""
        self.count += 1
        return f"{letter}{self.count}"

    def add(self, *lines: str) -> None:
        """Append lines at the present depth."""
        self.lines += [self.indent + line for line in lines]

    def let(self, text: str, letter: str = "t") -> str:
        """Append ``name = text``; returns the fresh name."""
        name = self.fresh(letter)
        self.add(f"{name} = {text}")
        return name

    def deeper(self, levels: int = 1) -> None:
        """Indent what follows (negative: go back)."""
        self.indent = " " * (len(self.indent) + 4 * levels)

    def pointer(self, array: Array) -> str:
        """The argument that points to the start of the array's buffer."""
        key = array.buffer
        if key not in self.pointers:
            self.pointers[key] = (f"x{len(self.pointers)}", array)
            self.extents.append(array.buffer.elements)
        name, first = self.pointers[key]
        assert first.dtype is array.dtype, "one buffer, one dtype"
        return name

    def write(self, array: Array) -> str:
        """As `pointer`, for an array that the kernel fills or changes."""
        self.written.append(array)
        return self.pointer(array)

    def size(self, size: AnyDim) -> str:
        """A size as text. Symbols become arguments, known factors stay numbers, so that the compiler sees them."""
        if isinstance(size, int):
            return str(size)
        parts: list[str] = []
        for monomial, factor in size.terms:
            names = [self.sizes.setdefault(atom, f"s{len(self.sizes)}") for atom in monomial]
            number = abs(factor)
            text = " * ".join([*names, str(number)] if number != 1 or not names else names)
            sign = "-" if factor < 0 else "+"
            parts.append(f" {sign} {text}" if parts else f"-{text}" if factor < 0 else text)
        text = "".join(parts)
        return text if text.isidentifier() else f"({text})"

    def helper(self, name: str) -> str:
        """The name of a function of `device.py`, which the module will hold."""
        self.helpers.add(name)
        return name

    def wide(self, name: str, text: str) -> None:
        """``name = text``, a program's number, widened where offsets are long."""
        self.add(f"{name} = {text}", f"\0{name}")

    def launch(
        self,
        grid: Sequence[Sequence[AnyDim | Tiles | str]],
        configs: Iterable[Config],
        interpreted: Config,
        doc: str = "",
    ) -> Launch:
        """The finished kernel (its ``name`` is still the label) with its arguments and grid."""
        filled = {array.buffer for array in self.written}
        arguments = [
            Argument(name, "pointer", array.dtype, array.buffer in filled) for name, array in self.pointers.values()
        ]
        arguments += [Argument(name, "int", DType.INT32) for name in self.sizes.values()]
        given: list[Array | AnyDim] = [array for _, array in self.pointers.values()]
        given += [_dim(atom) for atom in self.sizes]
        body = self._widened()
        special = tuple(sorted(self.special))
        names = [each.name for each in arguments]
        names += [f"{name}: tl.constexpr" for name in (*self.constants, *special)]
        plain = ", ".join(f'"{name}"' for name in self.sizes.values())
        decorator = f"@triton.jit(do_not_specialize=[{plain}])" if plain else "@triton.jit"
        head = [decorator, f"def {{name}}({', '.join(names)}):"]
        if doc:
            head.append(f'    """{doc}"""')
        text = "\n".join([*head, *body])
        kernel = Kernel(
            self.label, text, tuple(arguments), tuple(configs), interpreted, special, tuple(sorted(self.helpers))
        )
        extents = tuple(self.extents) if WIDE in self.special else ()
        return Launch(kernel, tuple(given), tuple(map(tuple, grid)), tuple(self.written), extents)

    def _widened(self) -> list[str]:
        """The lines, with 64-bit counting where an array may need it."""
        most = max((bounds(extent)[1] for extent in self.extents), default=0)
        body: list[str] = []
        for line in self.lines:
            if "\0" not in line:
                if line.strip() == f"if {WIDE}:":
                    self.special.add(WIDE)
                body.append(line)
            elif most >= LONG:
                self.special.add(WIDE)
                indent, name = line.split("\0")
                body += [f"{indent}if {WIDE}:", f"{indent}    {name} = {name}.to(tl.int64)"]
        if WIDE in self.special and self.sizes:
            # A stride may be a product of sizes.
            body = [
                f"    if {WIDE}:",
                *(f"        {name} = {name}.to(tl.int64)" for name in self.sizes.values()),
                *body,
            ]
        return body


def _dim(atom: Symbol | FloorDiv | Extreme) -> AnyDim:
    return Dim((((atom,), 1),))
