"""Files, libraries and the zoo: what is found, and what never leaves the root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netwright.spec.diagnostics import LimitError, SpecError
from netwright.spec.load import LoadedDocument, load_document, load_model
from netwright.spec.model import ModelPart
from netwright.spec.zoo_index import find, zoo_names

MODEL = "netwright: 1\nname: m\ninputs: {x: any}\ngraph:\n  - {op: relu, name: y}\noutputs: {y: y}\n"
LIBRARY = "netwright: 1\nblocks: {b: {graph: [relu]}}\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def including(**files: str) -> str:
    return MODEL + "include: {" + ", ".join(f"{name}: '{file}'" for name, file in files.items()) + "}\n"


def refused(name: str | Path, root: Path | None = None, zoo: Path | None = None) -> SpecError:
    with pytest.raises(SpecError) as caught:
        load_document(name, root, zoo=zoo) if zoo else load_document(name, root)
    return caught.value


def test_document_with_libraries(tmp_path: Path) -> None:
    top = write(tmp_path / "m.yaml", including(a="lib/a.yaml", b="lib/b.yaml"))
    write(tmp_path / "lib/a.yaml", LIBRARY + "include: {b: b.yaml}\n")
    write(tmp_path / "lib/b.yaml", LIBRARY)
    loaded = load_document(top)
    assert loaded.document.name == "m"
    assert loaded.label == "m.yaml"
    assert loaded.text.startswith("netwright: 1")
    assert loaded.root == tmp_path.resolve()
    assert list(loaded.includes) == ["a", "b"]
    assert loaded.includes["a"].includes["b"] is loaded.includes["b"]
    assert loaded.includes["b"].label == "lib/b.yaml"
    assert loaded.includes["b"].source.name == str(tmp_path / "lib/b.yaml")


def test_upwards_within_a_given_root(tmp_path: Path) -> None:
    top = write(tmp_path / "models/m.yaml", including(a="../blocks/a.yaml"))
    write(tmp_path / "blocks/a.yaml", LIBRARY)
    assert load_document(top, tmp_path).includes["a"].label == "blocks/a.yaml"
    error = refused(top)
    assert "leads outside the folder of the spec" in str(error)
    assert str(error.diagnostics[0].span).endswith("m.yaml:7:14")
    assert "outside the root" in str(refused(top, tmp_path / "blocks"))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("/etc/passwd", "is absolute"),
        ("../outside.yaml", "leads outside the folder"),
        ("a/../../outside.yaml", "leads outside the folder"),
        ("../../../../../../etc/passwd", "leads outside the folder"),
        ("link.yaml", "leads outside the folder"),
        ("folder/outside.yaml", "leads outside the folder"),
        ("C:\\a.yaml", "has a character"),
        ("C:/a.yaml", "has a character"),
        ("~/a.yaml", "has a character"),
        ("loop.yaml", "leads nowhere|there is no file|cannot be read"),
        ("sub", "no regular file|cannot be read"),
        ("pipe.yaml", "no regular file"),
        ("nowhere.yaml", "there is no file `nowhere.yaml`"),
        ("x" * 300 + ".yaml", "there is no file"),
        ("model.yaml", "is a model, not a library"),
    ],
)
def test_paths_stay_inside(tmp_path: Path, file: str, message: str) -> None:
    root = tmp_path / "root"
    top = write(root / "m.yaml", including(a=file))
    write(tmp_path / "outside.yaml", LIBRARY)
    write(root / "model.yaml", MODEL)
    (root / "sub").mkdir()
    (root / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    (root / "folder").symlink_to(tmp_path)
    (root / "loop.yaml").symlink_to(root / "loop.yaml")
    os.mkfifo(root / "pipe.yaml")
    (diagnostic,) = refused(top).diagnostics
    assert any(part in diagnostic.message for part in message.split("|"))
    assert str(diagnostic.span).endswith("m.yaml:7:14")


def test_a_link_inside_the_root_is_followed(tmp_path: Path) -> None:
    top = write(tmp_path / "m.yaml", including(a="link.yaml"))
    write(tmp_path / "a.yaml", LIBRARY)
    (tmp_path / "link.yaml").symlink_to("a.yaml")
    assert load_document(top).includes["a"].label == "a.yaml"


def test_missing_files_suggest_the_nearest(tmp_path: Path) -> None:
    top = write(tmp_path / "m.yaml", including(a="atention.yaml"))
    write(tmp_path / "attention.yaml", LIBRARY)
    assert refused(top).diagnostics[0].hint == "did you mean `attention.yaml`?"
    error = refused(tmp_path / "n.yaml")
    assert str(error).startswith(f"{tmp_path / 'n.yaml'}: error: there is no such file")
    assert "no regular file" in str(refused(tmp_path))


def test_circles_are_printed(tmp_path: Path) -> None:
    top = write(tmp_path / "m.yaml", including(a="a.yaml"))
    write(tmp_path / "a.yaml", LIBRARY + "include: {b: b.yaml}\n")
    write(tmp_path / "b.yaml", LIBRARY + "include: {a: a.yaml}\n")
    (diagnostic,) = refused(top).diagnostics
    assert diagnostic.message == "the documents refer to each other in a circle: a.yaml -> b.yaml -> a.yaml"
    assert str(diagnostic.span).endswith("b.yaml:3:14")


def test_depth_is_limited(tmp_path: Path) -> None:
    top = write(tmp_path / "m.yaml", including(a="l0.yaml"))
    for number in range(15):
        write(tmp_path / f"l{number}.yaml", LIBRARY + f"include: {{a: l{number + 1}.yaml}}\n")
    last = write(tmp_path / "l15.yaml", LIBRARY)
    error = refused(top)
    assert isinstance(error, LimitError)
    assert error.limit == "include-depth"
    write(tmp_path / "l14.yaml", LIBRARY)
    last.unlink()
    assert load_document(top)


def test_mistakes_of_all_files_come_together(tmp_path: Path) -> None:
    top = write(tmp_path / "m.yaml", including(a="a.yaml", b="b.yaml", c="c.yaml"))
    write(tmp_path / "a.yaml", LIBRARY + "bogus: 1\n")
    write(tmp_path / "b.yaml", "a: 1\na: 2\n")
    assert [Path(one.span.source.name).name for one in refused(top).diagnostics] == ["a.yaml", "b.yaml", "m.yaml"]


def test_large_files_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    error = refused(path)
    assert isinstance(error, LimitError)
    assert error.limit == "text"


def part(loaded: LoadedDocument, name: str) -> ModelPart:
    assert loaded.document.parts is not None
    found = loaded.document.parts[name]
    assert isinstance(found, ModelPart)
    return found


def test_models_of_parts(tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    write(zoo / "images/net.yaml", MODEL + "variants: {net50: {}}\n")
    parts = "parts: {a: {model: sub/n.yaml}, b: {model: zoo:net50}, c: {model: lib.yaml}, d: {model: m.yaml}}\n"
    top = load_document(write(tmp_path / "spec/m.yaml", MODEL + parts), zoo=zoo)
    write(tmp_path / "spec/sub/n.yaml", MODEL)
    write(tmp_path / "spec/lib.yaml", LIBRARY)
    assert load_model(top, part(top, "a").model).label == "sub/n.yaml"
    found = load_model(top, part(top, "b").model)
    assert (found.label, found.variant, found.root) == ("images/net.yaml", "net50", zoo.resolve())
    for name, message in [("c", "is a library, not a model"), ("d", "in a circle: m.yaml -> m.yaml")]:
        with pytest.raises(SpecError, match=message) as caught:
            load_model(top, part(top, name).model)
        assert caught.value.diagnostics[0].span.start_line == 7


def test_zoo_names(tmp_path: Path) -> None:
    write(
        tmp_path / "a/resnet.yaml",
        MODEL + "variants:\n\n  # small\n  resnet18: {}\n  resnet34: {d: [1]}\n\nargs: {d: [1]}\n",
    )
    write(tmp_path / "b/gpt.yaml", MODEL + "variants: {gpt: {}, gpt_xl: {}}\n")
    write(tmp_path / "b/broken.yaml", MODEL + "variants: {a: *x}\n")
    assert list(zoo_names(tmp_path)) == ["broken", "gpt", "gpt_xl", "resnet", "resnet18", "resnet34"]
    loaded = load_document("zoo:resnet34", zoo=tmp_path)
    assert (loaded.variant, loaded.label, loaded.source.name) == ("resnet34", "a/resnet.yaml", "zoo/a/resnet.yaml")
    assert load_document("zoo:resnet", zoo=tmp_path).variant is None
    assert load_document("zoo:gpt", zoo=tmp_path).variant == "gpt"
    error = refused("zoo:resnet43", zoo=tmp_path)
    assert str(error).splitlines() == [
        "zoo:resnet43: error: the zoo has no `resnet43`",
        "      hint: did you mean `resnet34`?",
    ]
    assert "is an alias" in str(refused("zoo:broken", zoo=tmp_path))


def test_a_name_for_two_documents_of_the_zoo(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", MODEL + "variants: {x: {}}\n")
    write(tmp_path / "b.yaml", MODEL + "variants: {x: {}}\n")
    with pytest.raises(SpecError, match="stands for several documents of the zoo: a.yaml and b.yaml"):
        find("x", zoo=tmp_path)
