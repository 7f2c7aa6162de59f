"""humandetect.toml: each mistake is named with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from humandetect.config import DetectConfig, FeedConfig, ServeConfig
from humandetect.config.fields import fields_of
from humandetect.config.file import SettingsFile, find_file
from humandetect.config.settings import config_of, settings_of
from humandetect.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def read(folder: Path, text: str) -> SettingsFile:
    path = folder / "humandetect.toml"
    path.write_text(text)
    return SettingsFile(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[detect]\n\nscroe = 0.4", ":3: there is no 'scroe' in [detect]: did you mean 'score'?"),
        ("[detetc]\nscore = 0.4", ":1: there is no 'detetc': did you mean 'detect'?"),
        ("score = 0.4", ":1: there is no 'score': did you mean"),
        ("[defaults]\nport = 1\nurrl = 'a'", ":3: there is no 'urrl' in [defaults]: did you mean 'url'?"),
        (
            "[serve.serving]\ntoken = 'a'\ntokn = 'b'",
            ":3: there is no 'tokn' in [serve.serving]: did you mean 'token'?",
        ),
        ("[serve]\nserving.tokn = 'b'", ":2: there is no 'tokn' in [serve.serving]: did you mean 'token'?"),
        ("[serve]\ncors-origin = [\n  'a',\n  'b',\n]\nprot = 1", ":6: there is no 'prot' in [serve]"),
        ("[serve]\nlog-format = '''json'''\nport = 'a'", ":3: port must be a whole number"),
        ("[serve]\nport = 70000", ":2: port must be a whole number, at least 0 and at most 65535, got 70000"),
        ("[serve]\nport = true", ":2: port must be a whole number"),
        ("[serve]\nport = [1]", ":2: port must be a whole number"),
        ("[serve]\nserving = 'a:1'", ":2: 'serving' in [serve] is a table"),
        ("[serve.port]\nx = 1", ":1: 'port' in [serve] is no table"),
        ("[models]\ncheck = 1", ":2: 'check' in [models] is a table"),
        ("[serve]\nport = 1\nport = 2", "is no TOML"),
        ("[detect]\nsources = ['a']", ":2: there is no 'sources' in [detect]"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/humandetect.toml")
    assert words in str(caught.value)


def test_a_secret_of_the_wrong_type_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="api-key must be text, got something else"):
        read(tmp_path, "[serve]\napi-key = 12345678\n")


def test_bytes_that_are_no_text_and_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "humandetect.toml").write_bytes(b"\xff")
    for path, words in ((tmp_path / "humandetect.toml", "UTF-8"), (tmp_path, "directory")):
        with pytest.raises(UsageError, match=words):
            SettingsFile(path)


def test_keys_may_be_written_as_options_and_as_fields(tmp_path: Path) -> None:
    for key in ("max-image-mb", "max_image_mb"):
        file = read(tmp_path, f"[serve]\n{key} = 2\n")
        assert config_of(ServeConfig, settings_of(ServeConfig, environment={}, file=file)).max_image_mb == 2


def test_times_and_paths_and_lists_are_what_they_are_elsewhere(tmp_path: Path) -> None:
    text = "[detect]\nstart = '1:30'\nresults = 'a.csv'\noutput = 'out'\n[detect.serving]\ntargets = ['a:1', 'b:2']\n"
    settings = settings_of(DetectConfig, options={("sources",): ["a.mp4"]}, environment={}, file=read(tmp_path, text))
    config = config_of(DetectConfig, settings)
    assert config.source.start_seconds == 90
    assert config.results == ("a.csv",)
    assert str(config.output) == "out"
    assert config.engine.serving.targets == ("a:1", "b:2")


def test_defaults_count_only_where_they_mean_the_same(tmp_path: Path) -> None:
    """`batch` is images an engine call for `serve`, and images a request for `feed`."""
    file = read(tmp_path, "[defaults]\nbatch = 2\nport = 9000\nevery = 3\n")
    feed = config_of(FeedConfig, settings_of(FeedConfig, environment={}, file=file))
    assert (feed.batch, feed.every) == (16, 3)
    assert config_of(ServeConfig, settings_of(ServeConfig, environment={}, file=file)).batch == 2


def test_the_file_of_this_folder_is_found_and_another_one_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_file(None, {}) is None
    read(tmp_path, "")
    (tmp_path / "a.toml").touch()
    (tmp_path / "b.toml").touch()
    for option, environment, name in [
        (None, {}, "humandetect.toml"),
        (None, {"HUMANDETECT_CONFIG": "a.toml"}, "a.toml"),
        ("b.toml", {"HUMANDETECT_CONFIG": "a.toml"}, "b.toml"),
    ]:
        file = find_file(option, environment)
        assert file is not None
        assert file.path.name == name


def test_every_key_of_a_command_says_its_own_line(tmp_path: Path) -> None:
    port = next(field for field in fields_of(ServeConfig) if field.name == "port")
    file = read(tmp_path, '# a comment\n[serve]\nhost = "\\"[x]"  # port = 1\n"port" = 2\n')
    assert file.find("serve", port) == (2, f"{tmp_path}/humandetect.toml:4")
