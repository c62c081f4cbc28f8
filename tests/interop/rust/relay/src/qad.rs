//! Address discovery, as the crate does it.
use std::{net::SocketAddr, time::Duration};

use futures_util::StreamExt;
use iroh_relay::quic::QuicClient;

use crate::{Error, Options, tls_config};

pub async fn run(options: &Options) -> Result<bool, Error> {
    let remote: SocketAddr = options.text("addr").ok_or("--addr is missing")?.parse()?;
    let host = options.text("host").ok_or("--host is missing")?;
    let any = if remote.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let endpoint = noq::Endpoint::client(any.parse()?)?;
    let client = QuicClient::new(endpoint.clone(), tls_config(options.text("ca"))?);
    let conn = tokio::time::timeout(Duration::from_secs(5), client.create_conn(remote, host)).await??;
    let mut observed = conn.observed_external_addr();
    let seen = tokio::time::timeout(Duration::from_secs(5), observed.next()).await?.ok_or("no report")?;
    let seen = SocketAddr::new(seen.ip().to_canonical(), seen.port());
    let own = endpoint.local_addr()?;
    conn.close(1u32.into(), b"finished");
    endpoint.wait_idle().await;
    if seen == own {
        println!("ok address_discovery");
    } else {
        println!("FAIL address_discovery: seen as {seen}, is {own}");
    }
    Ok(seen == own)
}
