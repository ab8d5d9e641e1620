"""Manuals and code say the same: options, reasons, commands, links."""
import gzip
import json
import re
import subprocess
from pathlib import Path

import doctor_table
import option_table
from repository import TOP, option_rows, read, sources

MANUALS = sources(".md")


def test_every_option_is_in_the_manual_and_the_other_way_round():
    in_code = [row["name"] for row in option_rows()]
    assert len(in_code) > 20 and len(in_code) == len(set(in_code))
    list_of_options = read(option_table.MANUAL).split(option_table.BEGIN)[1].split(option_table.END)[0]
    in_manual = re.findall(r"^\| `(\w+)`", list_of_options, re.M)
    assert sorted(in_code) == sorted(in_manual)


def test_the_option_list_is_current():
    """Types, defaults and help as in core/options.c. To mend: tests/guards/option_table.py --write"""
    assert option_table.markdown() in read(option_table.MANUAL)


def test_options_named_elsewhere_exist():
    """A plugin_opt_<name> in a manual, an example or a test's configuration is an option that there is."""
    known = {row["name"] for row in option_rows()} | {"name"}
    wrong = [f"{path}: plugin_opt_{name}" for path in sources(".md", ".conf", ".sh") for name in
             re.findall(r"plugin_opt_([a-z_0-9]+)", read(path)) if name not in known]
    assert not wrong, wrong


def test_reasons_are_those_of_the_schema():
    in_code = re.findall(r'^\s+X\(\w+, "(\w+)"\)', read(Path("core/reason.h")), re.M)
    schema = json.loads(read(Path("audit/schema/audit-event.schema.json")))
    assert sorted(in_code) == sorted(schema["properties"]["event"]["properties"]["reason"]["enum"])


def commands(build):
    text = subprocess.run([build / "guardctl", "help"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^  ([a-z][a-z -]*?)  +\S", text, re.M)


def test_every_command_has_help_and_stands_in_a_manual(build):
    found = commands(build)
    assert len(found) > 3, found
    manuals = "\n".join(read(p) for p in MANUALS)
    for name in found:
        if name in ("version", "help"):
            continue
        told = subprocess.run([build / "guardctl", *name.split(), "--help"], capture_output=True, text=True, check=False)
        assert told.returncode == 0 and "usage" in told.stdout.lower(), f"guardctl {name} --help: {told.stdout}{told.stderr}"
        assert f"guardctl {name}" in manuals, f"`guardctl {name}` is in no manual"


def page(build, name):
    """A manual page as it was built, without what roff wants escaped."""
    text = gzip.decompress((build / f"{name}.gz").read_bytes()).decode()
    return text.replace("\\-", "-").replace("\\&", "").replace("\\e", "\\")


def test_the_manual_pages_say_what_guardctl_and_the_options_say(build):
    text = page(build, "guardctl.1")
    for name in commands(build):
        if name == "version":
            continue
        told = subprocess.run([build / "guardctl", *name.split(), "--help"], capture_output=True, text=True, check=True)
        assert f".SS {name}\n.nf\n{told.stdout}" in text, f"guardctl.1 says something else of {name}"
    text = page(build, "mosquitto_guard.5")
    for row in option_rows():
        assert f"\n.BR {row['name']} " in text, f"{row['name']} is not in mosquitto_guard.5"
        assert row["help"].replace("`", "") in text
    assert "@" not in text


def test_the_list_of_findings_is_current(build):
    """As guardctl doctor has them. To mend: tests/guards/doctor_table.py build/release/guardctl --write"""
    assert doctor_table.markdown(build / "guardctl") in read(doctor_table.MANUAL)


def test_completion_offers_every_command(build):
    for name in commands(build):
        words = name.split()
        script = (f"PATH={build}:$PATH; . {TOP}/completions/guardctl; COMP_WORDS=(guardctl {' '.join(words[:-1])} {words[-1][:-1]}); "
                  f"COMP_CWORD={len(words)}; _guardctl; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
        told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert words[-1] in told.stdout.split(), f"{name}: {told.stdout}{told.stderr}"


def test_commands_in_manuals_exist(build):
    found = {tuple(name.split()) for name in commands(build)} | {("help",), ("version",), ("COMMAND",)}
    first_words = {name[0] for name in found}
    wrong = []
    for path in MANUALS:
        blocks = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", read(path), re.S))
        for words in re.findall(r"(?<![\w/-])guardctl ([a-z]+(?: [a-z]+)?)", blocks):
            name = tuple(words.split())
            if name not in found and name[:1] not in found and name[0] not in first_words:
                wrong.append(f"{path}: guardctl {words}")
    assert not wrong, wrong


def slug(heading):
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
    return re.sub(r" ", "-", re.sub(r"[^\w\- ]", "", text))


def test_links_lead_somewhere():
    wrong = []
    for path in MANUALS:
        text = re.sub(r"```.*?```", "", read(path), flags=re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"^\[[^\]]+\]:\s*(\S+)", text, re.M):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            there = (TOP / path.parent / name) if name else TOP / path
            if not there.exists():
                wrong.append(f"{path}: {target}")
            elif anchor and there.suffix == ".md":
                headings = re.findall(r"^#+\s+(.*)$", there.read_text(), re.M)
                if anchor not in {slug(h) for h in headings}:
                    wrong.append(f"{path}: {target} (no such heading)")
    assert not wrong, wrong


def test_example_policies_are_valid(build):
    """Every ```ini block of the manuals that holds a [role …] loads, warnings aside."""
    checked = 0
    for path in MANUALS:
        for block in re.findall(r"^```ini\n(.*?)^```", read(path), re.S | re.M):
            if "[role" not in block:
                continue
            # the manuals shorten hashes to "…"; the checker wants a whole one
            whole = re.sub(r"^(password\s*=\s*).*…$", r"\1$6$c2FsdHNhbHRzYQ==$" + "A" * 86 + "==", block, flags=re.M)
            policy = build / "manual-policy.conf"
            policy.write_text(whole)
            told = subprocess.run([build / "guardctl", "check", policy], capture_output=True, text=True, check=False)
            assert told.returncode == 0, f"{path}:\n{block}\n{told.stdout}{told.stderr}"
            checked += 1
    assert checked, "no manual shows a policy"
