//! What can be asked for on the command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Measures Punctual's local mode, which it starts itself from the `punctual` program beside it.
#[derive(Debug, Parser)]
#[command(name = "bench")]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Also write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Only these scenarios, comma separated
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<Scenario>,
    /// Where to make the data directories, which are removed afterwards [default: the system's temporary directory]
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
    /// Immediate activities in `throughput`
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub throughput: usize,
    /// Concurrent callers of the batch endpoint
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub callers: usize,
    /// Activities due at the same instant in `punctuality`
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub punctuality: usize,
    /// Activities due a millisecond after one another in `spread`
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub spread: usize,
    /// How many seconds ahead `punctuality` and `spread` are due
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub ahead: u32,
    /// Activities given one after another in `lone`
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub lone: usize,
    /// Due activities of the large tenant in `fairness`
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub fairness_many: usize,
    /// Due activities of the small tenant in `fairness`
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub fairness_few: usize,
    /// How many seconds ahead `fairness` is due; all must be accepted by then [default: 20, and one more per 1,500 activities]
    #[arg(long, value_name = "SECONDS")]
    pub fairness_ahead: Option<u32>,
    /// Due activities in `isolation` of the company whose receiver never answers
    #[arg(long, value_name = "N", default_value_t = 25_000)]
    pub hanging: usize,
    /// The same where each is given by itself
    #[arg(long, value_name = "N", default_value_t = 600)]
    pub hanging_singles: usize,
    /// Due reminders in `isolation` of the company whose Dialog service never answers
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub hanging_reminders: usize,
    /// Empty activity types of a company in `many-types`
    #[arg(long, value_name = "N", default_value_t = 12_000)]
    pub many_types: usize,
    /// Overdue activities of each company in `qos`
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub qos: usize,
    /// Activities through a channel in `channels`, and as many by an activity type
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub channels: usize,
    /// Due reminders in `reminders`
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub reminders: usize,
    /// Recipients of the reminders in `reminders`, one of them slow
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub recipients: usize,
    /// Recurring rules in `recurring`
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub rules: usize,
    /// How many of these are due at one minute
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub rules_due: usize,
    /// Finished activities in `rolling`
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub rolling: usize,
    /// Finished activities in `rolling-large`, each with 60 results of 245 KB
    #[arg(long, value_name = "N", default_value_t = 25)]
    pub rolling_large: usize,
    /// Give up when nothing has arrived for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 150, global = true)]
    pub patience: u32,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Kill local mode with SIGKILL in the middle of deliveries, start it again, and look for losses
    Crash(CrashArguments),
    /// Kill local mode again and again under load, with a full disk and a receiver that fails, and audit what came of it
    Campaign(CampaignArguments),
    /// Start each function many times as Lambda does, and tell how long, how large, and how much memory
    Cold(ColdArguments),
}

#[derive(Debug, Args)]
pub struct CampaignArguments {
    /// How often it is killed
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub kills: u32,
    /// Lives and moods as in an earlier run
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

#[derive(Debug, Args)]
pub struct ColdArguments {
    /// Where the functions' programs are [default: beside this one]
    #[arg(long, value_name = "DIR")]
    pub functions: Option<PathBuf>,
    /// Starts of each function
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub starts: usize,
    /// Further invocations of the last one
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub burst: usize,
}

#[derive(Debug, Args)]
pub struct CrashArguments {
    /// Activities to deliver; half of them before the kill
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub activities: usize,
}

/// A measurement that can be asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// One activity after another: accept to arrival
    Lone,
    /// Immediate activities by the batch endpoint, and the same writes alone
    Throughput,
    /// Many due at one instant
    Punctuality,
    /// Many due a millisecond after one another
    Spread,
    /// A tenant with very many beside one with few
    Fairness,
    /// A company whose receiver never answers beside one whose receiver does
    Isolation,
    /// A company with very many empty activity types beside one with ten activities
    ManyTypes,
    /// Two companies with `qosLevel` 3 and 1, both overdue
    Qos,
    /// Activities through a channel beside those by an activity type
    Channels,
    /// Reminders due at one minute, several for each recipient, with webhooks and without
    Reminders,
    /// Very many recurring rules, of which few are due at one minute
    Recurring,
    /// Very many finished activities on their way out, while new ones finish
    Rolling,
    /// Finished activities with very many large results on their way out: the memory that takes
    RollingLarge,
}

impl Scenario {
    /// As written on the command line and in the figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lone => "lone",
            Self::Throughput => "throughput",
            Self::Punctuality => "punctuality",
            Self::Spread => "spread",
            Self::Fairness => "fairness",
            Self::Isolation => "isolation",
            Self::ManyTypes => "many-types",
            Self::Qos => "qos",
            Self::Channels => "channels",
            Self::Reminders => "reminders",
            Self::Recurring => "recurring",
            Self::Rolling => "rolling",
            Self::RollingLarge => "rolling-large",
        }
    }
}

impl Arguments {
    /// What to run, in order: what was asked for, else everything.
    pub fn scenarios(&self) -> Vec<Scenario> {
        if self.only.is_empty() { Scenario::value_variants().to_vec() } else { self.only.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Command, Scenario};
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn only_narrows_what_is_run() {
        let all = Arguments::parse_from(["bench"]);
        assert_eq!(all.scenarios().len(), 13);
        let some = Arguments::parse_from(["bench", "--only", "qos,lone"]);
        assert_eq!(some.scenarios(), [Scenario::Qos, Scenario::Lone]);
    }

    #[test]
    fn crash_has_its_own_count() {
        let arguments = Arguments::parse_from(["bench", "crash", "--activities", "50", "--patience", "9"]);
        assert_eq!(arguments.patience, 9);
        assert!(matches!(arguments.command, Some(Command::Crash(crash)) if crash.activities == 50));
    }
}
