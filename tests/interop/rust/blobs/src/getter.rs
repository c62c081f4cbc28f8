// A getter of the crate iroh-blobs, which asks a provider for what sendme never asks for.
//
// The ticket is of a collection whose first file has more than 100 KiB.
use anyhow::{Context, Result, bail, ensure};
use blobs::{
    Hash,
    hashseq::HashSeq,
    protocol::{ChunkRanges, ChunkRangesExt, ChunkRangesSeq, GetManyRequest, GetRequest, ObserveRequest, PushRequest},
    store::mem::MemStore,
    ticket::BlobTicket,
};
use iroh::{Endpoint, endpoint::Connection};
use n0_future::StreamExt;

use crate::program::{endpoint, report};

struct Peer {
    connection: Connection,
    root: Hash,
    children: Vec<Hash>,
}

fn chunks(start: u64, end: u64) -> ChunkRanges {
    ChunkRanges::chunks(start..end)
}

async fn get(peer: &Peer, store: &MemStore, request: GetRequest) -> Result<()> {
    store.remote().execute_get(peer.connection.clone(), request).complete().await?;
    Ok(())
}

async fn whole_sequence(peer: &Peer) -> Result<()> {
    let store = MemStore::new();
    get(peer, &store, GetRequest::all(peer.root)).await?;
    for child in &peer.children {
        ensure!(store.has(*child).await?, "a child is missing");
    }
    Ok(())
}

// Ranges that begin and end inside groups, which need parents that no outboard has.
async fn parts_of_groups(peer: &Peer) -> Result<()> {
    for ranges in [chunks(3, 20), chunks(17, 33), chunks(0, 1), chunks(90, 95) | chunks(5, 6)] {
        let store = MemStore::new();
        let file = peer.children[1];
        get(peer, &store, GetRequest::blob_ranges(file, ranges.clone())).await?;
        let have = store.observe(file).await?;
        ensure!(have.ranges == ranges, "wanted {ranges:?}, have {:?}", have.ranges);
    }
    Ok(())
}

async fn last_chunks_of_children(peer: &Peer) -> Result<()> {
    let store = MemStore::new();
    get(peer, &store, GetRequest::new(peer.root, ChunkRangesSeq::verified_child_sizes())).await?;
    for child in &peer.children {
        let have = store.observe(*child).await?;
        ensure!(have.validated_size().is_some(), "the size of {child} is not proven");
    }
    Ok(())
}

// A child without the sequence: the getter has that already.
async fn one_child(peer: &Peer) -> Result<()> {
    let store = MemStore::new();
    get(peer, &store, GetRequest::blob(peer.root)).await?;
    get(peer, &store, GetRequest::builder().child(1, ChunkRanges::all()).build(peer.root)).await?;
    ensure!(store.has(peer.children[1]).await?, "it did not come");
    ensure!(!store.has(peer.children[0]).await?, "another one came too");
    Ok(())
}

async fn many(peer: &Peer) -> Result<()> {
    let store = MemStore::new();
    let request = GetManyRequest::new(peer.children.clone(), ChunkRangesSeq::all());
    store.remote().execute_get_many(peer.connection.clone(), request).complete().await?;
    for child in &peer.children {
        ensure!(store.has(*child).await?, "a blob is missing");
    }
    Ok(())
}

async fn observe(peer: &Peer) -> Result<()> {
    let store = MemStore::new();
    let mut items = Box::pin(store.remote().observe(peer.connection.clone(), ObserveRequest::new(peer.children[1])));
    let first = items.next().await.context("no item")??;
    ensure!(first.is_complete(), "not complete: {first:?}");
    let mut items = Box::pin(store.remote().observe(peer.connection.clone(), ObserveRequest::new(Hash::new(b"none"))));
    let first = items.next().await.context("no item")??;
    ensure!(first.ranges.is_empty(), "something is there: {first:?}");
    Ok(())
}

async fn unknown(peer: &Peer) -> Result<()> {
    let store = MemStore::new();
    if get(peer, &store, GetRequest::blob(Hash::new(b"none"))).await.is_ok() {
        bail!("an unknown blob came");
    }
    Ok(())
}

// Refused, and the connection goes on.
async fn push(peer: &Peer) -> Result<()> {
    let store = MemStore::new();
    let tag = store.add_slice(vec![7u8; 3_000_000]).await?;
    let request = PushRequest::new(tag.hash, ChunkRangesSeq::root());
    let _ = store.remote().execute_push(peer.connection.clone(), request).complete().await;
    let mut items = Box::pin(store.remote().observe(peer.connection.clone(), ObserveRequest::new(tag.hash)));
    let first = items.next().await.context("no item")??;
    ensure!(first.ranges.is_empty(), "the push was taken: {first:?}");
    Ok(())
}

async fn connect(ticket: &BlobTicket) -> Result<(Endpoint, Peer)> {
    let endpoint = endpoint(None).await?;
    let connection = endpoint.connect(ticket.addr().clone(), blobs::ALPN).await?;
    let mut peer = Peer { connection, root: ticket.hash(), children: Vec::new() };
    let store = MemStore::new();
    get(&peer, &store, GetRequest::blob(peer.root)).await?;
    let bytes = store.get_bytes(peer.root).await?;
    peer.children = HashSeq::new(bytes).context("no hash sequence")?.iter().collect();
    Ok((endpoint, peer))
}

pub async fn run(ticket: &str) -> Result<bool> {
    let (endpoint, peer) = connect(&ticket.parse()?).await?;
    let mut good = true;
    good &= report("whole-sequence", whole_sequence(&peer).await);
    good &= report("parts-of-groups", parts_of_groups(&peer).await);
    good &= report("last-chunks", last_chunks_of_children(&peer).await);
    good &= report("one-child", one_child(&peer).await);
    good &= report("many-files", many(&peer).await);
    good &= report("observe-file", observe(&peer).await);
    good &= report("unknown", unknown(&peer).await);
    good &= report("push-refused", push(&peer).await);
    endpoint.close().await;
    Ok(good)
}
