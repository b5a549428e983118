"""The library's structs for ctypes, field by field as the public headers have them; scripts in bench/ use them, too."""
import ctypes


class Norms(ctypes.Structure):  # norms.h
    _fields_ = [(name, ctypes.c_double) for name in ("p", "q")]
    _fields_ += [(name, ctypes.c_uint64) for name in ("count", "zeros")]
    _fields_ += [(name, ctypes.c_double) for name in ("max", "sum_p", "sum_q")]
    _fields_ += [("exponent", ctypes.c_int32)]


class Layer(ctypes.Structure):  # layer.h
    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.c_void_p), ("dtype", ctypes.c_int)]
    _fields_ += [("count", ctypes.c_uint64), ("rows", ctypes.c_uint64), ("mask", ctypes.c_void_p)]
    _fields_ += [("mapped", ctypes.c_int)]


class Selection(ctypes.Structure):  # select.h
    _fields_ = [("count", ctypes.c_uint64), ("key", ctypes.c_uint64)]
    _fields_ += [("ties", ctypes.c_uint64), ("ties_total", ctypes.c_uint64), ("wide", ctypes.c_int)]


class Error(ctypes.Structure):  # status.h
    _fields_ = [("code", ctypes.c_int), ("text", ctypes.c_char * 240)]


class Split(ctypes.Structure):  # dataset.h
    _fields_ = [("count", ctypes.c_uint32), ("pixels", ctypes.c_void_p), ("floats", ctypes.c_void_p)]
    _fields_ += [("labels", ctypes.c_void_p)]


class Dataset(ctypes.Structure):  # dataset.h
    _fields_ = [("name", ctypes.c_char_p)]
    _fields_ += [(name, ctypes.c_int) for name in ("channels", "height", "width", "classes")]
    _fields_ += [("mean", ctypes.c_float * 4), ("stddev", ctypes.c_float * 4)]
    _fields_ += [("train", Split), ("test", Split), ("memory", ctypes.c_void_p)]


class DatasetOptions(ctypes.Structure):  # dataset.h
    _fields_ = [("image_size", ctypes.c_int), ("channels", ctypes.c_int)]
