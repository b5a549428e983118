"""The AArch64 kernels against the scalar reference, cross-compiled and run under QEMU's user emulation."""

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parent.parent
COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
SKIPPED = ("_avx2.c", "_avx512.c", "version.c")  # version.c needs the configuration

pytestmark = [
    pytest.mark.skipif(not shutil.which(tool), reason=f"{tool} is not installed") for tool in (COMPILER, EMULATOR)
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """kernels_agree with the folders it needs: these depend on no library, so none is needed for AArch64."""
    target = tmp_path_factory.mktemp("aarch64") / "kernels_agree"
    files = []
    for folder in ("base", "tensor", "index", "prune"):
        files += [file for file in (ROOT / "src" / folder).glob("*.c") if not file.name.endswith(SKIPPED)]
    flags = ["-std=gnu11", "-O2", "-static", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-ffp-contract=fast"]
    includes = ["-D_POSIX_C_SOURCE=200809L", "-I", ROOT / "include", "-I", ROOT / "src"]
    main = ROOT / "tests/kernels_agree.c"
    subprocess.run([COMPILER, *flags, *includes, main, *files, "-lm", "-pthread", "-o", target], check=True)
    return target


@pytest.mark.parametrize("cpu", ["neon", "scalar"])
def test_kernels_agree(program, cpu):
    result = subprocess.run([EMULATOR, "-E", f"SAP_CPU={cpu}", program], capture_output=True, text=True)
    assert result.stdout == f"{cpu} against scalar: agrees\n"
    assert result.returncode == 0
