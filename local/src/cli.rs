//! The command line.

use crate::clock::{OFFSET_MAX, offset_in_range};
use crate::keys::{ADMIN_KEY, Keys};
use crate::system::{Functions, Services, Settings};
use crate::template::LOCAL_ALLOWED_CIDRS;
use crate::terminal::{Log, LogOptions};
use crate::{demo, stop};
use anyhow::{Context, bail};
use chrono::TimeDelta;
use clap::{Args, Parser, Subcommand};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

const DEFAULT_API: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const DEFAULT_AWS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4566);
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const CLOCK_OFFSET: &str = "PUNCTUAL_CLOCK_OFFSET_SECONDS";
const ALLOWED_CIDRS: &str = "PUNCTUAL_ALLOWED_CIDRS";

/// Punctual on this machine: the API, every schedule and queue trigger, and
/// the AWS services that they need, in one process.
#[derive(Debug, Parser)]
#[command(name = "punctual", version, after_help = ENVIRONMENT)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    log: LogOptions,
}

impl Cli {
    /// What is shown of what happens. The demo shows its calls itself.
    pub fn log_options(&self) -> LogOptions {
        match self.command {
            Some(Command::Demo { .. }) => self.log.clone().quiet(),
            _ => self.log.clone(),
        }
    }
}

const ENVIRONMENT: &str = "Environment:
  PUNCTUAL_ADMIN_KEY             the key that may do everything; made and printed if absent
  PUNCTUAL_PROCESSOR_SECRET      the secret of the reminder processor's endpoint
  PUNCTUAL_ALLOWED_CIDRS         private addresses that calls may reach (default: loopback)
  PUNCTUAL_CLOCK_OFFSET_SECONDS  how far the clock runs ahead of the machine's
  RUST_LOG                       what is logged, on stderr (default: warn,shared::telemetry=info, which are
                                 warnings, errors and attempts; with --quiet: warn)
  NO_COLOR, CLICOLOR             whether lines on a terminal are coloured";

#[derive(Debug, Subcommand)]
enum Command {
    /// The AWS services alone: DynamoDB, SQS and KMS
    Services,
    /// The functions alone, on the services at AWS_ENDPOINT_URL
    Functions,
    /// A short story that shows what Punctual does
    Demo {
        /// End with the story, with 0 if all came out as it should
        #[arg(long)]
        once: bool,
    },
}

#[derive(Debug, Args)]
struct Options {
    /// Where the API listens; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT", global = true)]
    api: Option<SocketAddr>,
    /// Where the AWS services listen; port 0 picks a free one [default: 127.0.0.1:4566]
    #[arg(long, value_name = "ADDR:PORT", global = true)]
    aws: Option<SocketAddr>,
    /// A name under which this machine is reached, beside loopback and the addresses it listens on; may be repeated
    #[arg(long = "allowed-host", value_name = "NAME", global = true)]
    allowed_hosts: Vec<String>,
    /// Where state is kept
    #[arg(long, value_name = "DIR", global = true, default_value = ".punctual")]
    data_dir: PathBuf,
    /// Keep no state at all
    #[arg(long, global = true, conflicts_with = "data_dir")]
    ephemeral: bool,
}

/// Runs what the command line says.
///
/// # Errors
/// What went wrong, ready to show.
pub async fn run(cli: Cli, log: &Log) -> anyhow::Result<()> {
    let Cli { command, options, .. } = cli;
    match command {
        None => everything(&options.settings()?, log).await,
        Some(Command::Services) => services(&options.settings()?, log).await,
        Some(Command::Functions) => functions(&options.settings()?, log).await,
        Some(Command::Demo { once }) => {
            let (api, aws) = (options.api.or(Some(ANY_PORT)), options.aws.or(Some(ANY_PORT)));
            let kept_nowhere = Options { ephemeral: true, api, aws, ..options };
            demo::run(kept_nowhere.settings()?, once).await
        }
    }
}

impl Options {
    fn settings(&self) -> anyhow::Result<Settings> {
        let data_dir = (!self.ephemeral).then(|| self.data_dir.clone());
        let lookup = |name: &str| std::env::var(name).ok();
        let offset = lookup(CLOCK_OFFSET).filter(|text| !text.is_empty());
        Ok(Settings {
            api: self.api.unwrap_or(DEFAULT_API),
            aws: self.aws.unwrap_or(DEFAULT_AWS),
            keys: Keys::find(lookup, data_dir.as_deref())?,
            data_dir,
            allowed_cidrs: lookup(ALLOWED_CIDRS).unwrap_or_else(|| LOCAL_ALLOWED_CIDRS.to_owned()),
            allowed_hosts: self.allowed_hosts.clone(),
            clock_offset: offset.as_deref().map(clock_offset).transpose()?,
        })
    }
}

fn clock_offset(text: &str) -> anyhow::Result<TimeDelta> {
    let offset = text.parse().ok().and_then(TimeDelta::try_seconds);
    offset.filter(|offset| offset_in_range(*offset)).with_context(|| {
        let max = OFFSET_MAX.num_seconds();
        format!("{CLOCK_OFFSET} must be a whole number of seconds from 0 to {max}, which is a thousand years")
    })
}

async fn everything(settings: &Settings, log: &Log) -> anyhow::Result<()> {
    let services = Services::start(settings).await?;
    log.follow(services.clock());
    let functions = Functions::start(settings, &services).await?;
    println!("Punctual is running.\n");
    print_api(&functions, settings);
    print_services(&services, settings);
    print_next(&functions, settings, log);
    stop::requested(|| functions.in_hand()).await?;
    functions.stop().await;
    services.stop().await;
    Ok(())
}

async fn services(settings: &Settings, log: &Log) -> anyhow::Result<()> {
    let services = Services::start(settings).await?;
    log.follow(services.clock());
    println!("Punctual's AWS services are running.\n");
    print_services(&services, settings);
    println!("\nThe functions need these variables:\n");
    println!("  AWS_ENDPOINT_URL=http://{}", services.address);
    println!("  AWS_REGION={}", crate::embedded::REGION);
    println!("  AWS_ACCESS_KEY_ID=local\n  AWS_SECRET_ACCESS_KEY=local");
    let functions = &services.provisioned().functions;
    let variables: std::collections::BTreeMap<_, _> =
        functions.iter().flat_map(|function| &function.environment).collect();
    for (name, value) in variables.into_iter().filter(|(name, _)| name.starts_with("PUNCTUAL_")) {
        let secret = name == ADMIN_KEY && settings.keys.admin_key_given;
        println!("  {name}={}", if secret { "(as it is set)" } else { value });
    }
    stop::requested(|| 0).await?;
    services.stop().await;
    Ok(())
}

async fn functions(settings: &Settings, log: &Log) -> anyhow::Result<()> {
    let Ok(endpoint_url) = std::env::var("AWS_ENDPOINT_URL") else {
        bail!("set AWS_ENDPOINT_URL to the services' address, such as http://{DEFAULT_AWS}");
    };
    let functions = Functions::start_remote(settings, &endpoint_url).await?;
    log.follow(functions.clock());
    println!("Punctual's functions are running.\n");
    print_api(&functions, settings);
    print_next(&functions, settings, log);
    stop::requested(|| functions.in_hand()).await?;
    functions.stop().await;
    Ok(())
}

fn print_api(functions: &Functions, settings: &Settings) {
    println!("  api   http://{}   (every endpoint: /docs)", functions.address);
    match settings.keys.admin_key_given {
        true => println!("  key   as {ADMIN_KEY} sets it"),
        false => println!("  key   {}   (the admin key)", settings.keys.admin_key),
    }
}

fn print_services(services: &Services, settings: &Settings) {
    println!("  aws   http://{}   (DynamoDB, SQS and KMS: AWS_ENDPOINT_URL)", services.address);
    match &settings.data_dir {
        Some(dir) => println!("  data  {}", dir.display()),
        None => println!("  data  none is kept"),
    }
    let ahead = services.clock_offset();
    if !ahead.is_zero() {
        println!("  time  {} s ahead of this machine's clock", ahead.num_seconds());
    }
}

/// What one does next, and what one will see.
fn print_next(functions: &Functions, settings: &Settings, log: &Log) {
    let key = match settings.keys.admin_key_given {
        true => format!("${ADMIN_KEY}"),
        false => settings.keys.admin_key.clone(),
    };
    println!("\nTry:  curl -H \"Authorization: Bearer {key}\" http://{}/v1/companies", functions.address);
    println!(
        "Next: make a company, a solution and an activity type, then an activity: README.md, \"Your first activity\"."
    );
    if log.shows_attempts() {
        println!(
            "      Each attempt is then a line here, with times in UTC; --quiet shows warnings and errors alone."
        );
    }
    println!("Stop: Ctrl-C\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["punctual", "services", "--aws", "127.0.0.1:0", "--data-dir", "x"]);
        assert_eq!(cli.options.aws, Some(ANY_PORT));
        assert!(Cli::try_parse_from(["punctual", "--ephemeral", "--data-dir", "x"]).is_err());
        assert!(Cli::try_parse_from(["punctual", "--ephemeral", "demo", "--once"]).is_ok());
        assert!(Cli::try_parse_from(["punctual", "--api", "8080"]).is_err());
    }

    #[test]
    fn the_clocks_offset_is_a_number_of_seconds_in_range() {
        for (text, expect) in [("0", 0), ("60", 60), ("31622400000", 31_622_400_000)] {
            assert_eq!(clock_offset(text).unwrap(), TimeDelta::seconds(expect));
        }
        for text in [
            "soon",
            "1.5",
            "-1",
            "31622400001",
            "9223372036854775807",
            "-9223372036854775808",
            "99999999999999999999",
        ] {
            let error = clock_offset(text).unwrap_err().to_string();
            assert!(error.starts_with("PUNCTUAL_CLOCK_OFFSET_SECONDS must be"), "{text}: {error}");
        }
    }
}
