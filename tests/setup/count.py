"""Counts the tests in a JUnit file of ctest or pytest: prints "passed failed skipped"; a missing file counts nothing."""
import sys
import xml.etree.ElementTree as ElementTree


def count(path):
    try:
        cases = list(ElementTree.parse(path).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return 0, 0, 0
    failed = sum(1 for c in cases if c.find("failure") is not None or c.find("error") is not None
                 or c.get("status") in ("fail", "notrun"))
    skipped = sum(1 for c in cases if c.find("skipped") is not None and c.get("status") != "notrun")
    return len(cases) - failed - skipped, failed, skipped


if __name__ == "__main__":
    print(*count(sys.argv[1]))
