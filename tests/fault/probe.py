"""The probe: 1000 publishes a second through the broker's loop; what counts is the largest gap between two answers."""
import json
import subprocess

from support.broker import BUILD

MQLOAD = BUILD / "tests/bench/mqload/mqload"


class Probe:
    """A running `mqload stall`; the user "probe" with the password "pw" must be allowed to publish to devices/probe/data."""

    def __init__(self, broker, seconds, rate=1000):
        command = [MQLOAD, "stall", "-p", broker.ports["plain"], "--clientid", "probe", "--username", "probe", "--password", "pw",
                   "-t", "devices/probe/data", "-r", rate, "--seconds", seconds, "--threshold", 20, "--json"]
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def result(self):
        """What mqload reports, after the last second; .largest_gap_ms is the figure. A lost connection is a failure."""
        out, err = self.process.communicate(timeout=120)
        assert out.startswith("{"), f"the probe failed: {err}"
        report = json.loads(out)
        report["stderr"] = err
        assert report["complete"] and not report["connections_lost"] and not report["denied"], report
        return report
