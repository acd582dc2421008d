//! Load generator and measurements: starts local mode as child processes, gives
//! it work over HTTP, receives the calls, and prints figures. There are no pass
//! marks; only a lost activity, or a part that does not answer, is a failure.

mod api;
mod arguments;
mod baseline;
mod child;
mod here;
mod load;
mod meter;
mod receiver;
mod report;
mod runtime_api;
mod scenario;
mod spread;
mod stage;
mod system;
mod usage;

use anyhow::{Context, anyhow};
use arguments::{Arguments, Command};
use clap::Parser;
use report::Report;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    match measure().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not as `Debug`, which adds a stack trace where RUST_BACKTRACE is set.
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut report = Report::new();
    // Leaving `run` drops the children, which ends them.
    let mut terminate = signal(SignalKind::terminate())?;
    let outcome = tokio::select! {
        outcome = run(&arguments, &mut report) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow!("terminated")),
    };
    // What was measured before a failure is still worth reading.
    print!("{}", report.table());
    if let Some(file) = &arguments.json {
        let text = serde_json::to_string_pretty(&report.json())?;
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    }
    outcome
}

async fn run(arguments: &Arguments, report: &mut Report) -> anyhow::Result<()> {
    match &arguments.command {
        Some(Command::Crash(crash)) => return scenario::crash::run(arguments, crash, report).await,
        Some(Command::Campaign(campaign)) => {
            return scenario::campaign::run(arguments, campaign, report).await;
        }
        Some(Command::Cold(cold)) => return scenario::cold::run(arguments, cold, report).await,
        None => {}
    }
    for scenario in arguments.scenarios() {
        eprintln!("bench: {}", scenario.name());
        scenario::run(scenario, arguments, report).await.with_context(|| scenario.name())?;
    }
    Ok(())
}
