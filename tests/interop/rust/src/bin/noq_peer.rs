//! The QUIC of iroh alone (the crate noq, with iroh's transport settings and TLS), told what to do line by line: the
//! path protocol of tests/interop/README.md. Built with noq 1.4.0 here and with 1.0.1 in the folder `old`.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use noq::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use noq::{
    ClientConfig, Connection, ConnectionError, Endpoint, EndpointConfig, FourTuple, FrameStats, Incoming, Path,
    PathEvent, PathId, PathStatus, ServerConfig, TransportConfig, ValidationTokenConfig, VarInt,
};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;
use tokio_stream::StreamExt;

#[path = "../common.rs"]
#[allow(dead_code)]
mod common;
#[path = "../noq_tls.rs"]
mod noq_tls;

use common::*;
use noq_tls::*;

const CHUNK: usize = 64 << 10;
const ALPN: &str = "interop/echo/0";

// What iroh sets: iroh/src/socket.rs.
const HEARTBEAT: Duration = Duration::from_secs(5);
const PATH_IDLE: u64 = 15_000;
const PATHS: u32 = 8;
const CANDIDATES: u8 = 32;

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip(1);
    let role = words.next().unwrap_or_default();
    let outcome = match (role.as_str(), Args::parse(words)) {
        (_, Err(error)) => Err(error),
        ("serve" | "client", Ok(args)) => run(role == "serve", args).await,
        _ => Err("usage: noq_peer serve|client ...".into()),
    };
    if let Err(error) = outcome {
        eprintln!("noq_peer: {error}");
        std::process::exit(1);
    }
}

fn transport(args: &Args) -> Result<Arc<TransportConfig>> {
    let mut config = TransportConfig::default();
    config.keep_alive_interval(Some(HEARTBEAT));
    config.default_path_keep_alive_interval(Some(HEARTBEAT.min(path_idle(args)? / 3)));
    config.default_path_max_idle_timeout(Some(path_idle(args)?));
    config.max_concurrent_multipath_paths(PATHS);
    config.max_remote_nat_traversal_addresses(CANDIDATES);
    config.server_handshake_migration(true);
    config.send_observed_address_reports(args.has("observe"));
    config.receive_observed_address_reports(args.has("observe"));
    Ok(Arc::new(config))
}

fn path_idle(args: &Args) -> Result<Duration> {
    Ok(Duration::from_millis(args.number("path-idle", PATH_IDLE)?))
}

fn server_config(args: &Args, identity: &Identity) -> Result<ServerConfig> {
    let mut tls = rustls::ServerConfig::builder_with_provider(identity.provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier(identity, None))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(identity.key.clone())));
    tls.max_early_data_size = u32::MAX;
    tls.alpn_protocols = vec![ALPN.into()];
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config.transport_config(transport(args)?);
    if let Some(preferred) = args.get("preferred") {
        config.preferred_address_v4(Some(preferred.parse()?));
    }
    if !args.has("tokens") {
        let mut tokens = ValidationTokenConfig::default();
        tokens.sent(0);
        config.validation_token_config(tokens);
    }
    Ok(config)
}

fn client_config(args: &Args, identity: &Identity) -> Result<Option<ClientConfig>> {
    let Some(id) = args.get("id") else { return Ok(None) };
    let algorithm = rustls::pki_types::alg_id::ED25519;
    let expected = rustls::sign::public_key_to_spki(&algorithm, bytes32(id)?).to_vec();
    let mut tls = rustls::ClientConfig::builder_with_provider(identity.provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier(identity, Some(expected)))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(identity.key.clone())));
    tls.enable_early_data = true;
    tls.enable_sni = false;
    tls.alpn_protocols = vec![ALPN.into()];
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(transport(args)?);
    Ok(Some(config))
}

// The program

struct Peer {
    endpoint: Endpoint,
    client: Option<ClientConfig>,
    addr: Option<SocketAddr>, // what to dial
    bind: IpAddr,
    retry: bool,
    conn: Option<Connection>, // the newest
}

fn bind(args: &Args) -> Result<(std::net::UdpSocket, SocketAddr)> {
    let at: SocketAddr = args.get("bind").unwrap_or("127.0.0.1:0").parse()?;
    Ok((std::net::UdpSocket::bind(at)?, at))
}

async fn run(serving: bool, args: Args) -> Result<()> {
    let identity = identity(args.get("secret"))?;
    let (socket, at) = bind(&args)?;
    let port = socket.local_addr()?.port();
    let mut config = EndpointConfig::default();
    config.grease_quic_bit(false);
    let server = if serving { Some(server_config(&args, &identity)?) } else { None };
    let endpoint = Endpoint::new(config, server, socket, noq::default_runtime().ok_or("no runtime")?)?;
    let hosts: Vec<String> = match args.all("host") {
        [] => vec![SocketAddr::new(at.ip(), port).to_string()],
        hosts => hosts.iter().map(|h| format!("{h}:{port}")).collect(),
    };
    emit(&json!({"id": hex(&identity.public), "addrs": hosts}));
    let addr = args.get("addr").map(|a| a.parse()).transpose()?;
    let client = client_config(&args, &identity)?;
    let mut peer = Peer { endpoint, client, addr, bind: at.ip(), retry: args.has("retry"), conn: None };
    let limit = Duration::from_secs(args.number("for", 120)?);
    let _ = tokio::time::timeout(limit, peer.obey_all()).await;
    peer.endpoint.close(VarInt::from_u32(0), b"done");
    let _ = tokio::time::timeout(Duration::from_secs(2), peer.endpoint.wait_idle()).await;
    Ok(())
}

impl Peer {
    /// Obeys the lines of standard input until it ends.
    async fn obey_all(&mut self) {
        let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
        let (given, mut accepted) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(accept_all(self.endpoint.clone(), self.retry, given));
        loop {
            tokio::select! {
                Some(conn) = accepted.recv() => self.conn = Some(conn),
                line = lines.next_line() => {
                    let Ok(Some(line)) = line else { return };
                    match self.obey(&line).await {
                        Ok(Value::Null) => emit(&json!({"done": line})),
                        Ok(more) => emit(&json!({"done": line, "result": more})),
                        Err(error) => emit(&json!({"done": line, "error": error.to_string()})),
                    }
                }
            }
        }
    }

    fn conn(&self) -> Result<&Connection> {
        self.conn.as_ref().ok_or("no connection".into())
    }

    fn path(&self, id: Option<&str>) -> Result<Path> {
        let id: u32 = id.ok_or("which path?")?.parse()?;
        self.conn()?.path(PathId::from(id)).ok_or("no such path".into())
    }

    async fn obey(&mut self, line: &str) -> Result<Value> {
        let mut words = line.split(' ');
        let verb = words.next().unwrap_or_default();
        let mut word = || words.next();
        match verb {
            "connect" => self.connect(word()).await?,
            "open" => return self.open(parsed(word())?, word().unwrap_or("available")),
            "abandon" => self.path(word())?.close()?,
            "status" => drop(self.path(word())?.set_status(status_of(word().unwrap_or_default()))?),
            "candidate" => self.conn()?.add_nat_traversal_address(parsed(word())?)?,
            "uncandidate" => self.conn()?.remove_nat_traversal_address(parsed(word())?)?,
            "round" => drop(self.conn()?.initiate_nat_traversal_round()?),
            "echo" => drop(tokio::spawn(echo_reported(self.conn()?.clone(), parsed(word())?))),
            "keys" => self.conn()?.force_key_update(),
            "rebind" => self.endpoint.rebind(std::net::UdpSocket::bind((self.bind, 0))?)?,
            "network" => self.endpoint.handle_network_change(None),
            "stats" => return stats(self.conn()?),
            "close" => {
                let code = VarInt::from_u64(parsed(word())?)?;
                self.conn()?.close(code, words.collect::<Vec<_>>().join(" ").as_bytes())
            }
            _ => return Err("unknown command".into()),
        }
        Ok(Value::Null)
    }

    /// `early`: that many bytes go as early data, if a session allows it.
    async fn connect(&mut self, early: Option<&str>) -> Result<()> {
        let config = self.client.clone().ok_or("--id is missing")?;
        let connecting = self.endpoint.connect_with(config, self.addr.ok_or("--addr is missing")?, "iroh.invalid")?;
        let (conn, outcome) = match early {
            None => (connecting.await?, Value::Null),
            Some(size) => match connecting.into_0rtt() {
                Err(_) => return Err("no session that allows early data".into()),
                Ok((conn, accepted)) => {
                    let echo = tokio::spawn(echo(conn.clone(), size.parse()?));
                    let accepted = accepted.await;
                    if accepted {
                        echo.await??;
                    }
                    (conn, json!(if accepted { "accepted" } else { "rejected" }))
                }
            },
        };
        watch(&conn, outcome);
        self.conn = Some(conn);
        Ok(())
    }

    fn open(&self, remote: SocketAddr, status: &str) -> Result<Value> {
        let opening = self.conn()?.open_path_ensure(FourTuple::from_remote(remote), status_of(status));
        let id = opening.path_id().map(|id| id.to_string());
        if let Some(id) = id {
            return Ok(json!({"path": id.parse::<u32>()?}));
        }
        Err("no path can be opened now".into())
    }
}

fn parsed<T: FromStr>(word: Option<&str>) -> Result<T>
where
    T::Err: Into<Error>,
{
    word.ok_or("a word is missing")?.parse().map_err(Into::into)
}

fn status_of(word: &str) -> PathStatus {
    if word == "backup" { PathStatus::Backup } else { PathStatus::Available }
}

fn status_text(status: PathStatus) -> &'static str {
    if status == PathStatus::Backup { "backup" } else { "available" }
}

fn number(id: PathId) -> u32 {
    id.to_string().parse().unwrap_or(u32::MAX)
}

/// IPv4 as IPv4, whatever the socket makes of it.
fn canonical(addr: SocketAddr) -> String {
    SocketAddr::new(addr.ip().to_canonical(), addr.port()).to_string()
}

async fn accept_all(endpoint: Endpoint, retry: bool, given: tokio::sync::mpsc::UnboundedSender<Connection>) {
    while let Some(incoming) = endpoint.accept().await {
        if retry && !incoming.remote_address_validated() {
            let _ = incoming.retry();
        } else {
            tokio::spawn(serve(incoming, given.clone()));
        }
    }
}

async fn serve(incoming: Incoming, given: tokio::sync::mpsc::UnboundedSender<Connection>) {
    let validated = incoming.remote_address_validated();
    match incoming.await {
        Ok(conn) => {
            watch(&conn, json!({"validated": validated}));
            let _ = given.send(conn.clone());
            while let Ok((send, recv)) = conn.accept_bi().await {
                tokio::spawn(serve_stream(send, recv));
            }
        }
        Err(error) => emit(&json!({"event": "failed", "text": error.to_string()})),
    }
}

async fn serve_stream(mut send: noq::SendStream, mut recv: noq::RecvStream) -> Result<()> {
    while let Some(chunk) = recv.read_chunk(CHUNK).await? {
        send.write_chunk(chunk).await?;
    }
    send.finish()?;
    let _ = send.stopped().await;
    Ok(())
}

// Events

fn watch(conn: &Connection, early: Value) {
    let multipath = conn.is_multipath_enabled();
    let remote = conn.path(PathId::ZERO).and_then(|p| p.remote_address().ok()).map(canonical);
    let nat = conn.get_local_nat_traversal_addresses().is_ok();
    emit(&json!({"event": "connected", "remote": remote, "multipath": multipath, "nat": nat, "early": early}));
    // Path 0 may have heard its own address before anybody listened.
    let first = conn.observed_external_addr().get();
    if let Some(addr) = first {
        emit(&json!({"event": "observed", "path": 0, "address": canonical(addr)}));
    }
    let mut events = conn.path_events();
    let weak = conn.weak_handle();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => emit(&path_event(&weak, event)),
                Err(error) => emit(&json!({"event": "lagged", "text": error.to_string()})),
            }
        }
    });
    let mut updates = conn.nat_traversal_updates();
    let weak = conn.weak_handle();
    tokio::spawn(async move {
        while updates.next().await.is_some() {
            let Some(conn) = weak.upgrade() else { return };
            emit(&json!({"event": "candidates", "addresses": candidates(&conn)}));
        }
    });
    let closing = conn.clone();
    tokio::spawn(async move { emit(&json!({"event": "closed", "close": close_of(&closing.closed().await)})) });
}

fn path_event(conn: &noq::WeakConnectionHandle, event: PathEvent) -> Value {
    match event {
        PathEvent::Established { id, .. } => {
            let remote = conn.upgrade().and_then(|c| c.path(id)).and_then(|p| p.remote_address().ok()).map(canonical);
            json!({"event": "established", "path": number(id), "remote": remote})
        }
        PathEvent::Abandoned { id, reason, .. } => {
            let text = format!("{reason:?}");
            let code: Option<u64> = text.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok();
            json!({"event": "abandoned", "path": number(id), "by_peer": text.starts_with("Remote"), "code": code,
                "reason": text})
        }
        PathEvent::Discarded { id, .. } => json!({"event": "gone", "path": number(id)}),
        PathEvent::RemoteStatus { id, status, .. } => {
            json!({"event": "status", "path": number(id), "status": status_text(status)})
        }
        PathEvent::ObservedAddr { id, addr, .. } => {
            json!({"event": "observed", "path": number(id), "address": canonical(addr)})
        }
        other => json!({"event": "other", "text": format!("{other:?}")}),
    }
}

fn candidates(conn: &Connection) -> Vec<String> {
    conn.get_remote_nat_traversal_addresses().unwrap_or_default().into_iter().map(canonical).collect()
}

fn close_of(error: &ConnectionError) -> Value {
    match error {
        ConnectionError::ApplicationClosed(close) => json!({
            "kind": "application",
            "code": close.error_code.into_inner(),
            "reason": String::from_utf8_lossy(&close.reason),
        }),
        ConnectionError::ConnectionClosed(close) => {
            json!({"kind": "transport", "code": u64::from(close.error_code), "text": error.to_string()})
        }
        ConnectionError::TimedOut => json!({"kind": "timeout"}),
        ConnectionError::Reset => json!({"kind": "reset"}),
        _ => json!({"kind": "local", "text": error.to_string()}),
    }
}

// Transfers

async fn echo(conn: Connection, size: usize) -> Result<()> {
    let (mut send, mut recv) = conn.open_bi().await?;
    let pattern = Pattern::default();
    let writing = async {
        let mut at = 0;
        while at < size {
            let piece = pattern.slice(at, (size - at).min(CHUNK - 16));
            send.write_all(piece).await?;
            at += piece.len();
        }
        send.finish()?;
        Ok::<(), Error>(())
    };
    let reading = async {
        let (mut at, mut half) = (0, size / 2);
        while let Some(chunk) = recv.read_chunk(CHUNK).await? {
            check(pattern.matches(at, &chunk), format!("the echo differs after byte {at}"))?;
            at += chunk.len();
            if at >= half {
                half = usize::MAX;
                emit(&json!({"event": "half"}));
            }
        }
        check(at == size, format!("{at} bytes came back instead of {size}"))
    };
    tokio::try_join!(writing, reading)?;
    Ok(())
}

async fn echo_reported(conn: Connection, size: usize) {
    match echo(conn, size).await {
        Ok(()) => emit(&json!({"event": "echoed", "bytes": size})),
        Err(error) => emit(&json!({"event": "failed", "text": error.to_string()})),
    }
}

// State

fn frames(f: &FrameStats) -> Value {
    json!({
        "path_challenge": f.path_challenge, "path_response": f.path_response, "path_abandon": f.path_abandon,
        "max_path_id": f.max_path_id, "path_available": f.path_status_available, "path_backup": f.path_status_backup,
        "paths_blocked": f.paths_blocked, "path_cids_blocked": f.path_cids_blocked, "path_acks": f.path_acks,
        "observed_addr": f.observed_addr, "add_address": f.add_address, "remove_address": f.remove_address,
        "reach_out": f.reach_out, "new_token": f.new_token, "immediate_ack": f.immediate_ack,
    })
}

/// Paths are numbered from 0 without large gaps, and there is no list of them.
const PATH_IDS: u32 = 64;

fn stats(conn: &Connection) -> Result<Value> {
    let paths: Vec<Value> = (0..PATH_IDS)
        .filter_map(|id| conn.path(PathId::from(id)))
        .map(|path| {
            let s = path.stats();
            json!({
                "path": number(path.id()),
                "remote": path.remote_address().ok().map(canonical),
                "status": path.status().ok().map(status_text),
                "bytes_sent": s.udp_tx.bytes, "bytes_received": s.udp_rx.bytes, "mtu": s.current_mtu,
            })
        })
        .collect();
    let s = conn.stats();
    Ok(json!({"paths": paths, "candidates": candidates(conn), "sent": frames(&s.frame_tx),
        "received": frames(&s.frame_rx)}))
}
