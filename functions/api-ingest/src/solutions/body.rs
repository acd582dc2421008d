//! What a solution is made of.

use crate::http::{Object, body, fixed_uri, integer, number};
use crate::parts::limits::{QOS_LEVEL, QOS_LEVEL_DEFAULT};
use shared::tenancy::Rolling;

/// Most days that logs are kept: a century.
const PERIOD_MAX_DAYS: u64 = 36_525;

body! {
    /// What a solution is made of.
    pub struct SolutionBody = solution(()) -> (u32, Rolling);
}

/// Its `qosLevel`, and where its logs go.
fn solution(f: &mut Object<'_>, _: Option<()>) -> Option<(u32, Rolling)> {
    let qos_level =
        f.or("qosLevel", integer(QOS_LEVEL), QOS_LEVEL_DEFAULT, "Slots it gets of its company's.");
    let days = || number(0..=PERIOD_MAX_DAYS);
    let rolling = Rolling {
        success_uri: f.optional(
            "successUri",
            fixed_uri(),
            "Where the logs of dispatched activities go when their period has passed: an absolute http(s) URL.",
        ),
        success_period_days: f.optional(
            "successPeriod",
            days(),
            "Days for which dispatched activities are kept; fractions are allowed.",
        ),
        dead_letter_uri: f.optional(
            "deadLetterUri",
            fixed_uri(),
            "Where the logs of dead letters go when their period has passed: an absolute http(s) URL.",
        ),
        dead_letter_period_days: f.optional(
            "deadLetterPeriod",
            days(),
            "Days for which dead letters are kept; fractions are allowed.",
        ),
    };
    Some((qos_level, rolling))
}
