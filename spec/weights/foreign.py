"""Files that hold weights in a form that is not read here: which one it is, and how to get safetensors out of it."""

from __future__ import annotations

from pathlib import Path

from .errors import WeightsError

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
RECIPE = (
    'python -c "import sys, torch, safetensors.torch as s; '
    "d = torch.load(sys.argv[1], 'cpu', weights_only=True); d = d.get('state_dict', d); "
    's.save_file({k: v.contiguous().clone() for k, v in d.items()}, sys.argv[2])" WEIGHTS.pt WEIGHTS.safetensors'
)
"""One line for a shell. File names are arguments of it, never a part of the code. The clone parts tensors that share
memory, which safetensors refuses."""

PICKLE_REFUSED = (
    "pickles are not read, for they run code when they are; turn the file into safetensors where you trust it:\n"
    f"  {RECIPE}"
)

_BEGINNINGS = (
    (b"PK\x03\x04", f"no safetensors file but an archive, as torch.save writes them; {PICKLE_REFUSED}"),
    (b"\x80\x02", f"no safetensors file but a pickle; {PICKLE_REFUSED}"),
    (b"\x80\x04", f"no safetensors file but a pickle; {PICKLE_REFUSED}"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself; `git lfs pull` fetches it"),
    (b"\x89HDF", "an HDF5 file, which is not read; save the weights as .safetensors or .npz"),
    (b"GGUF", "a GGUF file, which is not read; the original weights are published as .safetensors"),
    (b"\x93NUMPY", "a single array; numpy.savez keeps the names of several in an .npz"),
    (b"<!DOCTYPE", "a web page, not the file that was to be downloaded"),
    (b"<html", "a web page, not the file that was to be downloaded"),
)
_SUFFIXES = {
    **dict.fromkeys(PICKLED, PICKLE_REFUSED),
    ".weights": "a .weights file has neither keys nor shapes; it is read for a model that declares a flat layout",
}
_LONGEST = max(len(beginning) for beginning, _ in _BEGINNINGS)


def refuse_suffix(path: Path) -> None:
    """Raises `WeightsError` for a name that says what is not read."""
    reason = _SUFFIXES.get(path.suffix.lower())
    if reason is not None:
        raise WeightsError(f"{path}: {reason}")


def refuse_beginning(path: Path, beginning: bytes) -> None:
    """Raises `WeightsError` for first bytes that no safetensors file has, but files do that are taken for one."""
    for known, reason in _BEGINNINGS:
        if beginning.startswith(known):
            raise WeightsError(f"{path}: {reason}")


def beginning_of(path: Path) -> bytes:
    """The bytes that `refuse_beginning` looks at. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(_LONGEST)
