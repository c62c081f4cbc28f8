//! The native baseline of the benches: the original's speed, CPU time and memory, over the protocol `iroh-c/perf/0`
//! that `iroh perf` speaks too, so that either program can be either side. The protocol is in tests/interop/README.md.
//!
//! perf serve [--bind A] [--for SECONDS]
//! perf run  --id HEX --addr A [--bytes N] [--seconds N] [--only upload,download,requests,handshakes]
//! perf idle --id HEX --addr A --count N [--hold SECONDS]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use interop_rust::*;
use iroh::endpoint::{Connection, Endpoint, RecvStream, SendStream, VarInt};
use serde_json::{Map, Value, json};

const ALPN: &str = "iroh-c/perf/0";
const UPLOAD: u8 = 1;
const DOWNLOAD: u8 = 2;
const REQUEST: u8 = 3;
const MEMORY: u8 = 4;
const HEADER: usize = 17;
const REQUEST_MAX: usize = 65536;
const SMALL: u64 = 64;
const IN_FLIGHT: usize = 64;
const CHUNK: usize = 64 << 10;
const GIGABYTE: f64 = 1e9;
const DEFAULT_BYTES: u64 = 1 << 30;

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip(1);
    let role = words.next().unwrap_or_default();
    let outcome = match (role.as_str(), Args::parse(words)) {
        (_, Err(error)) => Err(error),
        ("serve", Ok(args)) => serve(args).await,
        ("run", Ok(args)) => run(args).await,
        ("idle", Ok(args)) => idle(args).await,
        _ => Err("usage: perf serve|run|idle ...".into()),
    };
    if let Err(error) = outcome {
        eprintln!("perf: {error:#}");
        std::process::exit(1);
    }
}

// The process

/// CPU time of the whole process, user and system, in microseconds.
fn cpu_us() -> u64 {
    // SAFETY: getrusage fills the structure that it is given, for which all zeros is a valid value.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let us = |t: libc::timeval| t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64;
    us(usage.ru_utime) + us(usage.ru_stime)
}

/// Memory that only this process has, in bytes.
fn private_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let kilobytes = |line: &str| line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok());
    text.lines().filter(|line| line.starts_with("Private_")).filter_map(kilobytes).sum::<u64>() * 1024
}

// Server

async fn serve(args: Args) -> Result<()> {
    let endpoint = bind(&args, &[ALPN], 256).await?;
    announce(&endpoint);
    let open = Arc::new(AtomicU64::new(0));
    let accepting = endpoint.clone();
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            let open = open.clone();
            tokio::spawn(async move {
                let Ok(conn) = incoming.await else { return };
                open.fetch_add(1, Ordering::Relaxed);
                serve_connection(conn, &open).await;
                open.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    end_of_serving(&args).await?;
    emit(&json!({"event": "usage", "cpu_us": cpu_us(), "private_bytes": private_bytes()}));
    endpoint.close().await;
    Ok(())
}

async fn serve_connection(conn: Connection, open: &Arc<AtomicU64>) {
    while let Ok((send, recv)) = conn.accept_bi().await {
        let open = open.clone();
        tokio::spawn(async move {
            if let Err(error) = answer(send, recv, &open).await {
                eprintln!("perf: {error:#}");
            }
        });
    }
}

async fn answer(mut send: SendStream, mut recv: RecvStream, open: &AtomicU64) -> Result<()> {
    let before = cpu_us();
    let mut header = [0; HEADER];
    recv.read_exact(&mut header).await?;
    let a = u64::from_be_bytes(header[1..9].try_into()?);
    let b = u64::from_be_bytes(header[9..17].try_into()?);
    match header[0] {
        UPLOAD => {
            let count = read_all(&mut recv).await?;
            check(count == a, format!("upload of {count} bytes instead of {a}"))?;
            send.write_all(&pair(count, cpu_us() - before)).await?;
        }
        DOWNLOAD => {
            write_zeros(&mut send, a).await?;
            send.write_all(&(cpu_us() - before).to_be_bytes()).await?;
        }
        REQUEST => {
            recv.read_to_end(REQUEST_MAX).await?;
            check(b <= REQUEST_MAX as u64, "an answer larger than allowed was asked for")?;
            write_zeros(&mut send, b).await?;
        }
        MEMORY => send.write_all(&pair(private_bytes(), open.load(Ordering::Relaxed))).await?,
        op => return Err(format!("unknown operation {op}").into()),
    }
    send.finish()?;
    Ok(())
}

fn pair(a: u64, b: u64) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&a.to_be_bytes());
    out[8..].copy_from_slice(&b.to_be_bytes());
    out
}

fn unpair(bytes: &[u8]) -> Result<(u64, u64)> {
    check(bytes.len() == 16, "an answer of the wrong size")?;
    Ok((u64::from_be_bytes(bytes[..8].try_into()?), u64::from_be_bytes(bytes[8..].try_into()?)))
}

async fn read_all(recv: &mut RecvStream) -> Result<u64> {
    let mut count = 0;
    while let Some(chunk) = recv.read_chunk(CHUNK).await? {
        count += chunk.len() as u64;
    }
    Ok(count)
}

async fn write_zeros(send: &mut SendStream, size: u64) -> Result<()> {
    static ZEROS: [u8; CHUNK] = [0; CHUNK];
    let mut left = size;
    while left > 0 {
        let piece = left.min(CHUNK as u64) as usize;
        send.write_all(&ZEROS[..piece]).await?;
        left -= piece as u64;
    }
    Ok(())
}

// Client

async fn open(conn: &Connection, op: u8, a: u64, b: u64) -> Result<(SendStream, RecvStream)> {
    let (mut send, recv) = conn.open_bi().await?;
    let mut header = [op; HEADER];
    header[1..].copy_from_slice(&pair(a, b));
    send.write_all(&header).await?;
    Ok((send, recv))
}

async fn upload(conn: &Connection, bytes: u64, out: &mut Map<String, Value>) -> Result<()> {
    let (began, before) = (Instant::now(), cpu_us());
    let (mut send, mut recv) = open(conn, UPLOAD, bytes, 0).await?;
    write_zeros(&mut send, bytes).await?;
    send.finish()?;
    let (count, server_us) = unpair(&recv.read_to_end(16).await?)?;
    check(count == bytes, "the server counted differently")?;
    report_transfer(out, "upload", bytes, began.elapsed());
    report_cpu(out, "upload", bytes, cpu_us() - before, server_us);
    Ok(())
}

async fn download(conn: &Connection, bytes: u64, out: &mut Map<String, Value>) -> Result<()> {
    let (began, before) = (Instant::now(), cpu_us());
    let (mut send, mut recv) = open(conn, DOWNLOAD, bytes, 0).await?;
    send.finish()?;
    let (mut count, mut tail) = (0, Vec::new());
    while let Some(chunk) = recv.read_chunk(CHUNK).await? {
        let data = (bytes - count).min(chunk.len() as u64);
        count += data;
        tail.extend_from_slice(&chunk[data as usize..]);
    }
    let server_us = u64::from_be_bytes(tail.try_into().map_err(|_| "the download ended early")?);
    report_transfer(out, "download", bytes, began.elapsed());
    report_cpu(out, "download", bytes, server_us, cpu_us() - before);
    Ok(())
}

fn report_transfer(out: &mut Map<String, Value>, name: &str, bytes: u64, took: Duration) {
    out.insert(format!("{name}_bytes_per_s"), json!((bytes as f64 / took.as_secs_f64()) as u64));
}

/// Both transfers give both figures; the plain names are those of the upload if it was asked for.
fn report_cpu(out: &mut Map<String, Value>, name: &str, bytes: u64, sender_us: u64, receiver_us: u64) {
    let per_gigabyte = |us: u64| json!((us as f64 / 1e3 / (bytes as f64 / GIGABYTE)).round() / 1e3);
    for (side, us) in [("send", sender_us), ("receive", receiver_us)] {
        let key = format!("cpu_s_per_gb_{side}");
        out.insert(format!("{name}_{key}"), per_gigabyte(us));
        out.entry(key).or_insert(per_gigabyte(us));
    }
}

async fn request(conn: &Connection) -> Result<()> {
    let (mut send, mut recv) = open(conn, REQUEST, SMALL, SMALL).await?;
    send.write_all(&[0; SMALL as usize]).await?;
    send.finish()?;
    let answer = recv.read_to_end(REQUEST_MAX).await?;
    check(answer.len() as u64 == SMALL, "an answer of the wrong size")
}

async fn requests(conn: &Connection, seconds: u64, out: &mut Map<String, Value>) -> Result<()> {
    let mut times = Vec::new();
    let (began, limit) = (Instant::now(), Duration::from_secs(seconds));
    while began.elapsed() < limit {
        let start = Instant::now();
        request(conn).await?;
        times.push(start.elapsed().as_nanos() as u64);
    }
    out.insert("requests_per_s_1".into(), json!((times.len() as f64 / began.elapsed().as_secs_f64()) as u64));
    times.sort_unstable();
    out.insert("rtt_us".into(), json!(times[times.len() / 2] as f64 / 1e3));
    out.insert("rtt_min_us".into(), json!(times[0] as f64 / 1e3));
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let conn = conn.clone();
        tasks.spawn(async move {
            let mut count = 0;
            while began.elapsed() < limit {
                request(&conn).await?;
                count += 1;
            }
            Ok::<u64, Error>(count)
        });
    }
    let mut count = 0;
    while let Some(outcome) = tasks.join_next().await {
        count += outcome??;
    }
    out.insert("requests_per_s_64".into(), json!((count as f64 / began.elapsed().as_secs_f64()) as u64));
    Ok(())
}

/// A whole handshake without resumption, closed as soon as it is complete.
async fn handshake(endpoint: &Endpoint, args: &Args) -> Result<()> {
    let connecting = endpoint.connect_with_opts(args.peer()?, ALPN.as_bytes(), Default::default()).await?;
    let conn = match connecting.into_0rtt() {
        Err(connecting) => connecting.await?,
        Ok(_) => return Err("the handshake would be a resumption".into()),
    };
    conn.close(VarInt::from_u32(0), b"");
    Ok(())
}

/// One after the other, on an endpoint that keeps no tickets.
async fn handshakes(args: &Args, seconds: u64, out: &mut Map<String, Value>) -> Result<()> {
    let endpoint = bind(args, &[], 0).await?;
    handshake(&endpoint, args).await?;
    let (began, before, mut count) = (Instant::now(), cpu_us(), 0u64);
    while began.elapsed() < Duration::from_secs(seconds) {
        handshake(&endpoint, args).await?;
        count += 1;
    }
    let took = began.elapsed().as_secs_f64();
    out.insert("handshakes_per_s".into(), json!((count as f64 / took).round()));
    out.insert("handshake_cpu_us".into(), json!((cpu_us() - before) / count.max(1)));
    endpoint.close().await;
    Ok(())
}

async fn run(args: Args) -> Result<()> {
    let (bytes, seconds) = (args.number("bytes", DEFAULT_BYTES)?, args.number("seconds", 3)?);
    let wanted = |name: &str| args.get("only").is_none_or(|list| list.split(',').any(|word| word == name));
    let mut out = Map::new();
    let endpoint = bind(&args, &[], 256).await?;
    let conn = endpoint.connect(args.peer()?, ALPN.as_bytes()).await?;
    if wanted("requests") {
        requests(&conn, seconds, &mut out).await?;
    }
    if wanted("upload") {
        upload(&conn, bytes, &mut out).await?;
    }
    if wanted("download") {
        download(&conn, bytes, &mut out).await?;
    }
    conn.close(VarInt::from_u32(0), b"done");
    endpoint.close().await;
    if wanted("handshakes") {
        handshakes(&args, seconds, &mut out).await?;
    }
    emit(&Value::Object(out));
    Ok(())
}

// Memory

async fn memory(conn: &Connection) -> Result<(u64, u64)> {
    let (mut send, mut recv) = open(conn, MEMORY, 0, 0).await?;
    send.finish()?;
    unpair(&recv.read_to_end(16).await?)
}

/// Opens connections, holds them for a while, and reports what one costs on either side.
async fn idle(args: Args) -> Result<()> {
    let count = args.number("count", 100)?.max(1);
    let endpoint = bind(&args, &[], 256).await?;
    let control = endpoint.connect(args.peer()?, ALPN.as_bytes()).await?;
    let (server_before, _) = memory(&control).await?;
    let own_before = private_bytes();
    let mut held = Vec::new();
    for _ in 0..count {
        held.push(endpoint.connect(args.peer()?, ALPN.as_bytes()).await?);
    }
    tokio::time::sleep(Duration::from_secs(args.number("hold", 3)?)).await;
    let own_after = private_bytes();
    let (server_after, connections) = memory(&control).await?;
    check(connections > count, format!("the server has only {connections} connections"))?;
    emit(&json!({
        "count": count,
        "server_private_before": server_before,
        "server_private_after": server_after,
        "server_bytes_per_connection": server_after.saturating_sub(server_before) / count,
        "client_bytes_per_connection": own_after.saturating_sub(own_before) / count,
    }));
    endpoint.close().await;
    Ok(())
}
