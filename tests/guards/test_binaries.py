"""What the built plugin shows to the broker, and how it is hardened."""
import re
import subprocess

ENTRY_POINTS = {"mosquitto_plugin_version", "mosquitto_plugin_init", "mosquitto_plugin_cleanup"}


def output(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True).stdout


def test_exactly_three_symbols_are_exported(build):
    lines = output("nm", "-D", "--defined-only", build / "mosquitto_guard.so").splitlines()
    assert {line.split()[-1] for line in lines} == ENTRY_POINTS


def test_needed_libraries(build):
    """libmosquitto in the plugin would bring a second set of functions by the names of the broker's own."""
    needed = set(re.findall(r"\(NEEDED\).*\[(.*?)\]", output("readelf", "-dW", build / "mosquitto_guard.so")))
    assert needed and not [n for n in needed if "mosquitto" in n], needed


def test_broker_functions_are_all_known_to_2_0(build):
    """Strong undefined mosquitto_* symbols must exist in 2.0.11, or dlopen fails there; newer ones are weak."""
    exported = set("""broker_publish broker_publish_copy callback_register callback_unregister calloc client_address
        client_certificate client_clean_session client_id client_keepalive client_protocol client_protocol_version
        client_sub_count client_username free kick_client_by_clientid kick_client_by_username log_printf malloc
        property_add_binary property_add_byte property_add_int16 property_add_int32 property_add_string
        property_add_string_pair property_add_varint property_copy_all property_free_all pub_topic_check realloc
        set_username strdup sub_topic_check topic_matches_sub validate_utf8""".split())
    lines = output("nm", "-D", "--undefined-only", build / "mosquitto_guard.so").splitlines()
    strong = {name.removeprefix("mosquitto_") for kind, name in (line.split()[-2:] for line in lines)
              if kind == "U" and name.startswith("mosquitto_")}
    assert strong and strong <= exported, strong - exported


def test_nothing_of_our_own_is_missing(build):
    """A shared object links with holes; the broker would find them at its start."""
    lines = output("nm", "-D", "--undefined-only", build / "mosquitto_guard.so").splitlines()
    missing = [name for name in (line.split()[-1] for line in lines) if re.match("(guard|acl|auth|store|audit)_", name)]
    assert not missing, missing


def test_hardening(build):
    for name in ("mosquitto_guard.so", "guardctl"):
        dynamic, headers = output("readelf", "-dW", build / name), output("readelf", "-lW", build / name)
        assert "BIND_NOW" in dynamic or "Flags: NOW" in dynamic, name
        assert "GNU_RELRO" in headers, name
        assert not re.search(r"GNU_STACK.*RWE", headers), name
        assert "TEXTREL" not in dynamic and "RUNPATH" not in dynamic and "RPATH" not in dynamic, name
    assert "Type:                              DYN" in output("readelf", "-hW", build / "guardctl"), "guardctl is not a PIE"
