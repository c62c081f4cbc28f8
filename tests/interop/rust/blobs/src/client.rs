// What this peer asks of one that serves the world: complete, partial and missing blobs, news of them, and pushes.
use anyhow::{Context, Result, ensure};
use blobs::{
    Hash,
    api::blobs::Bitfield,
    protocol::{ChunkRanges, ChunkRangesExt, ChunkRangesSeq, GetManyRequest, GetRequest, ObserveRequest, PushRequest},
    store::mem::MemStore,
    ticket::BlobTicket,
};
use iroh::endpoint::Connection;
use n0_future::StreamExt;

use crate::{
    program::{endpoint, report},
    world::{self, hash_of, pattern},
};

async fn get(connection: &Connection, store: &MemStore, request: GetRequest) -> Result<()> {
    store.remote().execute_get(connection.clone(), request).complete().await?;
    Ok(())
}

async fn complete_blobs(c: &Connection) -> Result<()> {
    for size in world::SIZES {
        let store = MemStore::new();
        get(c, &store, GetRequest::blob(hash_of(size))).await?;
        ensure!(store.get_bytes(hash_of(size)).await? == pattern(size), "{size} bytes differ");
    }
    Ok(())
}

async fn complete_sequence(c: &Connection) -> Result<()> {
    let store = MemStore::new();
    get(c, &store, GetRequest::all(Hash::new(world::sequence(&world::SIZES)))).await?;
    for size in world::SIZES {
        ensure!(store.has(hash_of(size)).await?, "the child of {size} bytes is missing");
    }
    Ok(())
}

async fn ranges(c: &Connection) -> Result<()> {
    let hash = hash_of(1_048_576);
    for (first, end) in [(0, 1), (3, 20), (17, 33), (16, 32), (90, 95), (1000, 1024), (512, 513)] {
        let store = MemStore::new();
        let wanted = ChunkRanges::chunks(first..end);
        get(c, &store, GetRequest::blob_ranges(hash, wanted.clone())).await?;
        let have = store.observe(hash).await?;
        let proven = if end == 1024 { ChunkRanges::chunks(first..) } else { wanted };
        ensure!(have.ranges == proven, "wanted {proven:?}, have {:?}", have.ranges);
    }
    Ok(())
}

async fn beyond_the_end(c: &Connection) -> Result<()> {
    let store = MemStore::new();
    get(c, &store, GetRequest::blob_ranges(hash_of(100_000), ChunkRanges::last_chunk())).await?;
    let have = store.observe(hash_of(100_000)).await?;
    ensure!(have.validated_size() == Some(100_000), "the size is not proven: {have:?}");
    Ok(())
}

async fn partial_blob(c: &Connection) -> Result<()> {
    let hash = hash_of(world::PARTIAL_SIZE);
    let store = MemStore::new();
    get(c, &store, GetRequest::blob_ranges(hash, world::partial_ranges())).await?;
    let have = store.observe(hash).await?;
    ensure!(have.ranges == world::partial_ranges(), "have {:?}", have.ranges);
    ensure!(get(c, &store, GetRequest::blob(hash)).await.is_err(), "what is not there came");
    ensure!(get(c, &store, GetRequest::blob_ranges(hash, ChunkRanges::chunks(512..520))).await.is_err());
    Ok(())
}

async fn broken_sequence(c: &Connection) -> Result<()> {
    let store = MemStore::new();
    let root = Hash::new(world::broken_sequence());
    ensure!(get(c, &store, GetRequest::all(root)).await.is_err(), "what is not there came");
    let store = MemStore::new();
    get(c, &store, GetRequest::blob(root)).await?;
    get(c, &store, GetRequest::builder().child(0, ChunkRanges::all()).build(root)).await?;
    get(c, &store, GetRequest::builder().child(2, ChunkRanges::all()).build(root)).await?;
    ensure!(store.has(hash_of(5000)).await? && store.has(hash_of(16385)).await?, "a child is missing");
    Ok(())
}

// Where a provider has only the hashes that are needed.
async fn partial_sequence(c: &Connection) -> Result<()> {
    let store = MemStore::new();
    let tag = store.add_slice(world::long_sequence()).await?;
    let request = |child| GetRequest::builder().child(child, ChunkRanges::all()).build(tag.hash);
    get(c, &store, request(world::LONG_PRESENT)).await?;
    ensure!(store.has(hash_of(16385)).await?, "the child did not come");
    ensure!(get(c, &store, request(world::LONG_COUNT - 1)).await.is_err(), "what is not there came");
    Ok(())
}

async fn many(c: &Connection) -> Result<()> {
    let store = MemStore::new();
    let hashes: Vec<Hash> = world::SIZES.iter().map(|size| hash_of(*size)).collect();
    let request = GetManyRequest::new(hashes.clone(), ChunkRangesSeq::all());
    store.remote().execute_get_many(c.clone(), request).complete().await?;
    for hash in hashes {
        ensure!(store.has(hash).await?, "{hash} is missing");
    }
    Ok(())
}

async fn first_news(c: &Connection, hash: Hash) -> Result<Bitfield> {
    let store = MemStore::new();
    let mut items = Box::pin(store.remote().observe(c.clone(), ObserveRequest::new(hash)));
    Ok(items.next().await.context("no item")??)
}

async fn observe(c: &Connection) -> Result<()> {
    ensure!(first_news(c, hash_of(100_000)).await?.is_complete(), "the complete one is not");
    let partial = first_news(c, hash_of(world::PARTIAL_SIZE)).await?;
    ensure!(partial.ranges == world::partial_ranges(), "partial: {:?}", partial.ranges);
    ensure!(first_news(c, Hash::new(b"none")).await?.ranges.is_empty(), "something is there");
    Ok(())
}

// Watches the blob over there until it is complete, then gets it back.
async fn assert_arrives(c: &Connection, hash: Hash, bytes: Vec<u8>) -> Result<()> {
    let store = MemStore::new();
    let mut items = Box::pin(store.remote().observe(c.clone(), ObserveRequest::new(hash)));
    let mut have = Bitfield::empty();
    while !have.is_complete() {
        let news = items.next().await.context("it ends")??;
        let size = have.size().max(news.size());
        have = Bitfield::new(have.ranges | news.ranges, size);
    }
    get(c, &store, GetRequest::blob(hash)).await?;
    ensure!(store.get_bytes(hash).await? == bytes, "another came back");
    Ok(())
}

async fn push_blob(c: &Connection) -> Result<()> {
    let store = MemStore::new();
    let tag = store.add_slice(pattern(world::PUSHED_SIZE)).await?;
    let request = PushRequest::new(tag.hash, ChunkRangesSeq::root());
    store.remote().execute_push(c.clone(), request).complete().await?;
    assert_arrives(c, tag.hash, pattern(world::PUSHED_SIZE)).await
}

async fn push_sequence(c: &Connection) -> Result<()> {
    let store = MemStore::new();
    for size in world::PUSHED_CHILDREN {
        store.add_slice(pattern(size)).await?;
    }
    let root = store.add_slice(world::sequence(&world::PUSHED_CHILDREN)).await?;
    let request = PushRequest::new(root.hash, ChunkRangesSeq::all());
    store.remote().execute_push(c.clone(), request).complete().await?;
    for size in world::PUSHED_CHILDREN {
        assert_arrives(c, hash_of(size), pattern(size)).await?;
    }
    Ok(())
}

pub async fn run(ticket: &str, push: bool) -> Result<bool> {
    let ticket: BlobTicket = ticket.parse()?;
    let endpoint = endpoint(None).await?;
    let c = endpoint.connect(ticket.addr().clone(), blobs::ALPN).await?;
    let mut good = true;
    good &= report("complete-blobs", complete_blobs(&c).await);
    good &= report("complete-sequence", complete_sequence(&c).await);
    good &= report("ranges", ranges(&c).await);
    good &= report("beyond-the-end", beyond_the_end(&c).await);
    good &= report("partial-blob", partial_blob(&c).await);
    good &= report("broken-sequence", broken_sequence(&c).await);
    good &= report("partial-sequence", partial_sequence(&c).await);
    good &= report("many", many(&c).await);
    good &= report("observe", observe(&c).await);
    if push {
        good &= report("push-blob", push_blob(&c).await);
        good &= report("push-sequence", push_sequence(&c).await);
    }
    endpoint.close().await;
    Ok(good)
}
