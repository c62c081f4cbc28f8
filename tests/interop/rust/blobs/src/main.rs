// A peer of the crate iroh-blobs 0.104. What it does is in program.rs.
extern crate blobs_new as blobs;

mod client;
mod getter;
mod program;
mod world;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    program::run().await
}
