//! Local mode as child processes, on a data directory of its own.

use crate::arguments::Arguments;
use crate::child::Child;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The program under measurement, beside this one in the target directory.
const PROGRAM: &str = "punctual";
/// Known to both sides; it guards a loopback address for the length of a run.
const ADMIN_KEY: &str = "bench-admin-key-of-one-run";
/// Lets deliveries reach the receiver.
const ALLOWED_CIDRS: &str = "127.0.0.0/8";
/// The embedded services check neither, but the SDK wants them.
pub const AWS_ENVIRONMENT: [(&str, &str); 3] =
    [("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local")];
/// A free port, which the start-up lines then tell.
const ANY_PORT: &str = "127.0.0.1:0";

/// Where a system can be reached.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Base URL of the API.
    pub api: String,
    /// Base URL of the embedded AWS services.
    pub aws: String,
    /// The key that may do everything.
    pub admin_key: &'static str,
}

/// The embedded services in a process of their own.
#[derive(Debug)]
pub struct Services {
    // Dropped in this order: the data directory last.
    process: Child,
    /// Their base URL.
    pub aws: String,
    data_dir: TempDir,
}

impl Services {
    /// Starts them on an empty data directory.
    pub async fn start(arguments: &Arguments) -> Result<Self> {
        let data_dir = new_data_dir(arguments)?;
        let mut command = program()?;
        command.args(["services", "--quiet", "--aws", ANY_PORT, "--data-dir"]).arg(data_dir.path());
        let mut process = Child::start("punctual services", command)?;
        let aws = process.announced(|line| address(line, "aws")).await?;
        Ok(Self { process, aws, data_dir })
    }
}

/// The functions and the embedded services in two processes, so that what each uses can be told apart.
#[derive(Debug)]
pub struct System {
    // Dropped in this order: the functions before what they call.
    functions: Child,
    services: Services,
    pub addresses: Addresses,
}

impl System {
    /// Starts both on an empty data directory.
    pub async fn start(arguments: &Arguments) -> Result<Self> {
        let services = Services::start(arguments).await?;
        let mut functions = program()?;
        functions
            .args(["functions", "--quiet", "--api", ANY_PORT, "--data-dir"])
            .arg(services.data_dir.path());
        functions.env("AWS_ENDPOINT_URL", &services.aws).envs(AWS_ENVIRONMENT);
        let mut functions = Child::start("punctual functions", functions)?;
        let api = functions.announced(|line| address(line, "api")).await?;
        let addresses = Addresses { api, aws: services.aws.clone(), admin_key: ADMIN_KEY };
        Ok(Self { functions, services, addresses })
    }

    /// Fails if one of the processes has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        self.services.process.check_alive()?;
        self.functions.check_alive()
    }

    /// CPU seconds used so far by the functions and by the services.
    pub fn cpu_seconds(&self) -> Result<(f64, f64)> {
        Ok((self.functions.cpu_seconds()?, self.services.process.cpu_seconds()?))
    }

    /// Peak resident memory, in MiB, of the functions and of the services.
    pub fn peak_mib(&self) -> Result<(f64, f64)> {
        Ok((self.functions.peak_mib()?, self.services.process.peak_mib()?))
    }
}

/// Everything in one process, as `punctual` without a subcommand runs it.
#[derive(Debug)]
pub struct AllInOne {
    process: Child,
    pub addresses: Addresses,
}

impl AllInOne {
    /// Starts it on `data_dir`, which may hold the state of an earlier one.
    pub async fn start(data_dir: &Path) -> Result<Self> {
        Self::start_by(program()?, data_dir).await
    }

    /// The same, ready to be refused writes because of a limit on the size of files: it outlives `SIGXFSZ`.
    pub async fn start_on_small_disk(data_dir: &Path) -> Result<Self> {
        let program = program()?;
        let mut command = Command::new("sh");
        // What is ignored stays so in the program that takes the shell's place, and its process id too.
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(program.get_program());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Self::start_by(command, data_dir).await
    }

    async fn start_by(mut command: Command, data_dir: &Path) -> Result<Self> {
        command.args(["--quiet", "--api", ANY_PORT, "--aws", ANY_PORT, "--data-dir"]).arg(data_dir);
        let mut process = Child::start("punctual", command)?;
        // Either line may come first.
        let (mut api, mut aws) = (None, None);
        while api.is_none() || aws.is_none() {
            let (found_api, found_aws) = process
                .announced(|line| {
                    let found = (address(line, "api"), address(line, "aws"));
                    (found != (None, None)).then_some(found)
                })
                .await?;
            api = api.or(found_api);
            aws = aws.or(found_aws);
        }
        let (Some(api), Some(aws)) = (api, aws) else { bail!("punctual did not tell its addresses") };
        Ok(Self { process, addresses: Addresses { api, aws, admin_key: ADMIN_KEY } })
    }

    /// Fails if it has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        self.process.check_alive()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL.
    pub fn kill(self) -> Result<()> {
        self.process.kill()
    }
}

/// An empty directory that goes away with the value.
pub fn new_data_dir(arguments: &Arguments) -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("punctual-bench-");
    let made = match &arguments.data_dir {
        Some(parent) => {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
            builder.tempdir_in(parent)
        }
        None => builder.tempdir(),
    };
    made.context("cannot create a data directory")
}

fn program() -> Result<Command> {
    let beside: PathBuf = std::env::current_exe()?.with_file_name(PROGRAM);
    if !beside.is_file() {
        bail!("{} is missing: build it with `cargo build --profile quick --workspace`", beside.display());
    }
    let mut command = Command::new(beside);
    command.env("PUNCTUAL_ADMIN_KEY", ADMIN_KEY).env("PUNCTUAL_ALLOWED_CIDRS", ALLOWED_CIDRS);
    Ok(command)
}

/// The URL after the word `name` in a start-up line such as `aws http://127.0.0.1:4566`.
fn address(line: &str, name: &str) -> Option<String> {
    let mut words = line.split_whitespace().skip_while(|word| *word != name);
    words.nth(1).filter(|url| url.starts_with("http://")).map(|url| url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses_are_read_from_start_up_lines() {
        assert_eq!(address("aws http://127.0.0.1:4566", "aws").as_deref(), Some("http://127.0.0.1:4566"));
        assert_eq!(
            address("  api   http://127.0.0.1:8080/ ", "api").as_deref(),
            Some("http://127.0.0.1:8080")
        );
        assert_eq!(address("aws http://127.0.0.1:4566", "api"), None);
        assert_eq!(address("api ready", "api"), None);
        assert_eq!(address("", "api"), None);
    }
}
