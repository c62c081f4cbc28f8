// A real iroh 1.0.2 endpoint (the npm package) speaking the line protocol of tests/interop/README.md.
//
// The binding passes bytes as arrays of numbers, which is slow; big transfers therefore move in small pieces.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

// The package lies in a cache folder outside the checkout, which module resolution would not find from here.
const require = createRequire(join(process.env.INTEROP_NODE ?? import.meta.dirname, "package.json"));
const { Endpoint, EndpointAddr, EndpointId, EndpointTicket, RelayMode, SecretKey, presetMinimal } =
    require("@number0/iroh");

const PERIOD = 65521; // prime, so that chunks swapped at any power of two show
const CHUNK = 64 * 1024;
const LIMIT = 1 << 30;
const SETTLING = 1 << 20;
const COMMANDS = ["reset ", "stop ", "close "];
const COMMAND_MAX = 256;

// Data

function makeBlock() {
    const block = Buffer.alloc(PERIOD);
    let x = 1;
    for (let i = 0; i < PERIOD; i++) {
        x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
        block[i] = x >> 16;
    }
    return Buffer.concat([block, block]);
}

const BLOCK = makeBlock();
const BLOCK_ARRAY = Array.from(BLOCK);

// At most PERIOD bytes from position `at`.
function slice(block, at, size) {
    const from = at % PERIOD;
    return block.slice(from, from + Math.min(size, PERIOD));
}

function matches(at, data) {
    for (let i = 0; i < data.length; i++)
        if (BLOCK[(at + i) % PERIOD] !== data[i]) return false;
    return true;
}

// Results

class Failed extends Error {}

function check(condition, why) {
    if (!condition) throw new Failed(why);
}

function emit(line) {
    console.log(JSON.stringify(line));
}

const bytes = (text) => Array.from(Buffer.from(text));
const hex = (id) => Buffer.from(id.toBytes()).toString("hex");

// Turns the original's sentence about a closed connection into {kind, code, reason}.
function closeOf(text) {
    if (/timed out/.test(text)) return { kind: "timeout" };
    const found = /closed by peer: (?:([^]*) \(code (\d+)\)|(\d+))/.exec(text);
    if (found) return { kind: "application", code: Number(found[2] ?? found[3]), reason: found[1] ?? "" };
    if (/aborted by peer/.test(text)) return { kind: "transport", text };
    if (/reset by peer/.test(text)) return { kind: "reset" };
    return { kind: "local" };
}

function codeOf(text) {
    const found = /(?:error |Reset\(|Stopped\()(\d+)/.exec(text);
    return found ? Number(found[1]) : null;
}

function kindOfFailure(text) {
    if (/refused/.test(text)) return "refused";
    if (/application protocol|error 120|known protocol/.test(text)) return "wrong-alpn";
    return /timed out/.test(text) ? "timeout" : "other";
}

async function bind(args, alpns) {
    const builder = Endpoint.builder();
    presetMinimal(builder);
    builder.relayMode(args.relay ? RelayMode.customFromUrls([args.relay]) : RelayMode.disabled());
    builder.bindAddr(args.bind);
    if (args.secret) builder.secretKey(Array.from(Buffer.from(args.secret, "hex")));
    builder.alpns(alpns.map(bytes));
    return builder.bind();
}

// Server

async function readCommand(recv) {
    let head = Buffer.alloc(0);
    for (;;) {
        const piece = await recv.read(CHUNK);
        if (piece.length === 0) return { head, ended: true };
        head = Buffer.concat([head, Buffer.from(piece)]);
        const text = head.toString("latin1");
        const possible = COMMANDS.some((c) => c.startsWith(text) || text.startsWith(c));
        const end = head.indexOf(10);
        if (possible && end >= 0 && end < COMMAND_MAX) return { command: text.slice(0, end) };
        if (!possible || head.length >= COMMAND_MAX) return { head, ended: false };
    }
}

async function obey(conn, stream, command) {
    const [, verb, code, reason] = /^(\w+) (\d+) ?(.*)$/.exec(command);
    if (verb === "reset") await stream.send.reset(BigInt(code));
    else if (verb === "stop") await stream.recv.stop(BigInt(code));
    else conn.close(BigInt(code), bytes(reason));
}

async function finish(send) {
    await send.finish();
    const code = await send.stopped();
    if (code !== null) emit({ event: "stopped", code });
}

async function echo(send, recv) {
    for (;;) {
        const piece = await recv.read(CHUNK);
        if (piece.length === 0) return finish(send);
        await send.writeAll(piece);
    }
}

async function serveBi(conn, stream) {
    const { send, recv } = stream;
    const { command, head, ended } = await readCommand(recv);
    if (command !== undefined) return obey(conn, stream, command);
    await send.writeAll(Array.from(head));
    return ended ? finish(send) : echo(send, recv);
}

async function serveUni(conn, recv) {
    await echo(await conn.openUni(), recv);
}

// Tells the test when the peer reset or stopped a stream.
function report(error) {
    const text = String(error.message);
    if (/[sS]topped/.test(text)) emit({ event: "stopped", code: codeOf(text) });
    else if (/Reset\(|reset by peer/.test(text)) emit({ event: "reset", code: codeOf(text) });
}

async function forever(step) {
    try {
        for (;;) await step();
    } catch {
        // The connection is gone, which closed() reports.
    }
}

async function serveConnection(incoming) {
    let conn;
    try {
        conn = await (await incoming.accept()).connect();
    } catch (error) {
        return emit({ event: "failed", text: error.message });
    }
    const remote = hex(conn.remoteId());
    emit({ event: "accepted", remote, alpn: Buffer.from(conn.alpn()).toString() });
    forever(async () => {
        const stream = await conn.acceptBi();
        serveBi(conn, stream).catch(report);
    });
    forever(async () => {
        const recv = await conn.acceptUni();
        serveUni(conn, recv).catch(report);
    });
    forever(async () => conn.sendDatagram(await conn.readDatagram()));
    emit({ event: "closed", remote, close: closeOf(await conn.closed()) });
}

async function acceptAll(args, endpoint) {
    for (;;) {
        const incoming = await endpoint.acceptNext();
        if (incoming === null) return;
        if (args.refuse) await incoming.refuse();
        else if (args.retry && !(await incoming.remoteAddrValidated())) await incoming.retry();
        else serveConnection(incoming);
    }
}

async function serve(args) {
    const endpoint = await bind(args, args.alpn.split(","));
    // An endpoint also binds the wildcard of the other family, which no test should use.
    const host = args.bind.slice(0, args.bind.lastIndexOf(":") + 1);
    const addrs = endpoint.boundSockets().filter((a) => a.startsWith(host));
    if (args.relay) await endpoint.online();
    const addr = new EndpointAddr(endpoint.id(), args.relay ?? null, addrs);
    emit({ id: hex(endpoint.id()), addrs, ticket: EndpointTicket.fromAddr(addr).toString() });
    acceptAll(args, endpoint);
    await new Promise((done) => {
        process.stdin.on("end", done).resume();
        setTimeout(done, args.for * 1000);
    });
    await endpoint.close();
}

// Client

async function writePattern(send, start, size) {
    for (let at = 0; at < size; ) {
        const piece = slice(BLOCK_ARRAY, start + at, size - at);
        await send.writeAll(piece);
        at += piece.length;
    }
    await send.finish();
}

async function readPattern(recv, start, size) {
    const hash = createHash("sha256");
    let at = 0;
    for (;;) {
        const piece = await recv.read(CHUNK);
        if (piece.length === 0) break;
        check(matches(start + at, piece), `the echo differs after byte ${at}`);
        hash.update(Buffer.from(piece));
        at += piece.length;
    }
    check(at === size, `${at} bytes came back instead of ${size}`);
    return { bytes: size, sha256: hash.digest("hex") };
}

async function echoBi(conn, size, start = 0) {
    const { send, recv } = await conn.openBi();
    const [back] = await Promise.all([readPattern(recv, start, size), writePattern(send, start, size)]);
    return back;
}

async function echoUni(conn, size) {
    const send = await conn.openUni();
    const back = conn.acceptUni().then((recv) => readPattern(recv, 0, size));
    await Promise.all([writePattern(send, 0, size), back]);
    return { bytes: size };
}

async function parallel(conn, count, size) {
    await Promise.all(Array.from({ length: count }, (_, i) => echoBi(conn, size, 7919 * i)));
    return { streams: count, bytes: count * size };
}

async function receiveDatagrams(conn, count, got) {
    while (got.size < count) {
        const data = Buffer.from(await conn.readDatagram());
        const index = data.readUInt32BE(0);
        check(matches(index, data.subarray(4)), `datagram ${index} differs`);
        got.add(index);
    }
}

async function datagrams(conn, count, size) {
    // What goes one way may be too large for the other until both have found what fits the path: a transfer lets them.
    if (size === 0) await echoBi(conn, SETTLING);
    size = size || conn.maxDatagramSize();
    check(size >= 4 && size <= conn.maxDatagramSize(), `max_datagram_size is ${conn.maxDatagramSize()}`);
    const got = new Set();
    const receiving = receiveDatagrams(conn, count, got);
    for (let i = 0; i < count; i++) {
        const head = Buffer.alloc(4);
        head.writeUInt32BE(i);
        await conn.sendDatagramWait([...head, ...slice(BLOCK_ARRAY, i, size - 4)]);
    }
    receiving.catch(() => {}); // when some are lost it ends only with the connection
    await Promise.race([receiving, sleep(2000)]);
    check(got.size * 10 >= count * 9, `only ${got.size} of ${count} datagrams came back`);
    return { sent: count, received: got.size, size };
}

async function reset(conn, code) {
    const { send, recv } = await conn.openBi();
    await send.writeAll(bytes(`reset ${code}\n`));
    try {
        await recv.readToEnd(LIMIT);
    } catch (error) {
        check(codeOf(error.message) === code, error.message);
        return { code };
    }
    throw new Failed("the stream was not reset");
}

async function stop(conn, code) {
    const { send } = await conn.openBi();
    await send.writeAll(bytes(`stop ${code}\n`));
    const got = await send.stopped();
    check(got === code, `stopped with ${got}`);
    return { code };
}

async function close(conn, code, ...words) {
    const reason = words.join(" ");
    const { send } = await conn.openBi();
    await send.writeAll(bytes(`close ${code} ${reason}\n`));
    const how = closeOf(await conn.closed());
    const same = how.kind === "application" && how.code === code && how.reason === reason;
    check(same, JSON.stringify(how));
    return { close: how };
}

async function sendReset(conn, code) {
    const { send } = await conn.openBi();
    await send.writeAll(new Array(1000).fill(120));
    await sleep(200); // a reset that overtakes the data would hide the stream from the server's application
    await send.reset(BigInt(code));
    await sleep(300);
    return { code };
}

async function sendStop(conn, code) {
    const { send, recv } = await conn.openBi();
    // The upload may never end: a server can stop reading when nobody takes its echo.
    writePattern(send, 0, 4 << 20).catch(() => {});
    await recv.readExact(1000);
    await recv.stop(BigInt(code));
    await sleep(500);
    return { code };
}

async function sendClose(conn, code, ...words) {
    await echoBi(conn, 10);
    conn.close(BigInt(code), bytes(words.join(" ")));
    return { code };
}

async function idle(conn) {
    emit({ event: "connected" });
    const began = Date.now();
    const how = closeOf(await conn.closed());
    check(how.kind === "timeout", JSON.stringify(how));
    return { close: how, seconds: (Date.now() - began) / 1000 };
}

async function hold(conn, seconds) {
    await sleep(seconds * 1000);
    return echoBi(conn, 1000);
}

// An echo over the way that the scenario is about.
const echoBy = (kind) => async (conn, size) => {
    const way = () => {
        const path = conn.paths().find((p) => p.isSelected);
        return path === undefined ? "none" : path.isRelay ? "relay" : "direct";
    };
    for (let ms = 0; ms < 20000 && way() !== kind; ms += 20) await sleep(20);
    check(way() === kind, `the path is ${way()}, not ${kind}`);
    const result = await echoBi(conn, size);
    check(way() === kind, `the path became ${way()}`);
    return { ...result, path: kind };
};

const SCENARIOS = {
    "echo-bi": echoBi, "echo-uni": echoUni, hash: echoBi, parallel, datagrams, reset, stop, close,
    relayed: echoBy("relay"), direct: echoBy("direct"),
    "send-reset": sendReset, "send-stop": sendStop, "send-close": sendClose, idle, hold,
};

async function connectFails(endpoint, addr, args, name) {
    const alpn = name === "wrong-alpn" ? "interop/unknown/0" : args.alpn;
    if (name === "wrong-id") addr = new EndpointAddr(SecretKey.generate().public(), null, args.addr);
    let text;
    try {
        await endpoint.connect(addr, bytes(alpn));
    } catch (error) {
        text = error.message;
    }
    check(text !== undefined, "the connection was accepted");
    check(kindOfFailure(text) === (name === "wrong-id" ? "other" : name), text);
    return { kind: name, error: text };
}

async function runScenario(endpoint, args) {
    const [name, ...words] = args.do;
    const id = EndpointId.fromBytes(Array.from(Buffer.from(args.id, "hex")));
    const addr = new EndpointAddr(id, args.relay ?? null, args.addr);
    if (["refused", "wrong-alpn", "wrong-id"].includes(name)) return connectFails(endpoint, addr, args, name);
    if (!(name in SCENARIOS)) return { skip: `this peer has no scenario ${name}` };
    const conn = await endpoint.connect(addr, bytes(args.alpn));
    check(hex(conn.remoteId()) === args.id, "connected to another endpoint");
    const result = await SCENARIOS[name](conn, ...words.map((w) => (/^\d+$/.test(w) ? Number(w) : w)));
    conn.close(0n, bytes("done"));
    return result;
}

async function client(args) {
    const endpoint = await bind(args, []);
    const began = Date.now();
    const late = sleep(args.for * 1000, null, { ref: false }).then(() => {
        throw new Failed("out of time");
    });
    let line;
    try {
        line = { ok: true, ...(await Promise.race([runScenario(endpoint, args), late])) };
    } catch (error) {
        line = { ok: false, error: error.message };
    }
    emit({ ...line, do: args.do[0], ms: Date.now() - began });
    await endpoint.close();
    process.exitCode = line.ok ? 0 : 1;
}

// Arguments

function parse(words) {
    const args = { alpn: "interop/echo/0", bind: "127.0.0.1:0", addr: [], do: [] };
    while (words.length > 0) {
        const name = words.shift().replace(/^--/, "");
        if (name === "do") args.do = words.splice(0);
        else if (name === "retry" || name === "refuse") args[name] = true;
        else if (name === "addr") args.addr.push(words.shift());
        else args[name] = name === "for" ? Number(words.shift()) : words.shift();
    }
    return args;
}

const [role, ...words] = process.argv.slice(2);
const args = parse(words);
args.for ??= role === "serve" ? 600 : 120;
await (role === "serve" ? serve(args) : client(args));
process.exit();
