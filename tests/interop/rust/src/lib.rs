//! What the interop peer and the performance baseline share: endpoints, cipher suites, how connections end.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use iroh::endpoint::{ConnectionError, Endpoint, presets};
use iroh::tls::CaTlsConfig;
use iroh::{EndpointAddr, EndpointId, RelayConfig, RelayMap, RelayMode, SecretKey, TransportAddr};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::quic::{Algorithm, HeaderProtectionKey, PacketKey};
use rustls::{CipherSuite, SupportedCipherSuite, Tls13CipherSuite};
use serde_json::{Value, json};

mod common;

pub use common::*;

// Endpoints

impl Args {
    /// The peer that `--id` and `--addr` name.
    pub fn peer(&self) -> Result<EndpointAddr> {
        let id = EndpointId::from_bytes(&bytes32(self.get("id").ok_or("--id is missing")?)?)?;
        self.addrs_of(id)
    }

    /// The addresses of `--addr`, and the relay, under another identity.
    pub fn addrs_of(&self, id: EndpointId) -> Result<EndpointAddr> {
        let addrs: Vec<SocketAddr> =
            self.all("addr").iter().map(|a| a.parse()).collect::<std::result::Result<_, _>>()?;
        let relay = self.get("relay").map(str::parse).transpose()?;
        let ways = addrs.into_iter().map(TransportAddr::Ip).chain(relay.map(TransportAddr::Relay));
        Ok(EndpointAddr::from_parts(id, ways))
    }

    /// The relay of `--relay` with its token, if any.
    fn relay_mode(&self) -> Result<RelayMode> {
        let Some(url) = self.get("relay") else { return Ok(RelayMode::Disabled) };
        let mut relay = RelayConfig::new(url.parse()?, None);
        if let Some(token) = self.get("relay-token") {
            relay = relay.with_auth_token(token);
        }
        Ok(RelayMode::Custom(RelayMap::from_iter([relay])))
    }
}

const DEFAULT_BIND: &str = "127.0.0.1:0";

/// Binds to loopback only, or with `--relay-only` to nothing, without look-up or port mapping, and without a relay unless
/// there is `--relay`. `tickets` is the size of the TLS ticket cache.
pub async fn bind(args: &Args, alpns: &[&str], tickets: usize) -> Result<Endpoint> {
    let mut builder = Endpoint::builder(presets::Minimal)
        .relay_mode(args.relay_mode()?)
        .crypto_provider(Arc::new(provider(args.get("cipher"))?))
        .max_tls_tickets(tickets)
        .alpns(alpns.iter().map(|a| a.as_bytes().to_vec()).collect())
        .clear_ip_transports();
    if !args.has("relay-only") {
        builder = builder.bind_addr(args.get("bind").unwrap_or(DEFAULT_BIND))?;
    }
    if let Some(path) = args.get("ca-file") {
        let roots = CertificateDer::pem_file_iter(path)?.collect::<std::result::Result<Vec<_>, _>>()?;
        builder = builder.ca_tls_config(CaTlsConfig::custom_roots(roots));
    }
    if let Some(secret) = args.get("secret") {
        builder = builder.secret_key(SecretKey::from_bytes(&bytes32(secret)?));
    }
    Ok(builder.bind().await?)
}

/// Prints the line that tells a test how to reach the endpoint.
pub fn announce(endpoint: &Endpoint) {
    let addrs = endpoint.bound_sockets();
    let addr = EndpointAddr::from_parts(endpoint.id(), addrs.iter().copied().map(TransportAddr::Ip));
    let ticket = iroh_tickets::endpoint::EndpointTicket::new(addr).to_string();
    let addrs: Vec<String> = addrs.iter().map(|a| a.to_string()).collect();
    emit(&json!({"id": hex(endpoint.id().as_bytes()), "addrs": addrs, "ticket": ticket}));
}

/// Returns when standard input ends or `--for` seconds have passed.
pub async fn end_of_serving(args: &Args) -> Result<()> {
    let limit = Duration::from_secs(args.number("for", 600)?);
    let input = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let _ = tokio::time::timeout(limit, input).await;
    Ok(())
}

// Cipher suites. The original cannot be told to offer one suite only: AES-128-GCM must be there for Initial packets. So
// the wanted suite is put first, and what was negotiated is learnt from whose keys were made last.

static LAST_SUITE: AtomicU16 = AtomicU16::new(0);

struct Watched {
    suite: CipherSuite,
    inner: &'static dyn Algorithm,
}

impl Algorithm for Watched {
    fn packet_key(&self, key: rustls::crypto::cipher::AeadKey, iv: rustls::crypto::cipher::Iv) -> Box<dyn PacketKey> {
        LAST_SUITE.store(u16::from(self.suite), Ordering::Relaxed);
        self.inner.packet_key(key, iv)
    }

    fn header_protection_key(&self, key: rustls::crypto::cipher::AeadKey) -> Box<dyn HeaderProtectionKey> {
        self.inner.header_protection_key(key)
    }

    fn aead_key_len(&self) -> usize {
        self.inner.aead_key_len()
    }
}

const SUITES: [(&str, CipherSuite); 3] = [
    ("aes128", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("aes256", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("chacha20", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
];

/// The suite of the newest keys of this process, of whatever connection they are.
pub fn negotiated_suite() -> &'static str {
    let last = LAST_SUITE.load(Ordering::Relaxed);
    SUITES.iter().find(|(_, suite)| u16::from(*suite) == last).map_or("none", |(name, _)| name)
}

fn watched(suite: &SupportedCipherSuite) -> Option<SupportedCipherSuite> {
    let tls13 = suite.tls13()?;
    let quic: &'static dyn Algorithm = Box::leak(Box::new(Watched { suite: suite.suite(), inner: tls13.quic? }));
    let copy = Tls13CipherSuite {
        common: rustls::crypto::CipherSuiteCommon {
            suite: tls13.common.suite,
            hash_provider: tls13.common.hash_provider,
            confidentiality_limit: tls13.common.confidentiality_limit,
        },
        hkdf_provider: tls13.hkdf_provider,
        aead_alg: tls13.aead_alg,
        quic: Some(quic),
    };
    Some(SupportedCipherSuite::Tls13(Box::leak(Box::new(copy))))
}

fn provider(first: Option<&str>) -> Result<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites = provider.cipher_suites.iter().filter_map(watched).collect();
    let Some(name) = first else { return Ok(provider) };
    let (_, suite) = SUITES.iter().find(|(known, _)| *known == name).ok_or("unknown cipher")?;
    provider.cipher_suites.retain(|s| s.suite() == *suite || s.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider.cipher_suites.sort_by_key(|s| s.suite() != *suite);
    Ok(provider)
}

// Results

/// How a connection ended, as `{kind, code, reason}`.
pub fn close_of(error: &ConnectionError) -> Value {
    match error {
        ConnectionError::ApplicationClosed(close) => json!({
            "kind": "application",
            "code": close.error_code.into_inner(),
            "reason": String::from_utf8_lossy(&close.reason),
        }),
        ConnectionError::ConnectionClosed(close) => {
            json!({"kind": "transport", "code": u64::from(close.error_code), "text": error.to_string()})
        }
        ConnectionError::TransportError(own) => {
            json!({"kind": "local", "code": u64::from(own.code), "text": error.to_string()})
        }
        ConnectionError::TimedOut => json!({"kind": "timeout"}),
        ConnectionError::Reset => json!({"kind": "reset"}),
        _ => json!({"kind": "local"}),
    }
}

/// The connection error somewhere below `error`.
pub fn connection_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a ConnectionError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<ConnectionError>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
