"""Tests of guardctl as its users run it. GUARD_BUILD: build folder (default build/release, else build/dev)."""
import os
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


def build_folder():
    named = os.environ.get("GUARD_BUILD")
    candidates = [Path(named)] if named else [TOP / "build/release", TOP / "build/dev"]
    for folder in candidates:
        if (folder / "guardctl").is_file():
            return folder.resolve()
    pytest.fail(f"no guardctl in {', '.join(map(str, candidates))}: build first, or set GUARD_BUILD", pytrace=False)
    return None


@pytest.fixture(scope="session")
def executable():
    return build_folder() / "guardctl"


@pytest.fixture
def guardctl(executable, tmp_path):
    """guardctl(argument…, stdin="") -> CompletedProcess; runs in tmp_path."""

    def run(*arguments, stdin=""):
        command = [executable, *map(str, arguments)]
        return subprocess.run(command, input=stdin, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.fixture
def policy(tmp_path):
    """policy(text) -> name of a policy file in tmp_path with that text."""

    def write(text, name="policy.conf"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o640)  # as is expected where there are password hashes
        return name

    return write
