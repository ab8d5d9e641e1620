"""A strict reader of Prometheus' text format: what promtool would complain about is a failure here, too."""
import re
import shutil
import subprocess

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')
TYPES = ("counter", "gauge", "histogram")


def labels_of(text):
    found, at = {}, 0
    while at < len(text or ""):
        match = LABEL.match(text, at)
        assert match, f"labels: {text}"
        assert match.group(1) not in found, text
        found[match.group(1)], at = match.group(2), match.end()
    return found


class Figures:
    """The samples of one file: figures("name", label="value") is a number; what is not there is a KeyError."""

    def __init__(self, text):
        assert text.endswith("\n")
        self.types, self.samples, family = {}, {}, None
        for line in text.splitlines():
            if line.startswith("# HELP "):
                family, _, explained = line[7:].partition(" ")
                assert explained and family not in self.types, line
                expected = f"# TYPE {family} "
            elif line.startswith("# TYPE "):
                assert line.startswith(expected), line
                self.types[family] = line.rsplit(" ", 1)[1]
                assert self.types[family] in TYPES, line
            else:
                self._sample(line, family)
        for name, kind in self.types.items():
            assert name.endswith("_total") == (kind == "counter"), f"{name} is a {kind}"
            if kind == "histogram":
                self._check_histogram(name)
        promtool = shutil.which("promtool")
        if promtool:
            subprocess.run([promtool, "check", "metrics"], input=text, text=True, check=True)

    def _sample(self, line, family):
        match = SAMPLE.fullmatch(line)
        assert match, f"not a sample: {line}"
        name, labels, value = match.group(1), labels_of(match.group(2)), float(match.group(3))
        suffixes = ("_bucket", "_sum", "_count") if self.types[family] == "histogram" else ("",)
        assert name in [family + suffix for suffix in suffixes], f"{line} stands below {family}"
        key = (name, frozenset(labels.items()))
        assert key not in self.samples, f"twice: {line}"
        assert value >= 0, line
        self.samples[key] = value

    def _check_histogram(self, name):
        series = {}
        for (sample, labels), value in self.samples.items():
            if sample == f"{name}_bucket":
                rest = frozenset(pair for pair in labels if pair[0] != "le")
                series.setdefault(rest, []).append((float(dict(labels)["le"]), value))
        for labels, buckets in series.items():
            values = [value for _, value in buckets]
            assert buckets == sorted(buckets) and values == sorted(values), f"{name}: {buckets}"
            assert buckets[-1][0] == float("inf")
            assert self.samples[f"{name}_count", labels] == values[-1]
            assert (f"{name}_sum", labels) in self.samples

    def __call__(self, name, **labels):
        return self.samples[name, frozenset(labels.items())]

    def total(self, name, **labels):
        """The sum of all samples of that name that have these labels."""
        return sum(value for (sample, have), value in self.samples.items()
                   if sample == name and frozenset(labels.items()) <= have)
