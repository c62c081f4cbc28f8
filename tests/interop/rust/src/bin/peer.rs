//! A real iroh 1.4.1 endpoint (the published crates) speaking the line protocol of tests/interop/README.md.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use interop_rust::*;
use iroh::SecretKey;
use iroh::endpoint::{
    Connection, Endpoint, Incoming, ReadError, RecvStream, SendStream, VarInt, WriteError, ZeroRttStatus,
};
use serde_json::{Value, json};

const CHUNK: usize = 64 << 10;
const COMMANDS: [&[u8]; 3] = [b"reset ", b"stop ", b"close "];
const COMMAND_MAX: usize = 256;
const TICKETS: usize = 256;
const SETTLING: usize = 1 << 20;

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip(1);
    let role = words.next().unwrap_or_default();
    let outcome = match (role.as_str(), Args::parse(words)) {
        (_, Err(error)) => Err(error),
        ("serve", Ok(args)) => serve(args).await,
        ("client", Ok(args)) => client(args).await,
        _ => Err("usage: peer serve|client ...".into()),
    };
    if let Err(error) = outcome {
        eprintln!("peer: {error}");
        std::process::exit(1);
    }
}

// Server

async fn serve(args: Args) -> Result<()> {
    let alpns: Vec<&str> = args.get("alpn").unwrap_or("interop/echo/0").split(',').collect();
    let endpoint = bind(&args, &alpns, TICKETS).await?;
    if args.has("relay") {
        endpoint.online().await;
    }
    announce(&endpoint);
    let (refuse, retry) = (args.has("refuse"), args.has("retry"));
    let accepting = endpoint.clone();
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            if refuse {
                incoming.refuse();
            } else if retry && !incoming.remote_addr_validated() {
                let _ = incoming.retry();
            } else {
                tokio::spawn(serve_connection(incoming));
            }
        }
    });
    end_of_serving(&args).await?;
    endpoint.close().await;
    Ok(())
}

async fn serve_connection(incoming: Incoming) {
    let conn = match incoming.await {
        Ok(conn) => conn,
        Err(error) => return emit(&json!({"event": "failed", "text": format!("{error:#}")})),
    };
    let remote = hex(conn.remote_id().as_bytes());
    let alpn = String::from_utf8_lossy(conn.alpn()).into_owned();
    emit(&json!({"event": "accepted", "remote": remote, "alpn": alpn, "cipher": negotiated_suite()}));
    tokio::join!(accept_bi(&conn), accept_uni(&conn), echo_datagrams(&conn));
    emit(&json!({"event": "closed", "remote": remote, "close": close_of(&conn.closed().await)}));
}

async fn accept_bi(conn: &Connection) {
    while let Ok((send, recv)) = conn.accept_bi().await {
        let conn = conn.clone();
        tokio::spawn(async move { report(serve_bi(conn, send, recv).await) });
    }
}

async fn accept_uni(conn: &Connection) {
    while let Ok(recv) = conn.accept_uni().await {
        let conn = conn.clone();
        tokio::spawn(async move {
            let Ok(send) = conn.open_uni().await else { return };
            report(echo(send, recv).await)
        });
    }
}

async fn echo_datagrams(conn: &Connection) {
    while let Ok(data) = conn.read_datagram().await {
        let _ = conn.send_datagram(data);
    }
}

/// Tells the test when the peer reset or stopped a stream.
fn report(outcome: Result<()>) {
    let Err(error) = outcome else { return };
    if let Some(ReadError::Reset(code)) = error.downcast_ref() {
        emit(&json!({"event": "reset", "code": code.into_inner()}));
    } else if let Some(WriteError::Stopped(code)) = error.downcast_ref() {
        emit(&json!({"event": "stopped", "code": code.into_inner()}));
    }
}

/// Reads until the bytes are a whole command or cannot become one.
async fn read_command(recv: &mut RecvStream) -> Result<(Vec<u8>, bool)> {
    let mut head = Vec::new();
    while let Some(chunk) = recv.read_chunk(CHUNK).await? {
        head.extend_from_slice(&chunk);
        let possible = COMMANDS.iter().any(|c| c.iter().zip(&head).all(|(a, b)| a == b));
        if possible && head.iter().take(COMMAND_MAX).any(|b| *b == b'\n') {
            return Ok((head, true));
        }
        if !possible || head.len() >= COMMAND_MAX {
            return Ok((head, false));
        }
    }
    Ok((head, false))
}

async fn serve_bi(conn: Connection, mut send: SendStream, mut recv: RecvStream) -> Result<()> {
    let (head, is_command) = read_command(&mut recv).await?;
    if is_command {
        let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
        return obey(&conn, send, recv, std::str::from_utf8(line)?);
    }
    send.write_all(&head).await?;
    echo(send, recv).await
}

async fn echo(mut send: SendStream, mut recv: RecvStream) -> Result<()> {
    while let Some(chunk) = recv.read_chunk(CHUNK).await? {
        send.write_chunk(chunk).await?;
    }
    send.finish()?;
    match send.stopped().await {
        Ok(Some(code)) => Err(WriteError::Stopped(code).into()),
        _ => Ok(()),
    }
}

fn obey(conn: &Connection, mut send: SendStream, mut recv: RecvStream, line: &str) -> Result<()> {
    let mut words = line.splitn(3, ' ');
    let (verb, code) = (words.next(), words.next().unwrap_or_default().parse::<u64>()?);
    let code = VarInt::from_u64(code)?;
    match verb {
        Some("reset") => send.reset(code)?,
        Some("stop") => recv.stop(code)?,
        _ => conn.close(code, words.next().unwrap_or_default().as_bytes()),
    }
    Ok(())
}

// Client

async fn client(args: Args) -> Result<()> {
    let endpoint = bind(&args, &[], TICKETS).await?;
    let began = Instant::now();
    let limit = Duration::from_secs(args.number("for", 120)?);
    let outcome = tokio::time::timeout(limit, scenario(&endpoint, &args)).await;
    let mut line = match outcome {
        Ok(Ok(line)) => line,
        Ok(Err(error)) => json!({"error": format!("{error:#}")}),
        Err(_) => json!({"error": "out of time"}),
    };
    let ok = line.get("error").is_none() || line.get("kind").is_some();
    line["ok"] = json!(ok);
    line["do"] = json!(args.script.first());
    line["ms"] = json!(began.elapsed().as_millis() as u64);
    emit(&line);
    endpoint.close().await;
    if !ok {
        std::process::exit(1);
    }
    Ok(())
}

fn alpn(args: &Args) -> &[u8] {
    args.get("alpn").unwrap_or("interop/echo/0").as_bytes()
}

async fn connect(endpoint: &Endpoint, args: &Args) -> Result<Connection> {
    let peer = args.peer()?;
    let id = peer.id;
    let conn = endpoint.connect(peer, alpn(args)).await?;
    check(conn.remote_id() == id, "connected to another endpoint")?;
    Ok(conn)
}

async fn scenario(endpoint: &Endpoint, args: &Args) -> Result<Value> {
    let name = args.script.first().ok_or("--do needs a scenario")?.as_str();
    let number = |i: usize| -> Result<u64> { Ok(args.script.get(i).ok_or("a number is missing")?.parse()?) };
    match name {
        "refused" | "wrong-alpn" | "wrong-id" => return connect_fails(endpoint, args, name).await,
        "resume" | "resume-restart" => return resume(endpoint, args, name == "resume-restart").await,
        _ => {}
    }
    let conn = connect(endpoint, args).await?;
    let reason = args.script.get(2..).unwrap_or_default().join(" ");
    let mut line = match name {
        "echo-bi" | "hash" => echo_bi(&conn, number(1)? as usize, 0).await?,
        "echo-uni" => echo_uni(&conn, number(1)? as usize).await?,
        "parallel" => parallel(&conn, number(1)? as usize, number(2)? as usize).await?,
        "datagrams" => datagrams(&conn, number(1)? as u32, number(2)? as usize).await?,
        "reset" => reset(&conn, number(1)?).await?,
        "stop" => stop(&conn, number(1)?).await?,
        "close" => close(&conn, number(1)?, &reason).await?,
        "send-reset" => send_reset(&conn, number(1)?).await?,
        "send-stop" => send_stop(&conn, number(1)?).await?,
        "send-close" => {
            echo_bi(&conn, 10, 0).await?;
            conn.close(VarInt::from_u64(number(1)?)?, reason.as_bytes());
            json!({"code": number(1)?})
        }
        "idle" => idle(&conn).await?,
        "hold" => {
            tokio::time::sleep(Duration::from_secs(number(1)?)).await;
            echo_bi(&conn, 1000, 0).await?
        }
        "relayed" => echo_by(&conn, "relay", number(1)? as usize).await?,
        "direct" => echo_by(&conn, "direct", number(1)? as usize).await?,
        _ => json!({"skip": format!("this peer has no scenario {name}")}),
    };
    line["cipher"] = json!(negotiated_suite());
    conn.close(0u8.into(), b"done");
    Ok(line)
}

async fn write_pattern(send: &mut SendStream, pattern: &Pattern, start: usize, size: usize) -> Result<()> {
    let mut at = 0;
    while at < size {
        let piece = pattern.slice(start + at, (size - at).min(CHUNK - 16));
        send.write_all(piece).await?;
        at += piece.len();
    }
    send.finish()?;
    Ok(())
}

async fn read_pattern(recv: &mut RecvStream, pattern: &Pattern, start: usize, size: usize) -> Result<()> {
    let mut at = 0;
    while let Some(chunk) = recv.read_chunk(CHUNK).await? {
        check(pattern.matches(start + at, &chunk), format!("the echo differs after byte {at}"))?;
        at += chunk.len();
    }
    check(at == size, format!("{at} bytes came back instead of {size}"))
}

async fn echo_bi(conn: &Connection, size: usize, start: usize) -> Result<Value> {
    let pattern = Pattern::default();
    let (mut send, mut recv) = conn.open_bi().await?;
    tokio::try_join!(write_pattern(&mut send, &pattern, start, size), read_pattern(&mut recv, &pattern, start, size))?;
    Ok(json!({"bytes": size}))
}

async fn echo_uni(conn: &Connection, size: usize) -> Result<Value> {
    let pattern = Pattern::default();
    let mut send = conn.open_uni().await?;
    let back = async {
        let mut recv = conn.accept_uni().await?;
        read_pattern(&mut recv, &pattern, 0, size).await
    };
    tokio::try_join!(write_pattern(&mut send, &pattern, 0, size), back)?;
    Ok(json!({"bytes": size}))
}

async fn parallel(conn: &Connection, count: usize, size: usize) -> Result<Value> {
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..count {
        let conn = conn.clone();
        tasks.spawn(async move { echo_bi(&conn, size, 7919 * i).await });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome??;
    }
    Ok(json!({"streams": count, "bytes": count * size}))
}

fn way_of(conn: &Connection) -> &'static str {
    match conn.paths().iter().find(|path| path.is_selected()) {
        None => "none",
        Some(path) if path.is_relay() => "relay",
        Some(_) => "direct",
    }
}

/// An echo over the way that the scenario is about.
async fn echo_by(conn: &Connection, way: &str, size: usize) -> Result<Value> {
    let until = Instant::now() + Duration::from_secs(20);
    while way_of(conn) != way && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    check(way_of(conn) == way, format!("the path is {}, not {way}", way_of(conn)))?;
    let mut line = echo_bi(conn, size, 0).await?;
    check(way_of(conn) == way, format!("the path became {}", way_of(conn)))?;
    line["path"] = json!(way);
    Ok(line)
}

async fn receive_datagrams(conn: Connection, count: u32, size: usize) -> Result<usize> {
    let pattern = Pattern::default();
    let mut got = HashSet::new();
    while got.len() < count as usize {
        let Ok(data) = tokio::time::timeout(Duration::from_secs(2), conn.read_datagram()).await else { break };
        let data = data?;
        check(data.len() == size, format!("a datagram of {} bytes", data.len()))?;
        let index = u32::from_be_bytes(data[..4].try_into()?);
        check(pattern.matches(index as usize, &data[4..]), format!("datagram {index} differs"))?;
        got.insert(index);
    }
    Ok(got.len())
}

async fn datagrams(conn: &Connection, count: u32, size: usize) -> Result<Value> {
    // What goes one way may be too large for the other until both have found what fits the path: a transfer lets them.
    if size == 0 {
        echo_bi(conn, SETTLING, 0).await?;
    }
    let largest = conn.max_datagram_size().unwrap_or(0);
    let size = if size == 0 { largest } else { size };
    check((4..=largest).contains(&size), format!("max_datagram_size is {largest}"))?;
    let receiver = tokio::spawn(receive_datagrams(conn.clone(), count, size));
    let pattern = Pattern::default();
    for i in 0..count {
        let data = [&i.to_be_bytes(), pattern.slice(i as usize, size - 4)].concat();
        conn.send_datagram_wait(data.into()).await?;
    }
    let got = receiver.await??;
    check(got * 10 >= count as usize * 9, format!("only {got} of {count} datagrams came back"))?;
    Ok(json!({"sent": count, "received": got, "size": size}))
}

async fn reset(conn: &Connection, code: u64) -> Result<Value> {
    let (mut send, mut recv) = conn.open_bi().await?;
    send.write_all(format!("reset {code}\n").as_bytes()).await?;
    loop {
        match recv.read_chunk(CHUNK).await {
            Ok(Some(_)) => {}
            Ok(None) => return Err("the stream ended instead of being reset".into()),
            Err(ReadError::Reset(got)) if got.into_inner() == code => return Ok(json!({"code": code})),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn stop(conn: &Connection, code: u64) -> Result<Value> {
    let (mut send, _recv) = conn.open_bi().await?;
    send.write_all(format!("stop {code}\n").as_bytes()).await?;
    loop {
        match send.write_all(&[0; 1000]).await {
            Ok(()) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(WriteError::Stopped(got)) if got.into_inner() == code => return Ok(json!({"code": code})),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn close(conn: &Connection, code: u64, reason: &str) -> Result<Value> {
    let (mut send, _recv) = conn.open_bi().await?;
    send.write_all(format!("close {code} {reason}\n").as_bytes()).await?;
    let how = close_of(&conn.closed().await);
    check(how == json!({"kind": "application", "code": code, "reason": reason}), how.to_string())?;
    Ok(json!({"close": how}))
}

async fn send_reset(conn: &Connection, code: u64) -> Result<Value> {
    let (mut send, _recv) = conn.open_bi().await?;
    send.write_all(&[b'x'; 1000]).await?;
    // A reset that overtakes the data would hide the stream from the server's application.
    tokio::time::sleep(Duration::from_millis(200)).await;
    send.reset(VarInt::from_u64(code)?)?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    Ok(json!({"code": code}))
}

async fn send_stop(conn: &Connection, code: u64) -> Result<Value> {
    let pattern = Pattern::default();
    let (mut send, mut recv) = conn.open_bi().await?;
    let stopping = async {
        recv.read_exact(&mut [0; 1000]).await?;
        recv.stop(VarInt::from_u64(code)?)?;
        Ok(())
    };
    // The server stops reading when nobody takes its echo, so the upload may never end; it only has to be large enough.
    let upload = tokio::time::timeout(Duration::from_secs(2), write_pattern(&mut send, &pattern, 0, 4 << 20));
    let (stopped, _) = tokio::join!(stopping, upload);
    stopped.map_err(|e: Error| e)?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(json!({"code": code}))
}

async fn idle(conn: &Connection) -> Result<Value> {
    emit(&json!({"event": "connected"}));
    let began = Instant::now();
    let how = close_of(&conn.closed().await);
    check(how["kind"] == "timeout", how.to_string())?;
    Ok(json!({"close": how, "seconds": began.elapsed().as_secs()}))
}

async fn connect_fails(endpoint: &Endpoint, args: &Args, name: &str) -> Result<Value> {
    let (peer, alpn) = match name {
        "wrong-alpn" => (args.peer()?, b"interop/unknown/0".as_slice()),
        "wrong-id" => (args.addrs_of(SecretKey::generate().public())?, alpn(args)),
        _ => (args.peer()?, alpn(args)),
    };
    let error = match endpoint.connect(peer, alpn).await {
        Ok(_) => return Err("the connection was accepted".into()),
        Err(error) => error,
    };
    let close = connection_error(&error).map(close_of).ok_or(format!("{error:#}"))?;
    let expected = match name {
        "refused" => close["kind"] == "transport" && close["code"] == 2,
        "wrong-alpn" => close["kind"] == "transport" && close["code"] == 0x178,
        _ => close["kind"] == "local",
    };
    check(expected, close.to_string())?;
    Ok(json!({"kind": name, "error": close["text"], "close": close}))
}

/// A first connection for the ticket, then a second one that sends its request as early data. With `restart` the test
/// starts the server anew in between, so that the early data is rejected and sent again.
async fn resume(endpoint: &Endpoint, args: &Args, restart: bool) -> Result<Value> {
    let first = connect(endpoint, args).await?;
    echo_bi(&first, 1000, 0).await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    first.close(0u8.into(), b"done");
    if restart {
        emit(&json!({"event": "ticket"}));
        tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    }
    let connecting = endpoint.connect_with_opts(args.peer()?, alpn(args), Default::default()).await?;
    let Ok(early) = connecting.into_0rtt() else { return Err("no ticket that allows early data".into()) };
    let pattern = Pattern::default();
    let (mut send, mut recv) = early.open_bi().await?;
    write_pattern(&mut send, &pattern, 0, 500).await?;
    let (conn, outcome) = match early.handshake_completed().await? {
        ZeroRttStatus::Accepted(conn) => {
            read_pattern(&mut recv, &pattern, 0, 500).await?;
            (conn, "accepted")
        }
        ZeroRttStatus::Rejected(conn) => (conn, "rejected"),
    };
    echo_bi(&conn, 100_000, 0).await?;
    conn.close(0u8.into(), b"done");
    Ok(json!({"early": outcome, "cipher": negotiated_suite()}))
}
