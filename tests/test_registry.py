"""The common form of everything that users can add to."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pytest

from mechgrok.errors import ConfigError, shown
from mechgrok.registry import Registry


def own() -> None: ...


@pytest.fixture
def colours() -> Registry:
    registry = Registry("colour", names=("red", "green"))
    registry.register("blue", own)
    return registry


def test_names_come_first_and_keep_their_order(colours):
    assert list(colours) == ["red", "green", "blue"]
    assert len(colours) == 3
    assert "blue" in colours
    assert "yellow" not in colours
    assert 3 not in colours


def test_what_is_not_registered_has_close_matches(colours):
    with pytest.raises(ConfigError, match=r"unknown colour 'bleu' \(did you mean blue"):
        colours["bleu"]
    with pytest.raises(ConfigError, match="unknown colour 3"):
        colours[3]
    with pytest.raises(ValueError, match="allowed: red, green, blue"):
        colours.check("x")


def test_own_things_are_registered_again_and_ours_are_not(colours):
    assert colours.register("blue", test_names_come_first_and_keep_their_order)
    assert colours["blue"] is test_names_come_first_and_keep_their_order
    with pytest.raises(ConfigError, match="mechgrok has a colour 'red'"):
        colours["red"] = own
    with pytest.raises(ConfigError, match="belongs to mechgrok"):
        del colours["red"]
    del colours["blue"]
    assert "blue" not in colours


@pytest.mark.usefixtures("unchecked")
def test_a_name_is_a_text(colours):
    for name in (3, "", None):
        with pytest.raises(ConfigError, match="is a text"):
            colours.register(name, own)


def test_a_home_is_imported_when_it_is_needed(tmp_path, monkeypatch):
    home = "import mechgrok.errors, shared_colours\nshared_colours.colours.register('red', mechgrok.errors.shown)\n"
    (tmp_path / "home_of_colours.py").write_text(home)
    (tmp_path / "shared_colours.py").write_text(
        "from mechgrok.registry import Registry\ncolours = Registry('colour', ('red',), 'home_of_colours')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    colours = import_module("shared_colours").colours

    assert colours.check("red") == "red"
    assert colours["red"] is shown


@dataclass
class Entry:
    function: Any
    warm: bool = False


def test_a_decorator_makes_an_entry_of_a_function():
    entries: Registry[Entry] = Registry("colour", of=Entry)

    @entries.add("orange", warm=True)
    def orange(): ...

    assert entries["orange"] == Entry(orange, warm=True)
    assert entries.add("grey")(own) is own, "what is decorated stays what it is"
    with pytest.raises(ConfigError, match=r"unknown fact about a colour 'wram'.*warm"):
        entries.add("blue", wram=True)(own)
    with pytest.raises(ConfigError, match="registered as a colour is of the class Entry; got 3"):
        entries["blue"] = 3  # pyright: ignore[reportArgumentType]


def test_a_home_without_names_is_imported_for_the_first_question(tmp_path, monkeypatch):
    (tmp_path / "home_of_shapes.py").write_text(
        "import mechgrok.errors, shared_shapes\n"
        "shared_shapes.shapes.register('round', mechgrok.errors.shown)\n"
        "if shared_shapes.broken: raise OSError('broken')\n"
    )
    (tmp_path / "shared_shapes.py").write_text(
        "from mechgrok.registry import Registry\nshapes, broken = Registry('shape', home='home_of_shapes'), [1]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    shared = import_module("shared_shapes")
    with pytest.raises(OSError, match="broken"):
        list(shared.shapes)
    shared.broken.clear()
    with pytest.raises(ConfigError, match="mechgrok has a shape 'round'"):
        shared.shapes["round"] = own
    assert list(shared.shapes) == ["round"]
