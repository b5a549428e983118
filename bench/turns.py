"""What the comparisons with other programs share: packages that may be missing, and calls run in turn."""
import importlib
import statistics
import time


def optional(package):
    """The module; None, with a line that says so, where it is not installed."""
    try:
        return importlib.import_module(package)
    except ImportError as missing:
        print(f"left out: {missing}")
        return None


def in_turn(calls, rounds):
    """Seconds of each call by its name: all run in turn, A B A B …, as often as that."""
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return times


def summary(times, ours):
    """By name: the least and the median of the seconds, and both as multiples of those of `ours`."""
    least = {name: min(taken) for name, taken in times.items()}
    middle = {name: statistics.median(taken) for name, taken in times.items()}
    return {name: (least[name], middle[name], least[name] / least[ours], middle[name] / middle[ours]) for name in times}
