"""The arrows of docs/architecture.md: who may include whom, and which third-party header belongs to which folder."""
import re

import pytest

from repository import LAYERS, read, sources

ARROWS = {"core": {"core"}, "acl": {"acl", "core"}, "auth": {"auth", "core"}, "store": {"store", "core"},
          "audit": {"audit", "core"}, "ctl": {"ctl", "acl", "auth", "store", "audit", "core"},
          "plugin": {"plugin", "acl", "auth", "store", "audit", "core"}}

# header pattern -> folders, or single files, that may include it
THIRD_PARTY = {
    r"mosquitto|mqtt_protocol": {"plugin"},
    r"hiredis": {"store"},
    r"jwt\.h": {"auth"},
    r"argon2|crypt\.h": {"auth"},
    r"openssl/(x509|pem|ec|rsa|ssl|bn|core_names|param_build|decoder|asn1)": {"auth", "audit", "store", "ctl"},
    r"cjson": {"core"},
    r"maxminddb": {"audit"},
}
LIBRARY_HEADER = r"mosquitto|hiredis|jwt\.h|openssl/|cjson|argon2|maxminddb"


def includes(path):
    return re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', read(path), re.M)


CODE = sources(".c", ".h", under=LAYERS)


def test_there_is_code():
    assert len(CODE) > 50


@pytest.mark.parametrize("folder", LAYERS)
def test_arrows(folder):
    wrong = []
    for path in (p for p in CODE if p.parts[0] == folder):
        for bracket, name in includes(path):
            if bracket == '"':
                target = name.split("/")[0]
                if "/" not in name or target not in ARROWS[folder]:
                    wrong.append(f'{path} includes "{name}"')
    assert not wrong, wrong


@pytest.mark.parametrize("pattern", THIRD_PARTY)
def test_third_party_headers(pattern):
    wrong = [f"{path} includes <{name}>" for path in CODE for bracket, name in includes(path)
             if bracket == "<" and re.match(pattern, name) and path.parts[0] not in THIRD_PARTY[pattern]]
    assert not wrong, wrong


def test_no_third_party_type_crosses_a_header():
    """A header that another folder includes brings no library's header with it."""
    public = {name for path in CODE for bracket, name in includes(path)
              if bracket == '"' and name.split("/")[0] != path.parts[0]}
    reached, todo = set(), list(public)
    by_name = {str(p): p for p in CODE}
    while todo:
        name = todo.pop()
        if name in reached or name not in by_name:
            continue
        reached.add(name)
        todo += [inner for bracket, inner in includes(by_name[name]) if bracket == '"']
    wrong = [f"{name} includes <{inner}>" for name in sorted(reached) for bracket, inner in includes(by_name[name])
             if bracket == "<" and re.match(LIBRARY_HEADER, inner) and not name.startswith("plugin/")]
    assert not wrong, wrong


@pytest.mark.parametrize("folder", [f for f in LAYERS if f not in ("ctl", "plugin")])
def test_cmake_draws_the_same_arrows(folder):
    text = read(next(p for p in sources(".txt", under={folder}) if p.name == "CMakeLists.txt"))
    linked = set(re.findall(r"guard_(core|acl|auth|store|audit|plugin)\b", text)) - {folder}
    assert linked <= ARROWS[folder], f"{folder}/CMakeLists.txt links {linked}"


def test_threads_begin_in_one_place():
    """core/thread.c gives each its own descriptors and no signals."""
    makers = {str(path) for path in CODE if re.search(r"\bpthread_create\(|\bthrd_create\(", read(path))}
    assert makers == {"core/thread.c"}


def test_the_session_table_alone_changes_what_it_copies():
    """plugin/session_table.h keeps copies of a session's subject and end: whoever changes them must take those back."""
    wrong = [str(path) for path in CODE if path.parts[0] == "plugin" and path.name not in ("session.c", "session_expiry.c", "access.c")
             and re.search(r"->(subject|ends_at)\s*=[^=]|&session->subject", read(path))]
    assert not wrong, wrong
