"""Form: formatting, sizes, and words that do not belong into a repository."""
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from repository import LAYERS, TOP, read, sources, tracked


def test_formatting():
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not tool or " 14." not in subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("clang-format 14 is not installed; other versions format differently")
    files = [str(p) for p in sources(".c", ".h")]
    told = subprocess.run([tool, "--dry-run", "-Werror", *files], capture_output=True, text=True, cwd=TOP, check=False)
    wrong = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error", told.stderr, re.M)))
    assert not wrong, f"clang-format -i {' '.join(wrong)}"


def test_shell_scripts():
    scripts = [p for p in tracked() if p.suffix == ".sh" or read(p).startswith(("#!/bin/sh", "#!/usr/bin/env bash"))
               if p.suffix not in (".md", ".c", ".h", ".py")]
    assert scripts
    read_by_others = {Path(name).name for path in scripts for name in re.findall(r'^\s*\. "?\S*/([\w.-]+\.sh)"?$', read(path), re.M)}
    for path in scripts:
        first = read(path).splitlines()[0]
        assert first in ("#!/bin/sh", "#!/usr/bin/env bash"), path
        shell = "bash" if "bash" in first else "sh"
        told = subprocess.run([shell, "-n", TOP / path], capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr
        executable = bool((TOP / path).stat().st_mode & 0o111)
        assert executable != (path.name in read_by_others), f"{path}: what is run is executable, what is read with `.` is not"


def test_python_compiles():
    for path in sources(".py"):
        compile(read(path), str(path), "exec")


FILE_LINES, FUNCTION_LINES, PARAMETERS = 500, 80, 6


def test_file_sizes():
    wrong = [f"{p}: {len(read(p).splitlines())} lines" for p in sources(".c", ".h", ".py", ".sh")
             if len(read(p).splitlines()) > FILE_LINES]
    assert not wrong, wrong


def functions():
    """(place, name, lines, signature) of every C function, by universal-ctags."""
    files = [str(p) for p in sources(".c", under=LAYERS)]
    told = subprocess.run(["ctags", "-x", "--c-kinds=f", "--fields=+eS", "--_xformat=%{input}:%n\t%{end}\t%N\t%{signature}", *files],
                          capture_output=True, text=True, cwd=TOP, check=True)
    for line in told.stdout.splitlines():
        place, end, name, signature = line.split("\t")
        yield place, name, int(end or 0) - int(place.rsplit(":", 1)[1]) + 1, signature


def parameters(signature):
    """How many a signature has; those of a callback among them, and "...", do not count."""
    inner = signature.strip()[1:-1]
    while re.search(r"\([^()]*\)", inner):
        inner = re.sub(r"\([^()]*\)", "", inner)
    return len([p for p in inner.split(",") if p.strip() != "..."])


def test_function_sizes():
    if not shutil.which("ctags"):
        pytest.skip("universal-ctags is not installed")
    found = list(functions())
    assert len(found) > 200
    long = [f"{place} {name}: {lines} lines" for place, name, lines, _ in found if lines > FUNCTION_LINES]
    wide = [f"{place} {name}{signature}" for place, name, _, signature in found
            if parameters(signature) > PARAMETERS]
    assert not long and not wide, long + wide


def is_binary(path):
    return b"\0" in (TOP / path).read_bytes()[:4096]


def test_no_machine_in_the_repository():
    """No path of somebody's machine and no host of a package mirror: use mktemp, and what apt is set up with."""
    hosts = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE)"], capture_output=True, text=True, check=False).stdout
    names = {re.sub(r"^[a-z]+://", "", h).split("/")[0] for h in hosts.split() if "." in h}
    words = [rf"(?<![\w.$}}-])/({'|'.join(['tmp', 'work', 'home/' + chr(92) + 'w+', 'root'])})/[\w.]", *map(re.escape, names)]
    pattern = re.compile("|".join(words))
    wrong = []
    for path in tracked():
        if is_binary(path):
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            if pattern.search(line) and "XXXXXX" not in line:  # a template of mkstemp
                wrong.append(f"{path}:{number}: {line.strip()[:120]}")
    assert not wrong, "\n".join(wrong)


def test_files_end_as_they_should():
    wrong = []
    for path in tracked():
        octets = (TOP / path).read_bytes()
        text_file = path.suffix in (".c", ".h", ".py", ".sh", ".md", ".txt", ".cmake", ".conf")
        if text_file and octets and "data" not in path.parts and "fuzz" not in path.parts:
            if not octets.endswith(b"\n") or b"\r\n" in octets or b"\t" in octets and path.suffix in (".c", ".h", ".py"):
                wrong.append(str(path))
    assert not wrong, wrong
