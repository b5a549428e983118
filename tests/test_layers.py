"""The layers point one way: every #include must be an arrow of the map in docs/architecture.md."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CC = os.environ.get("CC", "cc")
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)
# src/index/  norms, pqi, gini, select  → tensor
MAP_LINE = re.compile(r"^src/(\w+)/\s+([\w, -]*?)\s*→\s*([\w, ]+)$", re.M)


def names(text):
    return {name for name in re.split(r"[,\s]+", text) if name not in ("", "-", "nothing")}


class Map:
    """Layers, the layers each may include, and the public headers each implements."""

    def __init__(self, text):
        self.arrows, self.headers = {}, {}
        for layer, headers, below in MAP_LINE.findall(text):
            self.arrows[layer] = names(below)
            self.headers[layer] = names(headers)

    def reach(self, layer):
        """The layer itself and all that its arrows lead to."""
        seen, open_ends = set(), [layer]
        while open_ends:
            at = open_ends.pop()
            if at not in seen:
                seen.add(at)
                open_ends.extend(self.arrows.get(at, ()))
        return seen

    def may_include(self, layer, include):
        """Whether a file of src/layer/ may include "include" (quoted form, as written)."""
        top, _, rest = include.partition("/")
        if top == "sapwood":
            owners = {owner for owner, headers in self.headers.items() if rest.removesuffix(".h") in headers}
        else:
            owners = {top}
        return bool(owners & self.reach(layer))


def check_source(layers, path, text):
    """Faults of a file of src/: path is relative to the root."""
    layer, faults = path.parts[1], []
    if layer not in layers.arrows:
        return [f"{path}: src/{layer}/ is not on the map"]
    for quote, include in INCLUDE.findall(text):
        if "dnnl" in Path(include).name and not path.is_relative_to("src/engine/onednn"):
            faults.append(f"{path}: {include}: only src/engine/onednn/ knows oneDNN")
        if quote == "<" or include == "sap_config.h":
            continue
        if ".." in include:
            faults.append(f"{path}: {include}: no way up; write the path from src/")
        elif "/" in include and not layers.may_include(layer, include):
            faults.append(f"{path}: {include}: no arrow from {layer} to there on the map")
    return faults


def check_outside(path, text):
    """Faults of a file of cli/ or include/: they see the public headers only."""
    faults = []
    for quote, include in INCLUDE.findall(text):
        local = path.parts[0] == "cli" and "/" not in include
        if quote == '"' and not include.startswith("sapwood/") and not local:
            faults.append(f"{path}: {include}: public headers only")
        if "dnnl" in include:
            faults.append(f"{path}: {include}: only src/engine/onednn/ knows oneDNN")
    return faults


def files(*folders):
    found = [p for folder in folders for p in sorted((ROOT / folder).rglob("*.[ch]"))]
    assert found, folders
    return found


@pytest.fixture(scope="module")
def layers():
    return Map((ROOT / "docs/architecture.md").read_text(encoding="utf-8"))


def test_map_is_drawn(layers):
    assert layers.arrows["base"] == set()
    assert layers.reach("prune") == {"prune", "index", "tensor", "base"}
    for layer, below in layers.arrows.items():
        assert below <= set(layers.arrows), f"{layer}: an arrow to a layer that is not on the map"
        assert all(layer not in layers.reach(name) for name in below), f"{layer}: the arrows run in a circle"
    folders = {p.name for p in (ROOT / "src").iterdir() if p.is_dir()}
    assert set(layers.arrows) == folders, "the map and the folders of src/ differ"
    headers = {p.stem for p in (ROOT / "include/sapwood").glob("*.h")} - {"sapwood"}
    assert set().union(*layers.headers.values()) == headers, "the map and the public headers differ"


def test_sources_follow_the_map(layers):
    faults = [f for p in files("src") for f in check_source(layers, p.relative_to(ROOT), p.read_text(encoding="utf-8"))]
    assert not faults, "\n".join(faults)


def test_program_and_headers_see_public_headers_only():
    faults = [f for p in files("include", "cli") for f in check_outside(p.relative_to(ROOT), p.read_text())]
    assert not faults, "\n".join(faults)


SMALL_MAP = Map(
    "src/base/    status   → nothing\nsrc/tensor/  dtype    → base\nsrc/index/   norms    → tensor\n"
    "src/engine/  model    → tensor\n"
)


@pytest.mark.parametrize(
    "path, line",
    [
        ("src/base/a.c", '#include "tensor/b.h"'),
        ("src/base/a.c", '#include "sapwood/dtype.h"'),
        ("src/tensor/a.c", '#  include "index/b.h"'),
        ("src/tensor/a.c", '#include "../base/error.h"'),
        ("src/index/a.c", '#include "sapwood/sapwood.h"'),
        ("src/engine/a.c", '#include "index/b.h"'),
        ("src/engine/ref/a.c", "#include <dnnl.h>"),
        ("src/unknown/a.c", '#include "base/error.h"'),
    ],
)
def test_a_wrong_arrow_is_found(path, line):
    assert len(check_source(SMALL_MAP, Path(path), f"int a;\n{line}\n")) == 1


@pytest.mark.parametrize(
    "path, line",
    [
        ("src/index/a.c", '#include "base/error.h"'),
        ("src/index/a.c", '#include "sapwood/norms.h"'),
        ("src/base/a.c", '#include "sap_config.h"'),
        ("src/engine/onednn/a.c", '#include "oneapi/dnnl/dnnl.h"\n#include <stdio.h>'),
    ],
)
def test_a_drawn_arrow_passes(path, line):
    path = Path(path)
    if "oneapi" in line:
        line = line.replace('"oneapi/dnnl/dnnl.h"', "<oneapi/dnnl/dnnl.h>")
    assert check_source(SMALL_MAP, path, f"{line}\n") == []


@pytest.mark.parametrize(
    "path, line", [("cli/main.c", '#include "base/error.h"'), ("include/sapwood/a.h", '#include "b.h"')]
)
def test_an_internal_header_is_found_outside(path, line):
    assert len(check_outside(Path(path), line)) == 1


def public_headers():
    return sorted((ROOT / "include/sapwood").glob("*.h"))


@pytest.mark.parametrize("header", public_headers(), ids=lambda p: p.name)
def test_public_header_is_short(header):
    assert len(header.read_text().splitlines()) <= 300


@pytest.mark.parametrize("language", ["c11", "c++17"])
def test_each_public_header_compiles_alone(language, tmp_path):
    compiler = CC if language == "c11" else shutil.which("c++")
    if not compiler:
        pytest.skip("no C++ compiler")
    for header in public_headers():
        source = tmp_path / (header.stem + (".c" if language == "c11" else ".cpp"))
        source.write_text(f'#include "sapwood/{header.name}"\n#include "sapwood/{header.name}"\n')
        command = [compiler, f"-std={language}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
        done = subprocess.run([*command, "-I", ROOT / "include", source], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
