"""Finding guardctl in a build folder, and asking its explain --batch."""
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def build_folder():
    """$GUARD_BUILD, or build/release, or build/dev: the first that holds guardctl."""
    named = os.environ.get("GUARD_BUILD")
    candidates = [pathlib.Path(named)] if named else [ROOT / "build/release", ROOT / "build/dev"]
    for folder in candidates:
        if (folder / "guardctl").exists():
            return folder.resolve()
    raise FileNotFoundError(f"no guardctl in {', '.join(map(str, candidates))}; build first or set GUARD_BUILD")


def run(*arguments, stdin=None, timeout=120):
    return subprocess.run(
        [build_folder() / "guardctl", *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
    )


def batch(policy_file, queries, now):
    """Answers of explain --batch to a list of queries (dicts), in order."""
    lines = "".join(json.dumps(query, ensure_ascii=False) + "\n" for query in queries)
    done = run("explain", "--policy", policy_file, "--batch", "--now", now, stdin=lines, timeout=600)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"guardctl explain exits {done.returncode}: {done.stderr}\n{done.stdout[:500]}")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(queries):
        raise RuntimeError(f"{len(queries)} queries, {len(answers)} answers: {done.stderr}")
    return answers
