#!/usr/bin/python3
"""
What Mosquitto's own tests start in the place of src/mosquitto: the same broker with the same arguments, and Mosquitto Guard added
to its configuration. UPSTREAM_ADD says how:
  deferring  as one more plugin, mode coexist, whose policy knows none of the tests' clients: nothing may change. Where every plugin
             defers the broker refuses unless it has an acl_file: where nothing decides there is one that allows everything
  deciding   password_file and acl_file become the plugin's options of those names; one alone gets the other: the plugin wants to
             be told what users may do, and who they are (run_one.py gives them passwords). A configuration that has neither, nor
             another plugin that decides, gets a policy that allows everyone everything
Also: UPSTREAM_REAL the broker, UPSTREAM_PLUGIN the plugin, UPSTREAM_FOLDER for configurations and trails; its file passwords is the
password_file of tests that have none.
"""
import os
import re
import sys
import tempfile

ADD, REAL, PLUGIN, FOLDER = (os.environ["UPSTREAM_" + name] for name in ("ADD", "REAL", "PLUGIN", "FOLDER"))
STRANGER = "[client nobody-of-these]\nroles = none\n[role none]\nx = allow publish none\n"
EVERYONE = "[assign]\nguests = all when anonymous\n[default]\nroles = all\n[role all]\nx = allow all **\n"
ANYTHING = "".join(f"{kind} readwrite {topics}/#\n" for kind in ("topic", "pattern") for topics in ("$SYS", "$CONTROL", "$sparkplug")) + \
    "topic readwrite #\npattern readwrite #\n"
OWN_FILE = re.compile(r"\s*(password_file|acl_file)\s+(.*)")
# Mosquitto's own plugins and those of its tests: some judge who comes or what they may do, some of them what they may do
JUDGES = re.compile(r"\s*(auth_plugin|plugin_use)\s|.*plugin.*/(auth_plugin|plugin_load|mosquitto_(password_file|acl_file|dynamic_security)|bad_)|psk_file\s")
GRANTS = re.compile(r"\s*(auth_plugin|plugin_use)\s|.*plugin.*/(auth_plugin_v\d|auth_plugin_\w*acl|plugin_load_acl|mosquitto_(acl_file|dynamic_security))")
LISTENER = re.compile(r"\s*(listener|port)\s")


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8", newline="") as out:
        out.write(text)
    os.chmod(path, 0o600)
    return path


def loaded(folder):
    """The lines that load the plugin, with a trail of everything."""
    audit = tempfile.mkdtemp(prefix="audit-", dir=folder)
    return [f"plugin {PLUGIN}", f"plugin_opt_audit_dir {audit}", "plugin_opt_audit_deliver all"]


def sections(lines):
    """Their parts with security settings of their own: one, or with per_listener_settings one for each listener."""
    parts = [[]]
    for line in lines:
        if LISTENER.match(line) and any(re.match(r"\s*per_listener_settings\s+true", other) for other in lines):
            parts.append([])
        parts[-1].append(line)
    return parts if len(parts) == 1 else [parts[0] + parts[1], *parts[2:]]


def added(folder, part, lines):
    """The part of a configuration with the plugin, or None where it is not to be added."""
    own = {found[1]: found[2] for found in map(OWN_FILE.match, part) if found}
    if ADD == "deferring":
        acl = [] if "acl_file" in own or any(map(GRANTS.match, lines)) else [f"acl_file {write(folder, 'acl', ANYTHING)}"]
        return part + acl + loaded(folder) + [f"plugin_opt_policy_file {write(folder, 'policy.conf', STRANGER)}", "plugin_opt_mode coexist"]
    if own:
        own.setdefault("acl_file", write(folder, "acl", ANYTHING))
        own.setdefault("password_file", os.path.join(FOLDER, "passwords"))
        return [line for line in part if not OWN_FILE.match(line)] + loaded(folder) + [f"plugin_opt_{name} {path}" for name, path in own.items()]
    if any(map(JUDGES.match, lines)):
        return None
    return part + loaded(folder) + [f"plugin_opt_policy_file {write(folder, 'policy.conf', EVERYONE)}"]


def main(arguments):
    at = arguments.index("-c") + 1 if "-c" in arguments else None
    lines = []
    if at and os.path.exists(arguments[at]):
        with open(arguments[at], encoding="utf-8") as stream:  # and with it the ends of Windows' lines
            lines = stream.read().split("\n")
    if at and not lines:
        os.execv(REAL, [REAL, *arguments])
    folder = tempfile.mkdtemp(dir=FOLDER)
    parts = [(part, added(folder, part, lines)) for part in sections(lines)]
    if any(new for _, new in parts):
        path = write(folder, "mosquitto.conf", "\n".join(line for part, new in parts for line in new or part) + "\n")
        if at:
            arguments[at] = path
        else:
            arguments += ["-c", path]
        write(FOLDER, "added", "")
    os.execv(REAL, [REAL, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
