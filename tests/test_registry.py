"""The one form of everything that users can add to."""

from importlib import import_module

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
