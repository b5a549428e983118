#!/usr/bin/env python3
"""Sums the single test cases of Meson test logs: tally.py [--step NAME:STATUS]... TESTLOG.JSON...

Prints why cases were skipped, which programs failed, and as the last line
"N passed, N failed[, N skipped]". Exits 0 only if something passed and nothing failed.

A program's cases are read from what cmocka and pytest print; any other program is one case. A program
that Meson calls failed although none of its cases did (a crash, a timeout) adds one failed case.
--step adds one case for a command that ran outside Meson: STATUS 0 is passed.
"""
import json
import re
import sys

CMOCKA = re.compile(r"^\[  (PASSED|FAILED|SKIPPED) +\] (\d+) test\(s\)", re.M)
PYTEST = re.compile(r"^(?=.*\b(?:passed|failed|skipped|errors?)\b)=*\s?((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s", re.M)
PYTEST_WORD = {"passed": 0, "failed": 1, "error": 1, "errors": 1, "skipped": 2, "xfailed": 0, "xpassed": 1}
CMOCKA_WORD = {"PASSED": 0, "FAILED": 1, "SKIPPED": 2}
SKIP_REASON = re.compile(r"^SKIPPED \[\d+\] .*", re.M)


def count_cases(result, text):
    """[passed, failed, skipped] of one program with Meson's verdict `result` and output `text`."""
    counts = [0, 0, 0]
    for word, number in CMOCKA.findall(text):
        counts[CMOCKA_WORD[word]] += int(number)
    for line in PYTEST.findall(text):
        for number, word in re.findall(r"(\d+) ([a-z]+)", line):
            if word in PYTEST_WORD:
                counts[PYTEST_WORD[word]] += int(number)
    good = result in ("OK", "EXPECTEDFAIL")
    if not any(counts):
        counts[0 if good else 2 if result == "SKIP" else 1] = 1
    elif not good and result != "SKIP" and counts[1] == 0:
        counts[1] = 1
    return counts


def read_log(path):
    """The log's (program, verdict, output) triples; none if it does not exist."""
    try:
        with open(path, encoding="utf-8") as log:
            for line in log:
                entry = json.loads(line)
                yield entry["name"], entry["result"], entry.get("stdout", "") + "\n" + entry.get("stderr", "")
    except FileNotFoundError:
        return


def main(arguments):
    total = [0, 0, 0]
    while arguments[:1] == ["--step"]:
        name, status = arguments[1].rsplit(":", 1)
        total[0 if status == "0" else 1] += 1
        if status != "0":
            print(f"FAILED {name}")
        arguments = arguments[2:]
    for path in arguments:
        for name, result, text in read_log(path):
            counts = count_cases(result, text)
            total = [a + b for a, b in zip(total, counts)]
            for reason in SKIP_REASON.findall(text):
                print(f"{name}: {reason}")
            if counts[1]:
                print(f"FAILED {name}: {counts[1]} of {sum(counts)}")
    passed, failed, skipped = total
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
