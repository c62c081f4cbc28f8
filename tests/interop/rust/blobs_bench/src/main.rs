// Blobs from one store of the crate iroh-blobs to another over loopback, both in this process.
//
// usage: blobs-bench memory|disk blob|small AMOUNT
//
// The amount is in MiB of one blob, or in blobs of 1 KiB, which go as one hash sequence. The first transfer is to a store
// that is deleted at once. Prints a line of JSON for the second: seconds from the connect on, CPU seconds of both sides
// together, the peak of the process's own memory. Stores on disk are in a folder of their own below the current one, which
// is deleted. As bench/blobs_transfer.c, with which it is compared.
use anyhow::{Context, Result, bail};
use iroh::{Endpoint, EndpointAddr, RelayMode, TransportAddr, endpoint::presets, protocol::Router};
use iroh_blobs::{
    BlobFormat, BlobsProtocol, Hash, HashAndFormat,
    api::{Store, TempTag},
    hashseq::HashSeq,
    store::{fs::FsStore, mem::MemStore},
};
use std::{path::Path, time::Instant};

const SMALL: usize = 1024;

fn usage() -> libc::rusage {
    // SAFETY: rusage is plain numbers, which the call fills.
    unsafe {
        let mut u = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut u);
        u
    }
}

fn cpu(u: &libc::rusage) -> f64 {
    (u.ru_utime.tv_sec + u.ru_stime.tv_sec) as f64 + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) as f64 / 1e6
}

struct Noise(u64);

impl Noise {
    fn fill(&mut self, out: &mut [u8]) {
        for word in out.chunks_exact_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            word.copy_from_slice(&self.0.to_le_bytes());
        }
    }
}

async fn open(kind: &str, dir: &Path) -> Result<Store> {
    Ok(match kind {
        "memory" => MemStore::new().into(),
        "disk" => FsStore::load(dir).await?.into(),
        _ => bail!("unknown store {kind}"),
    })
}

async fn add_blob(store: &Store, mib: usize) -> Result<TempTag> {
    let mut data = vec![0; mib << 20];
    Noise(88172645463325252).fill(&mut data);
    Ok(store.blobs().add_bytes(data).temp_tag().await?)
}

async fn add_small(store: &Store, count: usize) -> Result<(TempTag, Vec<TempTag>)> {
    let (mut noise, mut tags) = (Noise(88172645463325252), Vec::new());
    let batch = store.blobs().batch().await?;
    for _ in 0..count {
        let mut data = vec![0; SMALL];
        noise.fill(&mut data);
        tags.push(batch.add_bytes(data).temp_tag().await?);
    }
    let hashes: HashSeq = tags.iter().map(|tag| tag.hash()).collect::<Vec<Hash>>().into_iter().collect();
    let options = iroh_blobs::api::blobs::AddBytesOptions { data: hashes.into(), format: BlobFormat::HashSeq };
    let root = store.blobs().add_bytes_with_opts(options).temp_tag().await?;
    Ok((root, tags))
}

async fn bind() -> Result<Endpoint> {
    Ok(Endpoint::builder(presets::Minimal).relay_mode(RelayMode::Disabled).bind().await?)
}

// Returns the line of figures.
async fn transfer(kind: &str, dir: &Path, addr: EndpointAddr, root: &TempTag) -> Result<String> {
    let (to, client) = (open(kind, dir).await?, bind().await?);
    let (start, before) = (Instant::now(), usage());
    let connection = client.connect(addr, iroh_blobs::ALPN).await?;
    let content = HashAndFormat { hash: root.hash(), format: root.format() };
    to.remote().fetch(connection, content).complete().await?;
    let (seconds, after) = (start.elapsed().as_secs_f64(), usage());
    client.close().await;
    to.shutdown().await?;
    if kind == "disk" {
        std::fs::remove_dir_all(dir)?;
    }
    Ok(format!(
        "{{\"seconds\": {seconds:.4}, \"cpu_seconds\": {:.4}, \"peak_kib\": {}}}",
        cpu(&after) - cpu(&before),
        after.ru_maxrss
    ))
}

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, kind, what, amount] = &args[..] else { bail!("usage: blobs-bench memory|disk blob|small AMOUNT") };
    let amount: usize = amount.parse()?;
    let dir = std::env::current_dir()?.join(format!("blobs-bench-{}", std::process::id()));
    let from = open(kind, &dir.join("from")).await?;
    let (root, _children) = match what.as_str() {
        "blob" => (add_blob(&from, amount).await?, Vec::new()),
        "small" => add_small(&from, amount).await?,
        _ => bail!("unknown content {what}"),
    };
    let server = bind().await?;
    let port = server.bound_sockets().iter().find(|a| a.is_ipv4()).context("no IPv4 address")?.port();
    let addr = EndpointAddr::from_parts(server.id(), [TransportAddr::Ip(([127, 0, 0, 1], port).into())]);
    let router = Router::builder(server).accept(iroh_blobs::ALPN, BlobsProtocol::new(&from, None)).spawn();
    transfer(kind, &dir.join("to"), addr.clone(), &root).await?;
    println!("{}", transfer(kind, &dir.join("to"), addr, &root).await?);
    router.shutdown().await?; // shuts the store down, too
    if kind == "disk" {
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}
