"""What the parts of bench/run share: notes, placing programs on cores, and tables."""
import statistics
import sys

SERVER_CORE, CLIENT_CORE = 0, 1
START_SECONDS = 30   # until a server has printed its ticket
RUN_SECONDS = 600    # until a client has ended


def note(text):
    print(text, file=sys.stderr, flush=True)


def pinned(core, *words):
    return ["taskset", "-c", str(core), *map(str, words)]


def cell(values, show):
    if not values:
        return "-"
    low, middle = show(min(values)), show(statistics.median(values))
    return middle if len(values) == 1 else f"{low} / {middle}"


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"
