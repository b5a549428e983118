"""What `meson install` puts in place is complete: it is staged, then used as a stranger would."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
BUILD = os.environ.get("SAPWOOD_BUILD", str(HERE.parent / "build"))
MESON = os.environ.get("MESON", "meson")
CC = os.environ.get("CC", "cc")
EXAMPLE = HERE / "install_example.c"


def run(*command, **environment):
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env={**os.environ, **environment}
    )


class Stage:
    """A staged installation."""

    def __init__(self, root):
        done = run(MESON, "install", "-C", BUILD, "--no-rebuild", "--destdir", root)
        assert done.returncode == 0, done.stdout + done.stderr
        self.root = root
        self.files = sorted(path for path in root.rglob("*") if path.is_file() or path.is_symlink())
        self.pkgconfig = self.one("sapwood.pc").parent
        self.library = self.one("libsapwood.a").parent

    def one(self, name):
        found = [path for path in self.files if path.name == name]
        assert len(found) == 1, f"{name}: {found}, expected exactly one"
        return found[0]

    def flags(self, *options):
        done = run(
            "pkg-config", *options, "sapwood",
            PKG_CONFIG_PATH=str(self.pkgconfig), PKG_CONFIG_SYSROOT_DIR=str(self.root),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.split()


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    return Stage(tmp_path_factory.mktemp("stage"))


def test_every_file_is_there(stage):
    public = {path.name for path in (HERE.parent / "include/sapwood").glob("*.h")}
    installed = {path.name for path in stage.files if path.parent.name == "sapwood" and path.suffix == ".h"}
    assert installed == public
    version = stage.flags("--modversion")[0]
    for name in ("libsapwood.so", "libsapwood.so.0", f"libsapwood.so.{version}"):
        stage.one(name)
    assert stage.one("sapwood").parent.name == "bin"
    assert stage.one("sapwood.1").parent.name == "man1"


def test_nothing_else_is_there(stage):
    library = r"lib(32|64)?/(.*/)?libsapwood\.\S+"
    known = re.compile(rf"/(include/sapwood/\w+\.h|{library}|sapwood\.pc|bin/sapwood|man1/sapwood\.1)$")
    assert [str(path) for path in stage.files if not known.search(str(path))] == []


def test_a_program_builds_and_runs_against_the_shared_library(stage, tmp_path):
    program = tmp_path / "example"
    flags = stage.flags("--cflags", "--libs")
    done = run(CC, "-std=c11", "-Wall", "-Wextra", "-Werror", EXAMPLE, "-o", program, *flags)
    assert done.returncode == 0, done.stderr
    needed = run("ldd", program, LD_LIBRARY_PATH=str(stage.library)).stdout
    assert str(stage.library / "libsapwood.so.0") in needed
    done = run(program, LD_LIBRARY_PATH=str(stage.library))
    # d = 4, one entry carries everything: 1 - 4^(1/1 - 1/0.5)
    assert (done.returncode, done.stdout) == (0, "0.750000\n"), done.stderr


def test_a_program_builds_and_runs_against_the_static_library(stage, tmp_path):
    program = tmp_path / "example"
    flags = [flag for flag in stage.flags("--static", "--cflags", "--libs") if flag != "-lsapwood"]
    done = run(CC, "-std=c11", EXAMPLE, stage.library / "libsapwood.a", "-o", program, *flags)
    assert done.returncode == 0, done.stderr
    assert "libsapwood" not in run("ldd", program).stdout
    assert run(program).stdout == "0.750000\n"


def test_the_program_runs(stage):
    done = run(stage.one("sapwood"), "--version", LD_LIBRARY_PATH=str(stage.library))
    assert done.returncode == 0, done.stderr
    assert stage.flags("--modversion")[0] in done.stdout


def test_the_manual_page_is_clean(stage):
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    done = run("mandoc", "-T", "lint", "-W", "warning", stage.one("sapwood.1"))
    assert (done.returncode, done.stdout) == (0, "")
