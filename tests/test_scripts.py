"""The scripts behind `make check`: what counts as passed, failed and skipped."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"

CMOCKA = """[==========] Running 3 test(s).
[       OK ] a
[  FAILED  ] b
[==========] 3 test(s) run.
[  PASSED  ] 1 test(s).
[  SKIPPED ] 1 test(s), listed below:
[  SKIPPED ] c
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] b
"""
PYTEST = """..s
SKIPPED [1] test_a.py:3: no ground to stand on
2 passed, 1 skipped in 0.03s
"""


def tally(folder, *tests, steps=()):
    """The exit status and the lines of tally.py for a log of (verdict, output) pairs."""
    log = folder / "testlog.json"
    entries = [{"name": f"t{i}", "result": result, "stdout": text} for i, (result, text) in enumerate(tests)]
    log.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    steps = [word for step in steps for word in ("--step", step)]
    done = subprocess.run([sys.executable, "-B", SCRIPTS / "tally.py", *steps, log], capture_output=True, text=True)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(
    "tests, status, last",
    [
        ([("FAIL", CMOCKA)], 1, "1 passed, 1 failed, 1 skipped"),
        ([("OK", PYTEST)], 0, "2 passed, 0 failed, 1 skipped"),
        ([("OK", "[  PASSED  ] 4 test(s).\n"), ("OK", PYTEST)], 0, "6 passed, 0 failed, 1 skipped"),
        ([("OK", "[  PASSED  ] 4 test(s).\n[  PASSED  ] 3 test(s).\n")], 0, "7 passed, 0 failed"),
        ([("FAIL", "1 failed, 3 passed, 1 error in 61.20s (0:01:01)\n")], 1, "3 passed, 2 failed"),
        ([("OK", "===== 3 passed in 0.01s =====\n")], 0, "3 passed, 0 failed"),
        ([("OK", "nothing that is counted\n")], 0, "1 passed, 0 failed"),
        ([("FAIL", "[  PASSED  ] 4 test(s).\nSegmentation fault\n")], 1, "4 passed, 1 failed"),
        ([("TIMEOUT", "")], 1, "0 passed, 1 failed"),
        ([("SKIP", "")], 1, "0 passed, 0 failed, 1 skipped"),
        ([], 1, "0 passed, 0 failed"),
    ],
)
def test_cases_are_counted(tests, status, last, tmp_path):
    code, lines = tally(tmp_path, *tests)
    assert (code, lines[-1]) == (status, last)


def test_reasons_and_failures_are_named(tmp_path):
    _, lines = tally(tmp_path, ("OK", PYTEST), ("FAIL", CMOCKA))
    assert "t0: SKIPPED [1] test_a.py:3: no ground to stand on" in lines
    assert "FAILED t1: 1 of 3" in lines


def test_a_failed_step_fails(tmp_path):
    assert tally(tmp_path, ("OK", PYTEST), steps=["format:0"])[0] == 0
    code, lines = tally(tmp_path, ("OK", PYTEST), steps=["format:0", "make: it all:1"])
    assert code == 1
    assert lines[-1] == "3 passed, 1 failed, 1 skipped"
    assert "FAILED make: it all" in lines


def test_no_log_is_no_success(tmp_path):
    done = subprocess.run([sys.executable, "-B", SCRIPTS / "tally.py", tmp_path / "none.json"], capture_output=True)
    assert done.returncode == 1
