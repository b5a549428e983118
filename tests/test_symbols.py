"""What the libraries define and call, read with nm: nothing but sap_ goes out, nothing prints or exits."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("SAPWOOD_BUILD", ROOT / "build"))

pytestmark = pytest.mark.skipif(not shutil.which("nm"), reason="nm is not installed")


def nm(*arguments):
    done = subprocess.run(["nm", *map(str, arguments)], capture_output=True, text=True, check=True)
    return {line.split()[-1].split("@")[0] for line in done.stdout.splitlines() if re.search(r" [A-Za-z] \S+$", line)}


def declared():
    """The functions that the public headers declare with SAP_API."""
    text = "".join(path.read_text() for path in (ROOT / "include/sapwood").glob("*.h"))
    return set(re.findall(r"^SAP_API [^;(]*?\b(sap_\w+)\(", text, re.M))


def test_the_shared_library_exports_exactly_the_public_functions():
    exported = nm("-D", "--defined-only", BUILD / "libsapwood.so")
    assert len(declared()) > 40
    assert exported - declared() == set(), "exported, but in no public header"
    assert declared() - exported == set(), "in a public header, but not exported"


def test_the_static_library_defines_only_names_of_its_own():
    defined = nm("-g", "--defined-only", BUILD / "libsapwood.a")
    assert declared() <= defined
    assert {name for name in defined if not name.startswith("sap_")} == set()


def test_the_library_neither_prints_nor_exits():
    called = nm("-u", BUILD / "libsapwood.a")
    forbidden = {"printf", "vprintf", "puts", "putchar", "perror", "stdout", "stderr", "exit", "_exit", "quick_exit",
                 "abort", "__printf_chk", "__vprintf_chk"}  # fmt: skip
    assert called & forbidden == set()
    assert "malloc" in called or "posix_memalign" in called, "nm did not list what the library calls"
