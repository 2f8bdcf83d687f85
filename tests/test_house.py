"""The picture of the house matches the package."""

import runpy
from pathlib import Path

HOUSE = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "house.py"))


def test_the_picture_is_current():
    drawn = HOUSE["PICTURE"].read_text(encoding="utf-8")
    assert drawn == HOUSE["picture"](), "run: python docs/house.py"


def test_every_room_is_in_a_layer_and_says_what_it_is():
    rooms = [room for layer in HOUSE["layers"]() for room in layer]
    package = Path(__file__).parents[1] / "mechgrok"
    there = {
        place.stem for place in package.iterdir() if place.suffix == ".py" or (place / "__init__.py").exists()
    }
    assert set(rooms) == there - {"__init__"}
    assert [room for room in rooms if len(HOUSE["sentence"](room)) < 10] == []
