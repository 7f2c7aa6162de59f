"""A scene on a frame: where its shapes are drawn, and what is told of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from humandetect.config import SceneCheckConfig
from humandetect.errors import UsageError
from humandetect.media.images import decode_image
from humandetect.pipeline.scene_check import check_scene
from tests.builders import make_clip
from tests.media.clips import PAL_WIDE, write_anamorphic

if TYPE_CHECKING:
    from pathlib import Path

SCENE = 'size = [640, 480]\n[[line]]\nname = "gate"\nfrom = [64, 240]\nto = [576, 240]\n'


@pytest.fixture
def config(tmp_path: Path) -> SceneCheckConfig:
    (tmp_path / "scene.toml").write_text(SCENE)
    clip = make_clip(tmp_path / "door.mp4", width=320, height=240)
    return SceneCheckConfig(tmp_path / "scene.toml", str(clip), output=tmp_path / "checked.png")


def test_lines_are_drawn_in_the_pixels_of_the_source_with_an_arrow_up(config: SceneCheckConfig) -> None:
    assert check_scene(config) == ()
    drawn = decode_image(config.output.read_bytes(), max_megapixels=1).astype(int)
    config.scene.write_text("size = [640, 480]\n")
    check_scene(config)
    plain = decode_image(config.output.read_bytes(), max_megapixels=1).astype(int)
    rows, columns = np.nonzero(np.abs(drawn - plain).max(axis=2) > 40)
    assert (columns.min(), columns.max()) == (pytest.approx(32, abs=4), pytest.approx(288, abs=4))
    above, below = 120 - rows.min(), rows.max() - 120
    assert above > 2 * below


def test_what_lies_partly_outside_is_a_warning(config: SceneCheckConfig) -> None:
    config.scene.write_text(SCENE.replace("576", "700"))
    (warning,) = check_scene(config)
    assert "'gate' lies partly outside the picture" in warning


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("640, 480", "640, 360", r"scene\.toml:4: drawn on a picture of 640x360"),
        ("576, 240", "64, 240", r"scene\.toml:4: line 'gate' has no length"),
        ("name", "nmae", r"scene\.toml:3: .*did you mean 'name'"),
    ],
)
def test_a_scene_that_makes_no_sense_there_is_refused(config: SceneCheckConfig, old: str, new: str, told: str) -> None:
    config.scene.write_text(SCENE.replace(old, new))
    with pytest.raises(UsageError, match=told):
        check_scene(config)
    assert not config.output.exists()


def test_a_picture_has_an_ending_that_says_its_format(config: SceneCheckConfig) -> None:
    with pytest.raises(UsageError, match=r"one of \.jpg, .* by its ending, got .*checked\.toml"):
        check_scene(SceneCheckConfig(config.scene, config.ref, output=config.output.with_suffix(".toml")))


def test_the_picture_is_as_wide_as_people_see_it(config: SceneCheckConfig) -> None:
    clip = write_anamorphic(config.output.with_name("dvd.mp4"), size=(320, 240))
    check_scene(replace(config, ref=str(clip)))
    assert decode_image(config.output.read_bytes(), max_megapixels=1).shape[:2] == (240, round(320 * PAL_WIDE))
