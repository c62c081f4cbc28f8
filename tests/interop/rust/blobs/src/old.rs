// A peer of the crate iroh-blobs 0.103. What it does is in program.rs.
extern crate blobs_old as blobs;

mod client;
mod getter;
mod program;
mod world;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    program::run().await
}
