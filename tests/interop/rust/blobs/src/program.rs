// A peer of the crate iroh-blobs for the interop tests.
//
// usage: interop-blobs getter TICKET      asks a provider of a collection, whose first file has more than 100 KiB
//        interop-blobs client TICKET [push]   asks a peer that serves what world.rs says; with push, one that takes pushes
//        interop-blobs serve [--store DIR] [--secret HEX] [--push] [--large BYTES]
//        interop-blobs fetch DIR TICKET   into a store on disk, or what is missing there
//
// `getter` and `client` print `ok NAME` or `FAIL NAME: why` for each case. `serve` prints `ticket TICKET` and serves until
// its input ends. `fetch` prints `local BYTES` and, when all is there, `done`.
use anyhow::{Context, Result, bail};
use blobs::{
    BlobsProtocol,
    api::Store,
    provider::events::{EventMask, EventSender, RequestMode},
    store::{fs::FsStore, mem::MemStore},
    ticket::BlobTicket,
};
use iroh::{Endpoint, RelayMode, SecretKey, endpoint::presets, protocol::Router};
use std::path::PathBuf;
use tokio::io::AsyncReadExt;

use crate::{client, getter, world};

#[derive(Default)]
struct Options {
    store: Option<PathBuf>,
    secret: Option<String>,
    push: bool,
    large: Option<usize>,
}

fn options(words: &[String]) -> Result<Options> {
    let mut o = Options::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--push" => o.push = true,
            "--store" => o.store = Some(value()?.into()),
            "--secret" => o.secret = Some(value()?.clone()),
            "--large" => o.large = Some(value()?.parse()?),
            _ => bail!("no option {word}"),
        }
    }
    Ok(o)
}

pub async fn endpoint(secret: Option<&str>) -> Result<Endpoint> {
    let mut builder = Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Disabled)
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")?;
    if let Some(text) = secret {
        builder = builder.secret_key(text.parse::<SecretKey>()?);
    }
    Ok(builder.bind().await?)
}

async fn open(path: Option<&PathBuf>) -> Result<Store> {
    Ok(match path {
        Some(path) => FsStore::load(path).await.map_err(|e| anyhow::anyhow!("{e}"))?.into(),
        None => (*MemStore::new()).clone(),
    })
}

// Pushes are taken by the mask alone; whoever holds the channel need not listen.
fn with_push() -> EventSender {
    let mask = EventMask { push: RequestMode::None, ..EventMask::DEFAULT };
    let (sender, mut events) = EventSender::channel(16, mask);
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    sender
}

async fn serve(o: Options) -> Result<()> {
    let store = open(o.store.as_ref()).await?;
    let content = match o.large {
        Some(size) => world::fill_large(&store, size).await?,
        None => world::fill(&store).await?,
    };
    let endpoint = endpoint(o.secret.as_deref()).await?;
    let ticket = BlobTicket::new(endpoint.addr(), content.hash, content.format);
    let protocol = BlobsProtocol::new(&store, o.push.then(with_push));
    let router = Router::builder(endpoint).accept(blobs::ALPN, protocol).spawn();
    println!("ticket {ticket}");
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    router.shutdown().await?;
    Ok(())
}

async fn fetch(folder: &str, ticket: &str) -> Result<()> {
    let ticket: BlobTicket = ticket.parse()?;
    let store = open(Some(&folder.into())).await?;
    let local = store.remote().local(ticket.hash_and_format()).await?;
    println!("local {}", local.local_bytes());
    let endpoint = endpoint(None).await?;
    let connection = endpoint.connect(ticket.addr().clone(), blobs::ALPN).await?;
    store.remote().fetch(connection, ticket.hash_and_format()).complete().await?;
    println!("done");
    store.shutdown().await?;
    endpoint.close().await;
    Ok(())
}

pub fn report(name: &str, result: Result<()>) -> bool {
    match &result {
        Ok(()) => println!("ok {name}"),
        Err(why) => println!("FAIL {name}: {why:#}"),
    }
    result.is_ok()
}

pub async fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let texts: Vec<&str> = words.iter().map(String::as_str).collect();
    let good = match texts.as_slice() {
        ["getter", ticket] => getter::run(ticket).await?,
        ["client", ticket] => client::run(ticket, false).await?,
        ["client", ticket, "push"] => client::run(ticket, true).await?,
        ["fetch", folder, ticket] => fetch(folder, ticket).await.map(|()| true)?,
        ["serve", ..] => serve(options(&words[1..])?).await.map(|()| true)?,
        _ => bail!("usage: getter TICKET | client TICKET [push] | serve [OPTIONS] | fetch DIR TICKET"),
    };
    std::process::exit(i32::from(!good));
}
