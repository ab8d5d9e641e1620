#!/usr/bin/python3
"""
Writes the list of findings in docs/operations.md anew from what guardctl doctor can find:
    tests/guards/doctor_table.py GUARDCTL            prints it
    tests/guards/doctor_table.py GUARDCTL --write    replaces it in the manual
"""
import subprocess
import sys
from pathlib import Path

from repository import TOP

MANUAL = Path("docs/operations.md")
BEGIN, END = "<!-- findings: written by tests/guards/doctor_table.py -->", "<!-- end of findings -->"


def markdown(guardctl):
    rows = subprocess.run([guardctl, "doctor", "--list"], capture_output=True, text=True, check=True).stdout
    return "\n".join([BEGIN, "", "| id | | what it finds | what to do |", "|---|---|---|---|", rows.rstrip("\n"), "", END])


def replaced(text, guardctl):
    before, rest = text.split(BEGIN, 1)
    return before + markdown(guardctl) + rest.split(END, 1)[1]


if __name__ == "__main__":
    if sys.argv[2:] == ["--write"]:
        (TOP / MANUAL).write_text(replaced((TOP / MANUAL).read_text(), sys.argv[1]))
    else:
        print(markdown(sys.argv[1]))
