//! Writes a data directory for the tests of what earlier releases stored: `stored DIR`, where DIR is to be made.

use anyhow::Context;
use std::path::PathBuf;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir: PathBuf = std::env::args().nth(1).context("name the directory that is to be made")?.into();
    std::fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    tests::stored::write(&dir).await;
    Ok(())
}
