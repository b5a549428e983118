"""safetensors files by the letter of the format, without the library under test."""
import json
import struct


def framed(header, data):
    """The bytes of a file: the header, an object or its text, and the data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def taken_apart(path):
    """The header and the data of a file."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def header_of(path):
    return taken_apart(path)[0]


def write(path, tensors, metadata=None):
    """A file of (dtype, array) by name, in the order given."""
    header, end = ({"__metadata__": metadata} if metadata else {}), 0
    for name, (dtype, array) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    path.write_bytes(framed(header, b"".join(array.tobytes() for _, array in tensors.values())))
    return path
