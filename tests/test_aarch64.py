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


# What test_runtime.c uses of cmocka, which is not there for AArch64.
CMOCKA = """
#include <stdio.h>
#include <stdlib.h>
#define fail_msg(...) (fprintf(stderr, __VA_ARGS__), exit(1))
#define assert_true(x) ((x) ? (void)0 : fail_msg("%s:%d", __FILE__, __LINE__))
#define assert_int_equal(a, b) assert_true((a) == (b))
struct CMUnitTest { void (*run)(void **); };
#define cmocka_unit_test(f) {f}
#define cmocka_run_group_tests(tests, a, b) run_all(tests, sizeof tests / sizeof *tests)
static int run_all(const struct CMUnitTest *tests, size_t count) {
  for (size_t i = 0; i < count; i++) tests[i].run(NULL);
  return puts("passed") < 0;
}
"""

# The graph's ways to files, which nothing here goes.
STUBS = """
int sap__onnx_import(void) { return 5; }
void sap__onnx_source_free(void *source) { (void)source; }
int sap__json_take_number(void) { return 5; }
"""
READS_FILES = ("_json.c", "model.c", "export.c", "session.c", "choose.c", "mix.c", "timing.c", "evaluate.c", "network.c", "choices_file.c", "choices_cache.c",
               "features.c", "source.c", "remember.c")  # fmt: skip


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    """test_runtime with the graph, the reference engine and the sparse runtime, without what reads files."""
    folder = tmp_path_factory.mktemp("aarch64_runtime")
    (folder / "cmocka.h").write_text(CMOCKA)
    (folder / "sap_config.h").write_text("#define SAP_HAVE_ONEDNN 0\n#define SAP_HAVE_OPENMP 0\n")
    (folder / "stubs.c").write_text(STUBS)
    files = [folder / "stubs.c", *(ROOT / "src/io").glob("sparse_*.c")]
    for where in ("base", "tensor", "graph", "graph/zoo", "engine", "engine/ref", "runtime", "runtime/kernels"):
        found = (ROOT / "src" / where).glob("*.c")
        files += [f for f in found if not f.name.endswith((*SKIPPED, *READS_FILES)) and not f.name.startswith("onnx_")]
    flags = ["-std=gnu11", "-O2", "-static", "-Wall", "-Wextra", "-Wno-unknown-pragmas", "-ffp-contract=fast"]
    includes = ["-D_POSIX_C_SOURCE=200809L", "-DSAP_TEST_WITHOUT_MODELS", "-I", folder, "-I", ROOT / "include", "-I", ROOT / "src"]
    main = ROOT / "tests/test_runtime.c"
    target = folder / "runtime"
    subprocess.run([COMPILER, *flags, *includes, main, *files, "-lm", "-pthread", "-o", target], check=True)
    return target


@pytest.mark.parametrize("cpu", ["neon", "scalar"])
def test_the_sparse_runtime_agrees_with_the_reference(runtime, cpu):
    result = subprocess.run([EMULATOR, "-E", f"SAP_CPU={cpu}", runtime], capture_output=True, text=True)
    assert (result.stdout, result.stderr, result.returncode) == ("passed\n", "", 0)
