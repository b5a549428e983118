#!/usr/bin/env python3
"""Writes files as C: embed.py OUT.c HEADER NAME=FILE… defines `const sap__asset NAME`; without FILE an empty one."""
import sys
from pathlib import Path

out, header, *entries = sys.argv[1:]
lines = [f'#include "{header}"']
for entry in entries:
    name, _, file = entry.partition("=")
    data = Path(file).read_bytes() if file else b""
    lines.append(f"static const char {name}_bytes[] = {{")
    # Of a file's bytes those above 127 are negative in a signed char.
    values = [str(byte - 256 * (byte > 127)) for byte in data] + ["0"]
    lines += [",".join(values[i : i + 32]) + "," for i in range(0, len(values), 32)]
    lines.append(f"}};\nconst sap__asset {name} = {{{name}_bytes, {len(data)}}};")
Path(out).write_text("\n".join(lines) + "\n")
