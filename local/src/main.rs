//! `punctual`: local mode.

use clap::Parser;
use local::cli::{Cli, run};
use local::terminal::Log;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let log = Log::start(&cli.log_options());
    let ended = run(cli, &log).await;
    log.flush();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("punctual: {error:#}");
            ExitCode::FAILURE
        }
    }
}
