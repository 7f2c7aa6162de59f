"""Models are found where TensorFlow Serving's config and the folders say, and refused with a reason."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from humandetect.errors import ModelError, ModelNotFound
from humandetect.models import find as models
from humandetect.models.config_file import read_models_config
from humandetect.models.find import bundled, find_model, list_models
from humandetect.models.metadata import ModelMetadata, verify
from tests.models.model_folders import make_model


def config(name: str = "people", base_path: str = "/models/people", more: str = "") -> str:
    return f'model_config_list {{ config {{ name: "{name}" base_path: "{base_path}" {more} }} }}'


class TestNames:
    def test_newest_version_wins_and_what_is_no_version_is_passed_over(self, folder: Path) -> None:
        for version in ("2", "10", "9"):
            make_model(folder / "people" / version)
        (folder / "people" / "11").mkdir()
        make_model(folder / "people" / "draft")

        found = find_model("people", folder)

        assert (found.name, found.version, found.path) == ("people", "10", folder / "people" / "10")
        assert found.metadata == ModelMetadata()

    def test_option_goes_before_environment_before_working_folder_before_package(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert find_model("human_detection").path == bundled("models") / "human_detection" / "2"

        here = folder.parent / "models"
        make_model(here / "human_detection" / "5")
        assert find_model("human_detection").version == "5"

        make_model(folder.parent / "environment" / "human_detection" / "3")
        monkeypatch.setenv("HUMANDETECT_MODELS_DIR", str(folder.parent / "environment"))
        assert find_model("human_detection").version == "3"

        make_model(folder / "human_detection" / "4")
        assert find_model("human_detection", folder).version == "4"

    def test_packaged_model_is_found_beside_a_models_folder_of_something_else(self, folder: Path) -> None:
        make_model(folder.parent / "models" / "cats" / "1")

        assert find_model("human_detection").path.parent.parent == bundled("models")
        assert [model.name for model in list_models()] == ["cats", "human_detection", "movenet_multipose"]

    def test_chosen_folder_is_the_only_one(self, folder: Path) -> None:
        with pytest.raises(ModelNotFound, match=r"no model 'human_detection': no such path, and .*chosen has none"):
            find_model("human_detection", folder)

    def test_missing_models_folder_is_named(self, folder: Path) -> None:
        with pytest.raises(ModelNotFound, match=r"models folder .*gone.* does not exist; check --models-dir"):
            find_model("people", folder / "gone")

    def test_message_lists_what_there_is(self, folder: Path) -> None:
        make_model(folder / "cats" / "1")
        make_model(folder / "dogs")

        with pytest.raises(ModelNotFound, match="has cats, dogs"):
            find_model("people", folder)

    @pytest.mark.parametrize("name", ["../secret", "..", "people/../../secret", "a\0b", "x" * 5000, ""])
    def test_names_do_not_leave_the_models_folder(self, name: str, folder: Path) -> None:
        make_model(folder.parent / "secret" / "1")

        with pytest.raises((ModelNotFound, ModelError)):
            find_model(name, folder)

    def test_list_leaves_out_what_cannot_be_used_and_says_so(
        self, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        make_model(folder / "good" / "1")
        make_model(folder / "broken" / "1", "{")
        (folder / "notes.txt").touch()
        (folder / "models.config").write_text(config("absent"), encoding="utf-8")

        with caplog.at_level(logging.WARNING):
            assert [model.name for model in list_models(folder)] == ["good"]

        assert "model broken is left out" in caplog.text
        assert "model absent is left out" in caplog.text


class TestPaths:
    def test_version_folder_model_folder_and_graph_are_the_same_model(self, folder: Path) -> None:
        version = make_model(folder / "people" / "7")

        for path in (version, version.parent, version / "saved_model.pb"):
            found = find_model(str(path))
            assert (found.name, found.version, found.path) == ("people", "7", version)

    def test_savedmodel_without_a_version(self, folder: Path) -> None:
        exported = make_model(folder / "exported", {"default_score": 0.4})

        found = find_model("chosen/exported")

        assert (found.name, found.version, found.path) == ("exported", "", exported)
        assert found.metadata.preset.default_score == 0.4

    def test_frozen_graph(self, folder: Path) -> None:
        graph = folder / "frozen_inference_graph.pb"
        graph.write_bytes(b"graph")

        found = find_model(str(graph))

        assert (found.name, found.version, found.path) == ("frozen_inference_graph", "", graph)
        assert found.metadata == ModelMetadata()
        verify(found)

    def test_path_in_the_working_folder_needs_no_slash(self, folder: Path) -> None:
        make_model(folder / "1")

        assert find_model("chosen").path == folder / "1"

    def test_other_files_and_empty_folders_are_refused(self, folder: Path) -> None:
        (folder / "model.keras").touch()

        with pytest.raises(ModelError, match=r"model\.keras is not a model: expected a SavedModel folder or a frozen"):
            find_model(str(folder / "model.keras"))
        with pytest.raises(ModelError, match=r"holds no model: expected a version, as in chosen/1/saved_model\.pb"):
            find_model(str(folder))
        (folder / "person.xml").touch()
        with pytest.raises(ModelError, match=r"or give a file of it: \S+/chosen/person\.xml"):
            find_model(str(folder))


class TestConfig:
    def test_existing_base_path_goes_before_the_models_folder(self, folder: Path) -> None:
        elsewhere = folder.parent / "elsewhere"
        make_model(elsewhere / "3")
        make_model(folder / "people" / "1")
        (folder / "models.config").write_text(config(base_path=str(elsewhere)), encoding="utf-8")

        assert find_model("people", folder).path == elsewhere / "3"

    def test_missing_base_path_means_the_folder_of_that_name(self, folder: Path) -> None:
        make_model(folder / "people" / "1")
        (folder.parent / "models.config").write_text(config(), encoding="utf-8")

        assert find_model("people", folder).path == folder / "people" / "1"

    def test_both_places_are_named_if_neither_exists(self, folder: Path) -> None:
        (folder / "models.config").write_text(config(), encoding="utf-8")

        with pytest.raises(ModelNotFound, match=r"neither its base_path /models/people nor .*chosen/people exists"):
            find_model("people", folder)

    def test_specific_versions_are_kept_to(self, folder: Path) -> None:
        for version in ("1", "2", "3"):
            make_model(folder / "people" / version)
        more = "model_version_policy { specific { versions: 1 versions: 2 } }"
        (folder / "models.config").write_text(config(more=more), encoding="utf-8")
        assert find_model("people", folder).version == "2"

        (folder / "models.config").write_text(config(more=more.replace("1", "8").replace(": 2", ": 9")), "utf-8")
        with pytest.raises(ModelError, match="expected version 8 or 9; versions there: 1, 2, 3"):
            find_model("people", folder)

    def test_everything_tensorflow_serving_writes_is_read(self, folder: Path) -> None:
        path = folder / "models.config"
        path.write_text(
            """
            # two models
            model_config_list: {
              config: { name: 'people', base_path: "/models/" 'people'; model_platform: "tensorflow"
                model_version_policy < specific: { versions: [1, 2] } >
                version_labels { key: "stable" value: 1 } version_labels { key: "canary" value: 2 }
                logging_config { sampling_config { sampling_rate: 0.1 } }
              },
              config { name: "say \\"hi\\"" base_path: "here" model_version_policy { all {} } }
            }
            """,
            encoding="utf-8",
        )

        people, quoted = read_models_config(path)

        assert (people.name, str(people.base_path), people.versions) == ("people", "/models/people", (1, 2))
        assert (quoted.name, quoted.base_path, quoted.versions) == ('say "hi"', folder / "here", ())

    @pytest.mark.parametrize(
        ("text", "line", "reason"),
        [
            ("model_config_list {\n config {", 2, 'Expected "}"'),
            ("model_config_list {}\n}", 2, "Expected identifier or number, got }"),
            ('model_config_list {\n config { name "people" } }', 2, 'Expected ":"'),
            ("model_config_list { config { name: people } }", 1, "Expected string but found: 'people'"),
            ("model_config_list { config { name: {} } }", 1, "Expected string but found: '{'"),
            ("model_config_list { config: 3 }", 1, 'Expected "{"'),
            ("model_config_list { config { name: ", 1, "Expected string"),
            ('model_config_list { config { name: "people\n" } }', 1, "String missing ending quote"),
            ('model_config_list { config { name: "\\377" } }', 1, "Couldn't parse string"),
            ("model_config_list ( )", 1, 'Expected "{"'),
            ("models {}", 1, "unknown field models, expected custom_model_config or model_config_list"),
            ('\nmodel_config_list { config { nmae: "people" } }', 2, "unknown field nmae, expected base_path or"),
            ('model_config_list { config { name: "people" } }', 1, "a config needs a base_path"),
            ('model_config_list { config { base_path: "/models" } }', 1, "a config needs a name"),
            (config("../people"), 1, "'../people' is no model name"),
            (config(more="model_version_policy { newest {} }"), 1, "unknown field newest, expected all or latest or"),
            (config(more="model_version_policy { specific { versions: [1 2] } }"), 1, 'Expected ","'),
            (config(more='model_version_policy { specific { versions: "1" } }'), 1, "Couldn't parse integer"),
            (config(more='base_path: "here"'), 1, "should not have multiple \"base_path\" fields"),
            (config() + "\n" + config(), 2, "should not have multiple \"model_config_list\" fields"),
            (
                'model_config_list {\n # config {\n config { name: "config {" base_path: "/" }\n config {} }', 4,
                "a config needs a name",
            ),
            (
                'model_config_list {\n config { name: "a" base_path: "/" }\n config: <name: "a" base_path: "/">\n}', 3,
                "a second model named 'a'",
            ),
            ("\nmodel_config_list { config: [{}] }", 1, "a config needs a name"),
            ("a {" * 100_000, 1, "unknown field a"),
        ],
    )  # fmt: skip
    def test_mistakes_are_shown_by_line_and_reason(self, text: str, line: int, reason: str, tmp_path: Path) -> None:
        path = tmp_path / "models.config"
        path.write_text(text, encoding="utf-8")

        with pytest.raises(ModelError) as caught:
            read_models_config(path)

        assert str(caught.value).startswith(f"{path}, line {line}: ")
        assert reason in str(caught.value)

    def test_unreadable_config_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "models.config").write_bytes(b"\xff")

        for path in (tmp_path / "models.config", tmp_path / "gone.config"):
            with pytest.raises(ModelError, match=r"\.config cannot be read"):
                read_models_config(path)


def test_installed_copy_goes_before_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "humandetect" / "_bundled" / "models").mkdir(parents=True)
    monkeypatch.setattr(models, "__file__", str(tmp_path / "humandetect" / "models" / "find.py"))

    assert bundled("models") == tmp_path / "humandetect" / "_bundled" / "models"
    assert bundled("examples/plaza.mp4") == tmp_path / "examples" / "plaza.mp4"


def test_looking_for_models_loads_nothing_heavy() -> None:
    code = (
        "import sys, humandetect.models.find as m; m.list_models(); "
        "print({'numpy', 'tensorflow', 'av'} & {*sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


@pytest.mark.parametrize("asked", ["people/1", "models/people/1", "gone/people/1"])
def test_a_version_that_is_not_there_says_which_are(
    asked: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUMANDETECT_MODELS_DIR", str(folder))
    make_model(folder / "people" / "2")
    with pytest.raises(ModelNotFound, match="people version 1 is not there; there is version 2: use --model people"):
        find_model(asked)
    make_model(folder / "people" / "10")
    with pytest.raises(ModelNotFound, match="there are versions 2, 10: use --model people for version 10"):
        find_model(asked)


def test_a_link_to_nowhere_is_told_as_that(folder: Path) -> None:
    (folder / "people.onnx").symlink_to("/gone/people.onnx")
    with pytest.raises(ModelNotFound, match=r"it is a link to /gone/people\.onnx, which is not there"):
        find_model(str(folder / "people.onnx"))


def test_versions_without_their_graph_are_named(folder: Path) -> None:
    (folder / "people" / "2" / "saved_model.pb").mkdir(parents=True)
    (folder / "people" / "10").mkdir()
    (folder / "people" / "10" / "saved_model.pb").symlink_to("/gone/saved_model.pb")
    with pytest.raises(ModelError, match=r"versions there: none \(saved_model\.pb is missing, or no file, in 2, 10\)"):
        find_model("people", folder)


def test_a_home_that_nobody_has_is_told(folder: Path) -> None:
    with pytest.raises(ModelNotFound, match="no model '~nobody-here/people': "):
        find_model("~nobody-here/people", folder)
    with pytest.raises(ModelNotFound, match="the models folder '~nobody-here' does not exist"):
        find_model("people", Path("~nobody-here"))
