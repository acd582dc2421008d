//! What is measured.

pub mod campaign;
mod channels;
pub mod cold;
pub mod crash;
mod fairness;
mod isolation;
mod lone;
mod many_types;
mod punctuality;
mod qos;
mod recurring;
mod reminders;
mod rolling;
mod rolling_large;
mod throughput;

use crate::arguments::{Arguments, Scenario};
use crate::report::Report;
use anyhow::Result;

/// Runs one scenario on a system of its own.
pub async fn run(scenario: Scenario, arguments: &Arguments, report: &mut Report) -> Result<()> {
    match scenario {
        Scenario::Lone => lone::run(arguments, report).await,
        Scenario::Throughput => throughput::run(arguments, report).await,
        Scenario::Punctuality => punctuality::at_once(arguments, report).await,
        Scenario::Spread => punctuality::spread(arguments, report).await,
        Scenario::Fairness => fairness::run(arguments, report).await,
        Scenario::Isolation => isolation::run(arguments, report).await,
        Scenario::ManyTypes => many_types::run(arguments, report).await,
        Scenario::Qos => qos::run(arguments, report).await,
        Scenario::Reminders => reminders::run(arguments, report).await,
        Scenario::Recurring => recurring::run(arguments, report).await,
        Scenario::Rolling => rolling::run(arguments, report).await,
        Scenario::RollingLarge => rolling_large::run(arguments, report).await,
        Scenario::Channels => channels::run(arguments, report).await,
    }
}
