"""What `import humandetect` offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import humandetect


@pytest.mark.parametrize("name", humandetect.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(humandetect, name) is not None
    assert name in dir(humandetect)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        humandetect.nonsense  # noqa: B018


def test_importing_the_package_loads_nothing_else() -> None:
    probe = "import sys, humandetect; print(sorted(name for name in sys.modules if name.startswith('humandetect')))"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "['humandetect']"
