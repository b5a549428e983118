"""ONNX files written and read in a few lines of Python: the second opinion where the package `onnx` is not installed.

A message is a list of (number, value) pairs: an int is a varint, bytes are bytes, a str is text, a list is a message.
"""

import struct

import numpy as np

TYPES = {1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8", 12: "<u4",
         13: "<u8", 14: "<c8", 16: "<u2"}  # 16 is bfloat16: its bits
FLOAT, INT64, FLOAT16, DOUBLE, BFLOAT16 = 1, 7, 10, 11, 16


def varint(value):
    value &= 2**64 - 1
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def encode(pairs):
    out = []
    for number, value in pairs:
        if isinstance(value, int):
            out.append(varint(number << 3) + varint(value))
            continue
        body = encode(value) if isinstance(value, list) else value.encode() if isinstance(value, str) else bytes(value)
        out.append(varint(number << 3 | 2) + varint(len(body)) + body)
    return b"".join(out)


def fields(data):
    """The (number, value) pairs of a message; bytes are left as bytes."""
    at, pairs = 0, []

    def number():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            value = number()
        else:
            size = number() if key & 7 == 2 else {1: 8, 5: 4}[key & 7]
            value = bytes(data[at:at + size])
            assert len(value) == size
            at += size
        pairs.append((key >> 3, value))
    return pairs


def all_of(data, number):
    return [value for found, value in fields(data) if found == number]


def first_of(data, number, default=None):
    return (all_of(data, number) or [default])[0]


def tensor(name, array, data_type=None, extra=()):
    """A TensorProto with raw data."""
    array = np.asarray(array)
    if data_type is None:
        data_type = next(k for k, v in TYPES.items() if np.dtype(v) == array.dtype)
    pairs = [(1, n) for n in array.shape] + [(2, data_type)] + ([(8, name)] if name else [])
    return pairs + ([(9, array.tobytes())] if array.size else []) + list(extra)


def sparse(name, shape, values, indices, raw=False):
    """A SparseTensorProto; indices linear (n,) or (n, rank)."""
    indices = np.asarray(indices, "<i8")
    packed = b"".join(varint(int(i)) for i in indices.reshape(-1))
    where = (9, indices.tobytes()) if raw else (7, packed)
    dims = [(1, n) for n in indices.shape]
    return [(1, tensor(name, values)), (2, dims + [(2, INT64), where])] + [(3, n) for n in shape]


def value_info(name, shape):
    return [(1, name), (2, [(1, [(1, 1), (2, [(1, [(1, n)]) for n in shape])])])]


def node(operator, inputs, outputs, attributes=(), name=""):
    return ([(1, i) for i in inputs] + [(2, o) for o in outputs] + ([(3, name)] if name else []) + [(4, operator)] +
            [(5, a) for a in attributes])


def constant(output, array, name="", extra=()):
    return node("Constant", [], [output], [[(1, "value"), (5, tensor("", array)), *extra, (20, 4)]], name)


def graph(nodes=(), initializers=(), sparse_initializers=(), inputs=(), outputs=(), name="g"):
    return ([(1, n) for n in nodes] + [(2, name)] + [(5, t) for t in initializers] +
            [(15, t) for t in sparse_initializers] + [(11, i) for i in inputs] + [(12, o) for o in outputs])


def model(graph_pairs, metadata=(), ir_version=8, opset=17, functions=()):
    return encode([(1, ir_version), (2, "tiny"), (7, graph_pairs), (8, [(1, ""), (2, opset)])] +
                  [(14, [(1, k), (2, v)]) for k, v in metadata] + [(25, f) for f in functions])


def read_tensor(data):
    """Name and array of a TensorProto with raw data."""
    shape = all_of(data, 1)
    array = np.frombuffer(first_of(data, 9, b""), TYPES[first_of(data, 2)]).reshape(shape)
    return first_of(data, 8, b"").decode(), array


def read_sparse(data):
    """Name, shape, values and linear positions of a SparseTensorProto with packed indices."""
    name, values = read_tensor(first_of(data, 1))
    packed, positions, value, shift = first_of(first_of(data, 2), 7, b""), [], 0, 0
    for byte in packed:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            positions.append(value)
            value, shift = 0, 0
    return name, all_of(data, 3), values, np.array(positions, "i8")


def floats(values):
    return struct.pack("<%df" % len(values), *values)
