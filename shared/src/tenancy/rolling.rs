//! What a solution says of its finished activities (SPEC §8).

use rules::number::Decimal;
use rules::rolling::{Keeping, LogKind};

/// How long finished activities are kept, and where their logs go then (SPEC §8).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rolling {
    /// Where the logs of dispatched activities go.
    pub success_uri: Option<String>,
    /// How long they are kept, in days.
    pub success_period_days: Option<Decimal>,
    /// Where the logs of dead letters go.
    pub dead_letter_uri: Option<String>,
    /// How long they are kept, in days.
    pub dead_letter_period_days: Option<Decimal>,
}

impl Rolling {
    /// How long what finishes as `kind` is kept, in a deployment that keeps what has no period for `retention_days`.
    pub fn keeping(&self, kind: LogKind, retention_days: u32) -> Keeping<'_> {
        let (uri, period_days) = match kind {
            LogKind::Success => (&self.success_uri, &self.success_period_days),
            LogKind::DeadLetter => (&self.dead_letter_uri, &self.dead_letter_period_days),
            LogKind::Canceled => (&None, &None),
        };
        Keeping { has_uri: uri.is_some(), period_days: period_days.as_ref(), retention_days }
    }
}
