//! Clients of the relay crate that test or load a relay. See `usage`.
mod check;
mod load;
mod qad;

use std::{collections::HashMap, process::ExitCode, sync::Arc, time::Duration};

use iroh_base::{RelayUrl, SecretKey};
use iroh_dns::dns::DnsResolver;
use iroh_relay::{
    client::{Client, ClientBuilder},
    tls::CaTlsConfig,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};

const USAGE: &str = "usage: interop-relay check|load|idle|storm|qad --url URL [--ca FILE] [--token TOKEN] [OPTION VALUE]...
  check                                       behaviour; prints `ok NAME` or `FAIL NAME: why` for each case
  load  --pairs N --rate N --seconds N --size N --batch N --flush N
                                              rate: frames/s in all, 0: as many as there can be; batch: datagrams in a
                                              frame; flush: frames written at once
  idle  --count N                             holds connections until standard input ends; a line with a number in it
                                              lets so many datagrams cross between them
  storm --count N --at-once N                 connects and leaves
  qad   --host NAME --addr IP:PORT            address discovery";

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The options of the command line.
pub struct Options(HashMap<String, String>);

impl Options {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn number(&self, name: &str, default: u64) -> Result<u64, Error> {
        Ok(self.text(name).map(str::parse).transpose()?.unwrap_or(default))
    }
}

/// How to reach the relay; makes clients.
#[derive(Clone)]
pub struct Relay {
    pub url: RelayUrl,
    pub tls: rustls::ClientConfig,
    pub token: Option<String>,
    resolver: DnsResolver,
}

pub fn tls_config(ca: Option<&str>) -> Result<rustls::ClientConfig, Error> {
    let roots = match ca {
        Some(path) => CaTlsConfig::custom_roots(
            CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?,
        ),
        None => CaTlsConfig::embedded(),
    };
    Ok(roots.client_config(Arc::new(rustls::crypto::ring::default_provider()))?)
}

impl Relay {
    fn new(options: &Options) -> Result<Self, Error> {
        Ok(Self {
            url: options.text("url").ok_or("--url is missing")?.parse()?,
            tls: tls_config(options.text("ca"))?,
            token: options.text("token").map(str::to_owned),
            resolver: DnsResolver::new(),
        })
    }

    pub async fn connect(&self, key: &SecretKey) -> Result<Client, Error> {
        let mut builder = ClientBuilder::new(self.url.clone(), key.clone(), self.resolver.clone())
            .tls_client_config(self.tls.clone());
        if let Some(token) = &self.token {
            builder = builder.auth_token(token.clone());
        }
        Ok(tokio::time::timeout(Duration::from_secs(10), builder.connect()).await??)
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Option<(String, Options)> {
    let command = args.next()?;
    let mut options = HashMap::new();
    while let Some(name) = args.next() {
        options.insert(name.strip_prefix("--")?.to_owned(), args.next()?);
    }
    Some((command, Options(options)))
}

async fn run(command: &str, options: &Options) -> Result<bool, Error> {
    if command == "qad" {
        return qad::run(options).await;
    }
    let relay = Relay::new(options)?;
    match command {
        "check" => check::run(&relay).await,
        "load" => load::run(&relay, options).await,
        "idle" => load::idle(&relay, options).await,
        "storm" => load::storm(&relay, options).await,
        _ => Err(USAGE.into()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some((command, options)) = parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&command, &options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("interop-relay: {error}");
            ExitCode::FAILURE
        }
    }
}
