"""Guards look at the repository and at the built files. GUARD_BUILD: build folder (default build/release)."""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from repository import TOP  # noqa: E402


@pytest.fixture(scope="session")
def build():
    folder = Path(os.environ.get("GUARD_BUILD") or TOP / "build" / "release").resolve()
    assert (folder / "mosquitto_guard.so").is_file(), f"build it first: cmake --preset release ({folder})"
    return folder
