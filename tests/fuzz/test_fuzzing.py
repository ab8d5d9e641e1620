"""
Runs each libFuzzer target of the fuzz build for a while, beginning with its seeds. GUARD_FUZZ_SECONDS: how long each (10).
The seeds alone are replayed in every ordinary build, by ctest.
"""
import os
import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("GUARD_BUILD") or TOP / "build/fuzz").resolve()
SECONDS = int(os.environ.get("GUARD_FUZZ_SECONDS", "10"))


def targets():
    """(program, folder of seeds) of every guard_fuzz_target."""
    for listing in sorted(Path(__file__).parent.glob("*/CMakeLists.txt")):
        for name, seeds in re.findall(r"guard_fuzz_target\(\s*(\w+).*?SEEDS ([\w/]+)", listing.read_text(), re.S):
            yield pytest.param(BUILD / "tests/fuzz" / listing.parent.name / name, listing.parent / seeds, id=name)


@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("program,seeds", targets())
def test_target(program, seeds, tmp_path):
    assert program.is_file(), f"build it first: cmake --preset fuzz && cmake --build --preset fuzz ({program})"
    corpus = tmp_path / "new"
    corpus.mkdir()
    # a file, to be looked at while half an hour goes by, and kept with --basetemp
    log = tmp_path / "log"
    with log.open("w", encoding="utf-8") as out:
        done = subprocess.run([program, f"-max_total_time={SECONDS}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", corpus, seeds],
                              cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=out, check=False)
    said = log.read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, said[-6000:]
    units = re.search(r"stat::number_of_executed_units: (\d+)", said)
    # the slowest target writes files and compiles policies, hundreds of times a second where nothing else runs
    assert units and int(units.group(1)) > 200, "hardly anything was tried"
