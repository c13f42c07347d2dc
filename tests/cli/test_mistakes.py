"""Every mistake of a person, and every trick, ends with one clear message and leaves nothing behind."""

from __future__ import annotations

import os
import resource
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from .conftest import Cli


def left(folder: Path) -> list[str]:
    """What there is in a folder, hidden files too."""
    return sorted(os.listdir(folder))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.yaml", "there is no such file"),
        ("smal.yaml", "did you mean `small.yaml`?"),
        ("", "no regular file"),
        (".", "no regular file"),
        ("a" * 5000, "the file cannot be read"),
        ("small.yaml/inside", "the file cannot be read"),
        ("binary.yaml", "not UTF-8"),
        ("empty.yaml", "is empty"),
        ("zoo:resnet51", "did you mean `resnet50`?"),
        ("zoo:", "the zoo has no"),
        ("zoo:../../etc/passwd", "the zoo has no"),
        ("/dev/zero", "no regular file"),
        ("/etc/passwd", "error"),
    ],
)
@pytest.mark.parametrize("command", ["check", "summary"])
def test_models_that_are_none(cli: Cli, spec: Path, command: str, name: str, message: str) -> None:
    (spec.parent / "binary.yaml").write_bytes(bytes(range(256)))
    (spec.parent / "empty.yaml").write_bytes(b"")
    path = name if name.startswith(("zoo:", "/")) else str(spec.parent / name)
    assert message in cli(command, path).refused()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_an_unreadable_file(cli: Cli, spec: Path) -> None:
    spec.chmod(0)
    assert "Permission denied" in cli("check", spec).refused()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--target", "nunpy"], "did you mean numpy?"),
        (["--target", ""], "no target is called ''"),
        (["--target", "../numpy"], "no target is called"),
        (["--taget", "numpy"], "--taget"),
        (["--set", "clases=4"], "did you mean `classes`?"),
        (["--set", "classes"], "write --set KEY=VALUE"),
        (["--set", "=3"], "write --set KEY=VALUE"),
        (["--set", "classes=3", "--set", "classes=4"], "--set classes is given twice"),
        (["--set", "classes=many"], "many"),
        (["--set", "classes=2.5"], "the arg `classes` is int"),
        (["--set", "classes=[1"], "--set classes"),
        (["--set", "classes=9**9**9"], "error"),
        (["--set", "classes=-1"], "error"),
        (["--set", "classes={a: &x b}"], "error"),
        (["--set", "__import__('os')=1"], "that is no name of a knob"),
        (["--set", "dims=1"], "that is no name of a knob"),
        (["--dim", "N"], "write --dim KEY=VALUE"),
        (["--dim", "N=-1"], "a size is a whole number"),
        (["--dim", "N=2.5"], "a size is a whole number"),
        (["--dim", "N=four"], "a size is a whole number"),
        (["--dim", "N=99999999999999999999"], "a size is a whole number"),
        (["--dim", "N=0"], "must lie from 1 to 100"),
        (["--dim", "N=101"], "must lie from 1 to 100"),
        (["--dim", "M=2"], "no input has the dimension `M`"),
        (["--dtype", "float23"], "did you mean `float32`?"),
        (["--dtype", "int64"], "is no float dtype"),
        (["--with", "scal"], "did you mean `scale`?"),
        (["--weights", "nothing.safetensors"], "there is no file nothing.safetensors"),
        (["--seed", "-1"], "--seed"),
        (["--seed", "x"], "--seed"),
        (["--device", "toaster"], "device"),
        (["surplus"], "surplus"),
    ],
)
def test_options_of_compile(cli: Cli, spec: Path, tmp_path: Path, words: list[str], message: str) -> None:
    folder = tmp_path / "out"
    given = [] if "--target" in words else ["--target", "numpy"]
    before = left(tmp_path)
    assert message in cli("compile", spec, "-o", folder, *given, *words).refused()
    assert left(tmp_path) == before


@pytest.mark.parametrize("words", [["compile"], ["compile", "x.yaml"], ["compile", "x.yaml", "-t", "numpy"], ["nope"]])
def test_what_is_missing_is_named(cli: Cli, words: list[str]) -> None:
    message = cli(*words).refused()
    assert len(message.strip().splitlines()) == 1
    assert "--help" in message


def test_compile_leaves_what_is_no_bundle_alone(cli: Cli, spec: Path, tmp_path: Path) -> None:
    folder, file = tmp_path / "holiday", tmp_path / "letter.txt"
    folder.mkdir()
    (folder / "photo.txt").write_text("dear")
    file.write_text("dear")
    link = tmp_path / "link"
    link.symlink_to(folder)
    for path in (folder, file, link):
        assert "exists and is no bundle" in cli("compile", spec, "-t", "numpy", "-o", path).refused()
    assert "cannot write" in cli("compile", spec, "-t", "numpy", "-o", file / "inside").refused()
    assert left(tmp_path) == ["holiday", "letter.txt", "link", "small.yaml"]
    assert left(folder) == ["photo.txt"]


def test_compile_replaces_a_bundle(cli: Cli, spec: Path, tmp_path: Path) -> None:
    for target in ("numpy", "onnx"):
        cli("compile", spec, "-t", target, "-o", tmp_path / "bundle").fine()
    assert "main.onnx" in left(tmp_path / "bundle") and "model.py" not in left(tmp_path / "bundle")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("folder.onnx", "is a folder"),
        ("model.txt", "should end in .onnx"),
        ("nowhere/model.onnx", "there is no folder"),
        ("small.yaml/model.onnx", "there is no folder"),
    ],
)
def test_places_to_export_to(cli: Cli, spec: Path, tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "folder.onnx").mkdir()
    assert message in cli("export", spec, "-o", tmp_path / path).refused()
    assert left(tmp_path) == ["folder.onnx", "small.yaml"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--opset", "3"], "opset 3"),
        (["--opset", "99"], "opset 99"),
        (["--opset", "new"], "--opset"),
        (["--entry", "man"], "did you mean 'main'?"),
    ],
)
def test_options_of_export(cli: Cli, spec: Path, tmp_path: Path, words: list[str], message: str) -> None:
    assert message in cli("export", spec, "-o", tmp_path / "m.onnx", *words).refused()
    assert left(tmp_path) == ["small.yaml"]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"a.weight": (4, 5), "a.bias": (4,), "b.weight": (3, 4)}, "missing: 1 parameter"),
        ({"a.weight": (4, 5), "a.bias": (4,), "b.weight": (3, 4), "b.bias": (3,), "c": (1,)}, "surplus: 1 key"),
        ({"a.weight": (5, 4), "a.bias": (4,), "b.weight": (3, 4), "b.bias": (3,)}, "misshapen: 1 parameter"),
    ],
)
def test_weights_that_do_not_fit(
    cli: Cli, spec: Path, tmp_path: Path, tensors: dict[str, tuple[int, ...]], message: str
) -> None:
    save_file({name: np.ones(shape, np.float32) for name, shape in tensors.items()}, tmp_path / "w.safetensors")
    words = ("-t", "numpy", "-o", tmp_path / "out", "--weights", tmp_path / "w.safetensors")
    assert message in cli("compile", spec, *words).refused()
    assert "out" not in left(tmp_path)


def test_weights_that_are_none(cli: Cli, spec: Path, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"\xff" * 100)
    for words in (["compile", spec, "-t", "numpy", "-o", tmp_path / "out"], ["run", spec, "-i", "x=random"]):
        assert "w.safetensors" in cli(*words, "--weights", file).refused()
    assert "w.safetensors" in cli("weights", "inspect", file).refused()


def bomb(path: Path, side: int) -> None:
    """A picture of a few bytes that says it is very large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Files that are no good inputs."""
    np.save(tmp_path / "wide.npy", np.zeros((2, 6), np.float32))
    np.save(tmp_path / "text.npy", np.array([["a"] * 5]))
    np.save(tmp_path / "objects.npy", np.array([[None] * 5]), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=np.zeros((1, 5)), b=np.zeros((1, 5)))
    (tmp_path / "damaged.npy").write_bytes(b"\x93NUMPY\x01\x00\xff\xffjunk")
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04junk")
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 5), }".ljust(117) + b"\n"
    (tmp_path / "huge.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "words.png").write_text("not a picture")
    Image.new("RGB", (40, 40)).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:60])
    bomb(tmp_path / "bomb.png", 60_000)
    bomb(tmp_path / "firework.png", 9_000)
    return tmp_path


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "input 'x' (float32[N, 5]) is missing: --input x="),
        ("y=[1]", "no input is called 'y'"),
        ("X=[1]", "no input is called 'X'; did you mean 'x'?"),
        ("x", "write --input KEY=VALUE"),
        ("x=", "no JSON numbers"),
        ("x=[[1, 2], [3]]", "are not equally long"),
        ("x=" + "[" * 100_000, "no JSON numbers"),
        ("x=__import__('os')", "no JSON numbers"),
        ("x=[[1, 2, 3, 4]]", "axis 1 of 'x' is 4; it must be 5"),
        ("x=[1, 2, 3, 4, 5]", "shape (5,)"),
        ('x=[["a", "b", "c", "d", "e"]]', "not float32"),
        ("x=[[null, 1, 2, 3, 4]]", "not float32"),
        ("x=FOLDER/wide.npy", "axis 1 of 'x' is 6; it must be 5"),
        ("x=FOLDER/text.npy", "not float32"),
        ("x=FOLDER/objects.npy", "no array file"),
        ("x=FOLDER/several.npz", "holds a, b; none is 'x'"),
        ("x=FOLDER/damaged.npy", "no array file"),
        ("x=FOLDER/damaged.npz", "no array file"),
        ("x=FOLDER/huge.npy", "error"),
        ("x=FOLDER/none.npy", "there is no file"),
        ("x=FOLDER/whole.png", "is a picture; input 'x' is float32[N, 5]"),
    ],
)
def test_inputs_of_numbers(cli: Cli, spec: Path, inputs: Path, value: str | None, message: str) -> None:
    given = [] if value is None else ["--input", value.replace("FOLDER", str(inputs))]
    output = inputs / "y.npz"
    assert message in cli("run", spec, *given, "-o", output).refused()
    assert not output.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.png", "there is no file"),
        ("folder.png", "is no regular file"),
        ("words.png", "cannot be read as a picture"),
        ("half.png", "cannot be read as a picture"),
        ("bomb.png", "exceeds limit"),
        ("firework.png", "9000 x 9000 pixels; 64,000,000 are the most"),
    ],
)
def test_inputs_of_pictures(cli: Cli, inputs: Path, name: str, message: str) -> None:
    assert message in cli("run", "zoo:lenet5", "-i", f"image={inputs / name}").refused()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--entry", "mian"], "did you mean 'main'?"),
        (["-o", "FOLDER/y.txt"], "should end in .npz"),
        (["-o", "FOLDER/nowhere/y.npz"], "there is no folder"),
        (["-o", "FOLDER"], "should end in .npz"),
        (["--dim", "M=3"], "no dimension is called 'M'"),
        (["--dim", "N=1000"], "must lie from 1 to 100"),
        (["--target", "jaxx"], "did you mean jax?"),
    ],
)
def test_options_of_run(cli: Cli, spec: Path, tmp_path: Path, words: list[str], message: str) -> None:
    words = [word.replace("FOLDER", str(tmp_path)) for word in words]
    assert message in cli("run", spec, "-i", "x=random", *words).refused()
    assert left(tmp_path) == ["small.yaml"]


def test_bundles_that_are_none(cli: Cli, spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    assert "is no bundle" in cli("run", tmp_path).refused()
    cli("compile", spec, "-t", "numpy", "-o", folder).fine()
    assert "is a bundle" in cli("run", folder, "-i", "x=random", "--set", "classes=4").refused()
    assert "is a bundle" in cli("run", folder, "-i", "x=random", "--target", "onnx").refused()
    source = folder / "model.py"
    source.write_text(source.read_text().replace("import", "import os, ", 1))
    assert "model.py" in cli("run", folder, "-i", "x=random").refused()


def test_an_index_out_of_range(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(
        "netwright: 1\ninputs:\n  ids: {type: 'int64[N]', range: [0, 6]}\ngraph:\n"
        "  - {op: embedding, name: e, rows: 7, features: 2}\noutputs: {e: e}\n"
    )
    cli("run", path, "-i", "ids=[6]").fine()
    assert "'ids' must lie from 0 to 6; found 7 to 7" in cli("run", path, "-i", "ids=[7]").refused()
    assert "'ids' must lie from 0 to 6" in cli("run", path, "-i", "ids=[-1]").refused()
    assert "not int64" in cli("run", path, "-i", "ids=[0.5]").refused()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["verify", "--targets", "numpi"], "did you mean numpy?"),
        (["verify", "--targets", ","], "names nothing"),
        (["verify", "--dim", "K=1"], "no dimension is called 'K'"),
        (["verify", "--dim", "N=101"], "must lie from 1 to 100"),
        (["summary", "--dim", "N=0"], "must lie from 1 to 100"),
        (["summary", "--depth", "0"], "--depth"),
        (["ir", "--after", "simplfy"], "did you mean 'simplify'?"),
        (["ir", "--target", "c"], "no target is called 'c'"),
        (["explain", "--target", "c"], "no target is called 'c'"),
        (["bench", "--targets", ""], "names nothing"),
        (["bench", "--targets", "numpy", "--against", "tensorflow"], "no peer is called 'tensorflow'"),
        (["bench", "--targets", "numpy", "--rounds", "0"], "--rounds"),
        (["bench", "--targets", "numpy", "--threads", "0"], "--threads"),
        (["bench", "--targets", "numpy", "--entry", "x"], "has no entry 'x'"),
    ],
)
def test_options_of_other_commands(cli: Cli, spec: Path, words: list[str], message: str) -> None:
    command, *rest = words
    assert message in cli(command, spec, *rest).refused()


def test_sizes_beyond_this_machine_are_refused_before_anything_is_allocated(cli: Cli) -> None:
    assert "needs about" in cli("verify", "zoo:mlp", "--targets", "numpy", "--dim", "N=2000000000").refused()
    assert "needs about" in cli("bench", "zoo:mlp", "--targets", "numpy", "--dim", "N=2000000000").refused()
    assert "needs about" in cli("verify", "zoo:gpt3", "--targets", "numpy").refused()
    found = cli("summary", "zoo:mlp", "--dim", "N=2000000000", "--json").json
    assert found["macs"] == 2_000_000_000 * (784 * 16 + 16 * 16 + 16 * 10)


def test_names_are_shown_as_they_are(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "[red]x[%].yaml"
    path.write_text('netwright: 1\nsummary: "\x1b"\ngraph: [nope]\noutputs: {y: y}\n')
    message = cli("check", path).refused()
    assert "[red]x[%].yaml" in message and "\x1b" not in message


def process(*words: object, **options: object) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-c", "from netwright.cli.main import main; main()", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    def shrink() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    for words in (["compile", "zoo:lenet5", "-t", "numpy", "-o"], ["export", "zoo:lenet5", "-o"]):
        path = tmp_path / "out.onnx"
        child = process(*words, path, preexec_fn=shrink)
        out, err = child.communicate(timeout=120)
        assert child.returncode == 1, (out, err)
        assert "cannot write" in err and "Traceback" not in err and "defect" not in err
        assert left(tmp_path) == []


def test_a_closed_pipe_is_no_mistake() -> None:
    child = process("ir", "zoo:resnet50")
    assert child.stdout is not None and child.stderr is not None
    assert child.stdout.readline().startswith("program")
    child.stdout.close()
    assert child.wait(timeout=120) in (0, 1)
    assert child.stderr.read() == ""
    child.stderr.close()


def test_an_interrupt_stops_at_once() -> None:
    child = process("verify", "zoo:resnet50", "--targets", "numpy", "--dim", "H=224", "--dim", "W=224")
    time.sleep(3)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, (out, err)
    assert err.strip().endswith("stopped") and "Traceback" not in err
