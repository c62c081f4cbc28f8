"""`iroh receive` from several at once: real providers beside ours; one is killed in the middle, one has only a part."""
import base64
import fnmatch
import hashlib
import os
import pathlib
import re
import signal
import time

from blobs_case import (LARGE, OURS, PAUSE, STARTED, THEIRS, TOTAL_SHOWN, UNITS, Case, assert_same, bytes_below,
                        content_of, write)
from blobs_crate import CRATE, VERSIONS, start_server
from programs import Failure, Skip

OLD_CRATE = "interop-blobs-old"
CONTENT_SIZE = 33  # bytes at the end of a ticket: format and hash
PERIOD = 251       # of what the crate's peer serves as one large blob
ROUNDED = 3 * UNITS["MiB"] // 100  # bytes that a sum of what is shown may be off
GAVE = re.compile(r"^([0-9a-f]{10})  ([0-9.]+) (B|KiB|MiB|GiB)", re.MULTILINE)


def decoded(ticket):
    text = ticket.removeprefix("blob").upper()
    return base64.b32decode(text + "=" * (-len(text) % 8))


def with_content_of(ticket, other):
    """The provider of one ticket with the content of another."""
    raw = decoded(ticket)[:-CONTENT_SIZE] + decoded(other)[-CONTENT_SIZE:]
    return "blob" + base64.b32encode(raw).decode().rstrip("=").lower()


def short_id(ticket):
    return decoded(ticket)[1:33].hex()[:10]


def given(program):
    """Bytes that came from each."""
    return {name: float(amount) * UNITS[unit] for name, amount, unit in GAVE.findall(program.said(".err"))}


def make_part(case, crate, sender, ticket):
    """A store of the crate's that has the beginning: its getter is killed after a pause, in which it notes that."""
    program = case.start(crate, "fetch", "part", ticket)
    store = os.path.join(case.folder, "part")
    program.wait_for(lambda: bytes_below(store) > 2 * STARTED, "the middle")
    sender.process.send_signal(signal.SIGSTOP)
    time.sleep(PAUSE)
    program.end(signal.SIGKILL)
    sender.process.send_signal(signal.SIGCONT)
    server, other = start_server(case, crate, "serve", "--store", "part")
    return server, with_content_of(other, ticket)


def receive_from(case, tickets, killed, late):
    """The first bytes come before `late` can say a word, and what is left when `killed` dies comes without it."""
    late.process.send_signal(signal.SIGSTOP)
    program = case.start(OURS, "receive", "--bind", "127.0.0.1:0", "--direct-only", "--to", str(case.target), *tickets)
    try:
        program.wait_for(lambda: case.arrived() > STARTED, "the middle")
        killed.end(signal.SIGKILL)
    finally:
        late.process.send_signal(signal.SIGCONT)
    if program.status() != 0:
        program.fail(f"ended with {program.process.returncode}")
    return program


def assert_given(program, tickets):
    came = given(program)
    amounts = [came.get(short_id(ticket), 0) for ticket in tickets]
    if min(amounts) == 0 or sum(amounts) < LARGE - ROUNDED or max(amounts) >= LARGE:
        raise Failure(f"came from each: {amounts}: {program.said('.err').strip()[-300:]}")


def sequence(case):
    """sendme has all and is killed; a store of the crate has a part; ours, which has all, comes late."""
    write(case.source / "tree" / "large", LARGE)
    for i in range(50):
        write(case.source / "tree" / f"small{i}", 500 * i)
    tree = case.source / "tree"
    with case.sending(tree) as (ours, our_ticket), case.sending(tree, THEIRS) as (theirs, their_ticket):
        if decoded(our_ticket)[-CONTENT_SIZE:] != decoded(their_ticket)[-CONTENT_SIZE:]:
            raise Failure("the same folder has another hash there")
        part, part_ticket = make_part(case, CRATE, ours, our_ticket)
        tickets = [their_ticket, part_ticket, our_ticket]
        program = receive_from(case, tickets, theirs, ours)
        part.end_input()
    assert_given(program, tickets)
    assert_same(case)


def blob(case):
    """The crate has all and is killed; an older version of it has a part; ours, which has all, comes late."""
    data = bytes(range(PERIOD)) * (LARGE // PERIOD + 1)
    (case.source / "large").write_bytes(data[:LARGE])
    whole, whole_ticket = start_server(case, CRATE, "serve", "--large", str(LARGE))
    with case.sending(case.source / "large") as (ours, our_ticket):
        our_ticket = with_content_of(our_ticket, whole_ticket)
        part, part_ticket = make_part(case, OLD_CRATE, ours, our_ticket)
        tickets = [whole_ticket, part_ticket, our_ticket]
        program = receive_from(case, tickets, whole, ours)
        part.end_input()
    assert_given(program, tickets)
    expected = [hashlib.sha256(data[:LARGE]).hexdigest()]
    if list(content_of(case.target).values()) != expected:
        raise Failure("what arrived differs")


def terminal(case):
    """With several senders, too, it is known what there is to come, and said at the end what came from whom."""
    path = case.source / "large"
    write(path, LARGE)
    with case.sending(path) as (_, ours), case.sending(path, THEIRS) as (_, theirs):
        senders = [f"{short_id(ticket)}  " for ticket in (ours, theirs)]
        case.receive_on_terminal([ours, theirs], ("received 1 file", *TOTAL_SHOWN, *senders))
    assert_same(case)


PLAYS = {"sequence": sequence, "blob": blob, "terminal": terminal}


def run_one(play, programs, missing):
    if missing:
        raise Skip(missing)
    case = Case(programs, OURS, OURS)
    try:
        play(case)
    finally:
        case.close()


def run(programs, folder, missing, only):
    """Tells of each case line by line; `missing` says why there are no real programs, if so. How many failed."""
    failed = 0
    if folder is not None:
        named = {CRATE: VERSIONS["0.104"], OLD_CRATE: VERSIONS["0.103"]}
        programs = {**programs, **{name: str(pathlib.Path(folder, file)) for name, file in named.items()}}
    for name, play in PLAYS.items():
        full = f"several:{name}"
        if not fnmatch.fnmatch(full, only):
            continue
        try:
            run_one(play, programs, missing)
            print(f"ok {full}", flush=True)
        except Skip as reason:
            print(f"skip {full}: {reason}", flush=True)
        except Failure as reason:
            failed += 1
            print(f"FAIL {full}: {reason}", flush=True)
    return failed
