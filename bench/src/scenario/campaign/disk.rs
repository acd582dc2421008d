//! A full disk, as a process sees it.
//!
//! A file system of its own would have to be mounted, which takes a privilege that neither a developer nor CI need
//! have. The limit on the size of files takes none, can be set on a process from outside (`prlimit`, of util-linux) and
//! lifted again: every write then fails, with `EFBIG` in place of `ENOSPC`. The process has to ignore `SIGXFSZ`, which
//! would end it at the first such write: see `AllInOne::start_on_small_disk`.

use anyhow::{Context, Result, bail};
use std::process::Command;

/// From now on no file of the process can be written, but for its first page.
pub fn fill(process: u32) -> Result<()> {
    limit(process, "4096:unlimited")
}

/// There is room again.
pub fn free(process: u32) -> Result<()> {
    limit(process, "unlimited:unlimited")
}

fn limit(process: u32, limits: &str) -> Result<()> {
    let mut command = Command::new("prlimit");
    command.arg(format!("--pid={process}")).arg(format!("--fsize={limits}"));
    let status = command.status().context("prlimit, of util-linux, cannot be started")?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
