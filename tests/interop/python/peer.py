#!/usr/bin/env python3
"""A real iroh 1.4.1 endpoint (the PyPI wheel) speaking the line protocol of tests/interop/README.md.

The binding reads a stream either exactly or to its end, never "what there is", so the server reads commands one byte
at a time and echoes a stream only after its FIN.
"""
import argparse
import asyncio
import hashlib
import json
import re
import sys
import threading
import time

import iroh

BLOCK_SIZE = 65521  # prime, so that chunks swapped at any power of two show
LIMIT = 1 << 30
CHUNK = 1 << 20
SETTLING = 1 << 20
COMMANDS = ("reset ", "stop ", "close ")


def make_block():
    x, out = 1, bytearray()
    for _ in range(BLOCK_SIZE):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
        out.append((x >> 16) & 0xFF)
    return bytes(out)


BLOCK = make_block()


def pattern(start, size):
    start %= BLOCK_SIZE
    return (BLOCK * (1 + (start + size) // BLOCK_SIZE))[start:start + size]


def emit(**line):
    print(json.dumps(line), flush=True)


def text_of(error):
    return error.message() if isinstance(error, iroh.IrohError) else str(error) or repr(error)


def close_of(text):
    """Turns the original's sentence about a closed connection into {kind, code, reason}."""
    if "timed out" in text:
        return {"kind": "timeout"}
    found = re.search(r"closed by peer: (?:(.*) \(code (\d+)\)|(\d+))", text, re.S)
    if found:
        return {"kind": "application", "code": int(found[2] or found[3]), "reason": found[1] or ""}
    if "aborted by peer" in text:
        return {"kind": "transport", "text": text}
    if "reset by peer" in text:
        return {"kind": "reset"}
    return {"kind": "local"}


def code_of(text):
    found = re.search(r"(?:error |Reset\(|Stopped\()(\d+)", text)
    return int(found[1]) if found else None


async def bind(args, alpns):
    builder = iroh.EndpointBuilder()
    builder.apply_minimal()
    relay = args.relay and iroh.RelayMode.custom_from_urls([args.relay])
    builder.relay_mode(relay or iroh.RelayMode.disabled())
    builder.bind_addr(args.bind)
    if args.secret:
        builder.secret_key(bytes.fromhex(args.secret))
    if alpns:
        builder.alpns(alpns)
    return await builder.bind()


async def write(send, data):
    for at in range(0, len(data), CHUNK):
        await send.write_all(data[at:at + CHUNK])


# Server


async def read_command(recv):
    """Returns (bytes read so far, command line or None)."""
    head = b""
    while len(head) < 256:
        try:
            head += await recv.read_exact(1)
        except iroh.IrohError as error:
            if "early" in text_of(error):
                break
            raise
        text = head.decode("latin-1")
        if not any(c.startswith(text) or text.startswith(c) for c in COMMANDS):
            break
        if text.endswith("\n"):
            return head, text.strip()
    return head, None


async def obey(conn, send, recv, command):
    verb, code, *reason = command.split(" ", 2)
    if verb == "reset":
        await send.reset(int(code))
    elif verb == "stop":
        await recv.stop(int(code))
        await send.finish()
    else:
        conn.close(int(code), (reason or [""])[0].encode())


async def serve_bi(conn, stream):
    send, recv = stream.send(), stream.recv()
    try:
        head, command = await read_command(recv)
        if command:
            return await obey(conn, send, recv, command)
        data = head + await recv.read_to_end(LIMIT)
        await write(send, data)
        await send.finish()
        code = await send.stopped()
        if code is not None:
            emit(event="stopped", code=code)
    except iroh.IrohError as error:
        report_stream_error(error)


def report_stream_error(error):
    text = text_of(error)
    if "Stopped(" in text or "stopped" in text:
        emit(event="stopped", code=code_of(text))
    elif "Reset(" in text or "reset by peer" in text:
        emit(event="reset", code=code_of(text))


async def serve_uni(conn, recv):
    try:
        data = await recv.read_to_end(LIMIT)
        send = await conn.open_uni()
        await write(send, data)
        await send.finish()
        await send.stopped()
    except iroh.IrohError as error:
        report_stream_error(error)


async def forever(step):
    try:
        while True:
            await step()
    except iroh.IrohError:
        pass  # the connection is gone, which closed() reports


async def serve_connection(incoming, tasks):
    try:
        conn = await (await incoming.accept()).connect()
    except iroh.IrohError as error:
        return emit(event="failed", text=text_of(error))
    remote = conn.remote_id().to_bytes().hex()
    emit(event="accepted", remote=remote, alpn=conn.alpn().decode())

    async def bi():
        keep(tasks, serve_bi(conn, await conn.accept_bi()))

    async def uni():
        keep(tasks, serve_uni(conn, await conn.accept_uni()))

    async def datagram():
        conn.send_datagram(await conn.read_datagram())

    for step in (bi, uni, datagram):
        keep(tasks, forever(step))
    emit(event="closed", remote=remote, close=close_of(await conn.closed()))


def keep(tasks, coroutine):
    task = asyncio.ensure_future(coroutine)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def accept_all(args, endpoint, tasks):
    while True:
        incoming = await endpoint.accept_next()
        if incoming is None:
            return
        if args.refuse:
            await incoming.refuse()
        elif args.retry and not await incoming.remote_addr_validated():
            await incoming.retry()
        else:
            keep(tasks, serve_connection(incoming, tasks))


async def wait_for_end_of_input():
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def drain():
        while sys.stdin.readline():
            pass
        loop.call_soon_threadsafe(done.set)

    threading.Thread(target=drain, daemon=True).start()
    await done.wait()


async def serve(args):
    endpoint = await bind(args, [a.encode() for a in args.alpn.split(",")])
    ident = endpoint.id()
    # An endpoint also binds the wildcard of the other family, which no test should use.
    host = args.bind.rpartition(":")[0]
    addrs = [a for a in endpoint.bound_sockets() if a.rpartition(":")[0] == host]
    if args.relay:
        await endpoint.online()
    addr = iroh.EndpointAddr(ident, args.relay, addrs)
    emit(id=ident.to_bytes().hex(), addrs=addrs, ticket=str(iroh.EndpointTicket.from_addr(addr)))
    tasks = set()
    keep(tasks, accept_all(args, endpoint, tasks))
    try:
        await asyncio.wait_for(wait_for_end_of_input(), args.limit)
    except asyncio.TimeoutError:
        pass
    await endpoint.close()


# Client


class Failed(Exception):
    pass


def check(condition, why):
    if not condition:
        raise Failed(why)


async def echo_bi(conn, size, start=0):
    stream = await conn.open_bi()
    data = pattern(start, size)

    async def upload():
        await write(stream.send(), data)
        await stream.send().finish()

    _, back = await asyncio.gather(upload(), stream.recv().read_to_end(LIMIT))
    check(back == data, "the echo differs")
    return {"bytes": len(back), "sha256": hashlib.sha256(back).hexdigest()}


async def echo_uni(conn, size):
    data = pattern(0, size)
    send = await conn.open_uni()

    async def upload():
        await write(send, data)
        await send.finish()

    async def download():
        return await (await conn.accept_uni()).read_to_end(LIMIT)

    _, back = await asyncio.gather(upload(), download())
    check(back == data, "the echo differs")
    return {"bytes": len(back)}


async def parallel(conn, count, size):
    await asyncio.gather(*(echo_bi(conn, size, 7919 * i) for i in range(count)))
    return {"streams": count, "bytes": count * size}


async def datagrams(conn, count, size):
    # What goes one way may be too large for the other until both have found what fits the path: a transfer lets them.
    if size == 0:
        await echo_bi(conn, SETTLING)
    size = size or conn.max_datagram_size()
    check(conn.max_datagram_size() >= size >= 4, f"max_datagram_size is {conn.max_datagram_size()}")
    got = set()

    async def receive():
        while len(got) < count:
            data = await asyncio.wait_for(conn.read_datagram(), 2)
            index = int.from_bytes(data[:4], "big")
            check(data[4:] == pattern(index, size - 4), f"datagram {index} differs")
            got.add(index)

    receiver = asyncio.ensure_future(receive())
    for i in range(count):
        await conn.send_datagram_wait(i.to_bytes(4, "big") + pattern(i, size - 4))
    try:
        await receiver
    except asyncio.TimeoutError:
        pass
    check(len(got) * 10 >= count * 9, f"only {len(got)} of {count} datagrams came back")
    return {"sent": count, "received": len(got), "size": size}


async def reset(conn, code):
    stream = await conn.open_bi()
    await stream.send().write_all(f"reset {code}\n".encode())
    try:
        await stream.recv().read_to_end(LIMIT)
    except iroh.IrohError as error:
        check(code_of(text_of(error)) == code, text_of(error))
        return {"code": code}
    raise Failed("the stream was not reset")


async def stop(conn, code):
    stream = await conn.open_bi()
    await stream.send().write_all(f"stop {code}\n".encode())
    check(await stream.send().stopped() == code, "wrong code, or not stopped")
    return {"code": code}


async def close(conn, code, *reason):
    stream = await conn.open_bi()
    await stream.send().write_all(f"close {code} {' '.join(reason)}\n".encode())
    how = close_of(await conn.closed())
    check(how == {"kind": "application", "code": code, "reason": " ".join(reason)}, str(how))
    return {"close": how}


async def send_reset(conn, code):
    stream = await conn.open_bi()
    await stream.send().write_all(b"x" * 1000)
    await asyncio.sleep(0.2)  # a reset that overtakes the data would hide the stream from the server's application
    await stream.send().reset(code)
    await asyncio.sleep(0.3)
    return {"code": code}


async def send_stop(conn, code):
    stream = await conn.open_bi()

    async def upload():
        await write(stream.send(), pattern(0, 4 << 20))
        await stream.send().finish()

    uploading = asyncio.ensure_future(upload())  # may never end: a server can stop reading when nobody takes its echo
    await stream.recv().read_exact(1000)
    await stream.recv().stop(code)
    await asyncio.sleep(0.5)
    uploading.cancel()
    return {"code": code}


async def idle(conn):
    emit(event="connected")
    began = time.monotonic()
    how = close_of(await conn.closed())
    check(how["kind"] == "timeout", str(how))
    return {"close": how, "seconds": round(time.monotonic() - began, 1)}


async def hold(conn, seconds):
    await asyncio.sleep(seconds)
    return await echo_bi(conn, 1000)


def way_of(conn):
    path = next((p for p in conn.paths() if p.is_selected), None)
    return "none" if path is None else "relay" if path.is_relay else "direct"


def echo_by(kind):
    """An echo over the way that the scenario is about."""
    async def scenario(conn, size):
        end = time.monotonic() + 20
        while way_of(conn) != kind and time.monotonic() < end:
            await asyncio.sleep(0.02)
        check(way_of(conn) == kind, f"the path is {way_of(conn)}, not {kind}")
        result = await echo_bi(conn, size)
        check(way_of(conn) == kind, f"the path became {way_of(conn)}")
        return {**result, "path": kind}
    return scenario


SCENARIOS = {"echo-bi": echo_bi, "echo-uni": echo_uni, "hash": echo_bi, "parallel": parallel, "datagrams": datagrams,
             "reset": reset, "stop": stop, "close": close, "send-reset": send_reset, "send-stop": send_stop,
             "idle": idle, "hold": hold, "relayed": echo_by("relay"), "direct": echo_by("direct")}
CONNECT_FAILS = ("refused", "wrong-alpn", "wrong-id")


def kind_of_failure(text):
    for kind, sign in (("refused", "refused"), ("wrong-alpn", "application protocol"), ("wrong-alpn", "error 120"),
                       ("timeout", "timed out")):
        if sign in text:
            return kind
    return "other"


async def connect_fails(endpoint, addr, args, name):
    alpn = b"interop/unknown/0" if name == "wrong-alpn" else args.alpn.encode()
    if name == "wrong-id":
        addr = iroh.EndpointAddr(iroh.SecretKey.generate().public(), None, args.addr)
    try:
        await endpoint.connect(addr, alpn)
    except iroh.IrohError as error:
        kind = kind_of_failure(error.debug_message())
        check(kind == ("other" if name == "wrong-id" else name), error.debug_message())
        return {"kind": kind, "error": text_of(error)}
    raise Failed("the connection was accepted")


async def run_scenario(endpoint, args):
    name, *words = args.do
    addr = iroh.EndpointAddr(iroh.EndpointId.from_bytes(bytes.fromhex(args.id)), args.relay, args.addr)
    if name in CONNECT_FAILS:
        return await connect_fails(endpoint, addr, args, name)
    words = [int(w) if w.isdigit() else w for w in words]
    if name == "send-close":
        conn = await endpoint.connect(addr, args.alpn.encode())
        await echo_bi(conn, 10)
        conn.close(words[0], " ".join(map(str, words[1:])).encode())
        return {"code": words[0]}
    if name not in SCENARIOS:
        return {"skip": f"this peer has no scenario {name}"}
    conn = await endpoint.connect(addr, args.alpn.encode())
    check(conn.remote_id().to_bytes().hex() == args.id, "connected to another endpoint")
    result = await SCENARIOS[name](conn, *words)
    conn.close(0, b"done")
    return result


async def client(args):
    endpoint = await bind(args, [])
    began = time.monotonic()
    try:
        line = {"ok": True, **await asyncio.wait_for(run_scenario(endpoint, args), args.limit)}
    except (Failed, iroh.IrohError, asyncio.TimeoutError) as error:
        line = {"ok": False, "error": text_of(error)}
    emit(**{**line, "do": args.do[0], "ms": round((time.monotonic() - began) * 1000)})
    await endpoint.close()
    return 0 if line["ok"] else 1


def arguments():
    parser = argparse.ArgumentParser()
    roles = parser.add_subparsers(dest="role", required=True)
    for name, limit in (("serve", 600), ("client", 120)):
        role = roles.add_parser(name)
        role.add_argument("--secret")
        role.add_argument("--alpn", default="interop/echo/0")
        role.add_argument("--bind", default="127.0.0.1:0")
        role.add_argument("--relay")
        role.add_argument("--for", dest="limit", type=float, default=limit)
        if name == "serve":
            role.add_argument("--retry", action="store_true")
            role.add_argument("--refuse", action="store_true")
        else:
            role.add_argument("--id", required=True)
            role.add_argument("--addr", action="append", default=[])
            role.add_argument("--do", nargs="+", required=True)
    return parser.parse_args()


def main():
    args = arguments()
    return asyncio.run(serve(args) if args.role == "serve" else client(args))


if __name__ == "__main__":
    sys.exit(main())
