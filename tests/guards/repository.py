"""What the guards share: the tracked files and their texts."""
import re
import subprocess
from functools import lru_cache
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
LAYERS = ("core", "acl", "auth", "store", "audit", "ctl", "plugin")


@lru_cache(maxsize=None)
def tracked():
    """Files of the repository that are there, as paths relative to its top. Outside git (a release tarball): all but build/."""
    git = subprocess.run(["git", "-C", TOP, "ls-files", "-z"], capture_output=True, text=True, check=False)
    if git.returncode == 0:
        names = git.stdout.split("\0")[:-1]
    else:
        names = [str(p.relative_to(TOP)) for p in TOP.rglob("*") if p.is_file() and p.relative_to(TOP).parts[0] != "build"]
    return sorted(Path(n) for n in names if (TOP / n).is_file())


def sources(*suffixes, under=None):
    return [p for p in tracked() if p.suffix in suffixes and (under is None or p.parts[0] in under)]


@lru_cache(maxsize=None)
def read(path):
    return (TOP / path).read_text(errors="replace")


def option_rows():
    """The rows of core/options.c's table as dicts: name, type, initial, form, reload, help, group."""
    text = read(Path("core/options.c"))
    table = re.search(r"option_row table\[\] = \{(.*?)\n\};", text, re.S).group(1)
    rows = []
    for group, block in enumerate(re.split(r"\n\s*\n", table)):
        for kind, arguments in re.findall(r"\b(TEXT|PATH|SWITCH|NUMBER|SIZE|CHOICE)\((.*?)\)(?:,|$)\s*(?=\n|$)", block, re.S):
            rows.append({"type": kind, "group": group, **row_fields(kind, split_arguments(arguments))})
    return rows


def split_arguments(text):
    """C arguments, split at commas outside strings; adjacent strings are joined and unquoted."""
    parts = re.findall(r'\s*((?:"(?:[^"\\]|\\.)*"\s*)+|[^",]+)\s*(?:,|$)', text)
    return [re.sub(r"\\(.)", r"\1", "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', p))) if '"' in p else p.strip() for p in parts]


def row_fields(kind, arguments):
    names = {"TEXT": ("name", "initial", "form", "change", "help"), "PATH": ("name", "change", "help"),
             "SWITCH": ("name", "initial", "change", "help"), "CHOICE": ("name", "initial", "form", "change", "help"),
             "NUMBER": ("name", "initial", "low", "high", "change", "help"),
             "SIZE": ("name", "initial", "low", "high", "change", "help")}[kind]
    assert len(names) == len(arguments), f"an option row that is not understood: {kind}({arguments})"
    row = dict(zip(names, arguments))
    if "low" in row:
        row["form"] = f"{row['low']}..{row['high']}".replace(" * KIB", "K").replace(" * MIB", "M").replace(" * GIB", "G")
        row["form"] = re.sub(r"\bGIB\b", "1G", row["form"])
    row.setdefault("form", {"PATH": "path", "SWITCH": "yes, no"}[kind] if kind in ("PATH", "SWITCH") else "")
    row.setdefault("initial", "")
    row["reload"] = row.pop("change") == "ON_RELOAD"
    return row
