"""
Runs one of Mosquitto's own tests where Mosquitto Guard is at work: run_one.py TEST [ARGUMENT…]. Two differences that are meant
(docs/migration.md) do not end it here: a user name that comes without a password brings one (those that test_upstream.py knows), and
after SIGHUP there is time until files that are read beside the broker are in force.
"""
import runpy
import signal
import subprocess
import sys
import time

sys.path[:0] = [".", ".."]
import mosq_test  # noqa: E402  pylint: disable=import-error,wrong-import-position

gen_connect, send_signal = mosq_test.gen_connect, subprocess.Popen.send_signal


def with_password(client_id, *rest, **named):
    if named.get("username") and named.get("password") is None:
        named["password"] = "of-" + named["username"]
    return gen_connect(client_id, *rest, **named)


def and_wait(process, number):
    send_signal(process, number)
    if number == signal.SIGHUP:
        time.sleep(1)


mosq_test.gen_connect, subprocess.Popen.send_signal = with_password, and_wait
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
