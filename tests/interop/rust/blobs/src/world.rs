// What every serving peer of these tests holds, ours (tests/interop/blobs_world.c) and this one alike.
use anyhow::Result;
use blobs::{
    BlobFormat, Hash, HashAndFormat,
    api::Store,
    protocol::{ChunkRanges, ChunkRangesExt},
    store::mem::MemStore,
};

pub const SIZES: [usize; 8] = [0, 1, 1024, 1025, 16384, 16385, 100_000, 1_048_576];
pub const PARTIAL_SIZE: usize = 3_000_000; // of which the chunks of partial_ranges() are there
pub const ABSENT_SIZE: usize = 777_777;
pub const LONG_COUNT: u64 = 2000; // children of a sequence of which the first LONG_CHUNKS chunks are there
pub const LONG_CHUNKS: u64 = 16;
pub const LONG_PRESENT: u64 = 5; // the one child of it that is there
pub const PUSHED_SIZE: usize = 3_333_333;
pub const PUSHED_CHILDREN: [usize; 3] = [40_000, 7, 1_000_001];

/// The bytes 0, 1, ..., 250, 0, ...
pub fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i % 251) as u8).collect()
}

pub fn hash_of(size: usize) -> Hash {
    Hash::new(pattern(size))
}

/// A hash sequence of patterns, as bytes.
pub fn sequence(sizes: &[usize]) -> Vec<u8> {
    sizes.iter().flat_map(|size| *hash_of(*size).as_bytes()).collect()
}

/// The sequence of which one child is missing.
pub fn broken_sequence() -> Vec<u8> {
    sequence(&[5000, ABSENT_SIZE, 16385])
}

pub fn long_sequence() -> Vec<u8> {
    let child = |i: u64| if i == LONG_PRESENT { hash_of(16385) } else { Hash::new(i.to_le_bytes()) };
    (0..LONG_COUNT).flat_map(|i| *child(i).as_bytes()).collect()
}

pub fn partial_ranges() -> ChunkRanges {
    ChunkRanges::chunks(0..512) | ChunkRanges::chunks(1024..1040)
}

async fn add(store: &Store, bytes: Vec<u8>, format: BlobFormat) -> Result<HashAndFormat> {
    let content = HashAndFormat { hash: Hash::new(&bytes), format };
    let tag = store.blobs().add_slice(bytes).temp_tag().await?;
    store.tags().create(content).await?;
    drop(tag);
    Ok(content)
}

async fn add_part(store: &Store, bytes: Vec<u8>, ranges: ChunkRanges) -> Result<()> {
    let whole = MemStore::new();
    let tag = whole.add_slice(bytes).temp_tag().await?;
    let encoded = whole.export_bao(tag.hash(), ranges.clone()).bao_to_vec().await?;
    store.blobs().import_bao_bytes(tag.hash(), ranges, encoded).await?;
    Ok(())
}

/// The hash sequence of all SIZES.
pub async fn fill(store: &Store) -> Result<HashAndFormat> {
    for size in SIZES.iter().chain(&[5000]) {
        add(store, pattern(*size), BlobFormat::Raw).await?;
    }
    add(store, broken_sequence(), BlobFormat::HashSeq).await?;
    add_part(store, pattern(PARTIAL_SIZE), partial_ranges()).await?;
    add_part(store, long_sequence(), ChunkRanges::chunks(0..LONG_CHUNKS)).await?;
    add(store, sequence(&SIZES), BlobFormat::HashSeq).await
}

/// One large blob instead.
pub async fn fill_large(store: &Store, size: usize) -> Result<HashAndFormat> {
    add(store, pattern(size), BlobFormat::Raw).await
}
