//! The demo.
use crate::system::Settings;
pub async fn run(_settings: Settings, _once: bool) -> anyhow::Result<()> {
    Ok(())
}
