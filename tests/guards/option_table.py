#!/usr/bin/python3
"""
Writes the list of options in docs/configuration.md anew from the table in core/options.c:
    tests/guards/option_table.py            prints it
    tests/guards/option_table.py --write    replaces it in the manual
"""
import sys
from pathlib import Path

from repository import TOP, option_rows

MANUAL = Path("docs/configuration.md")
BEGIN, END = "<!-- options: written by tests/guards/option_table.py -->", "<!-- end of options -->"


def cell(text):
    return text.replace("|", "\\|")


def code(text):
    return f"`{cell(text)}`" if text else ""


def heading(rows):
    """A group is called after what its names have in common."""
    first = rows[0]["name"].split("_")[0]
    return {"config": "General", "jwt": "Tokens", "cert": "Certificates", "auth": "Checking credentials",
            "broker": "Audit", "audit": "Audit", "redis": "Redis",
            "metrics": "Metrics"}.get(first, first.capitalize())


def markdown():
    rows, lines = option_rows(), [BEGIN]
    for group in sorted({r["group"] for r in rows}):
        members = [r for r in rows if r["group"] == group]
        lines += ["", f"### {heading(members)}", "", "| option | value | default | meaning |", "|---|---|---|---|"]
        for row in members:
            form = row["form"].replace("|", ", ")
            note = " ↻" if row["reload"] else ""
            lines.append(f"| `{row['name']}`{note} | {cell(form)} | {code(row['initial'])} | {cell(row['help'])} |")
    return "\n".join([*lines, "", END])


def replaced(text):
    before, rest = text.split(BEGIN, 1)
    return before + markdown() + rest.split(END, 1)[1]


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        (TOP / MANUAL).write_text(replaced((TOP / MANUAL).read_text()))
    else:
        print(markdown())
