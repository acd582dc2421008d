//! Every metric there is. docs/observe.md tells of them, and template.yaml's alarms and dashboard name them; a test holds
//! all three together.

/// A metric: what it is called and in which of CloudWatch's units it counts.
#[derive(Debug, PartialEq, Eq)]
pub struct MetricKind {
    pub name: &'static str,
    pub unit: &'static str,
    /// Whether it is told by outcome too, beside by function alone.
    pub by_outcome: bool,
}

/// From the instant an attempt was due to its send.
pub const LATENESS: MetricKind = MetricKind { name: "Lateness", unit: "Milliseconds", by_outcome: true };
/// From an attempt's send to the end of the answer.
pub const DURATION: MetricKind = MetricKind { name: "Duration", unit: "Milliseconds", by_outcome: true };
/// Attempts.
pub const ATTEMPTS: MetricKind = MetricKind { name: "Attempts", unit: "Count", by_outcome: true };
/// What ran out of attempts and waits for somebody: activities FAILED, notifications MAX_RETRIED, reminders that need review.
pub const GIVEN_UP: MetricKind = MetricKind { name: "GivenUp", unit: "Count", by_outcome: false };
/// Messages that were sent back to the queue, and requests that called no receiver, since their company held its share.
pub const HELD_BACK: MetricKind = MetricKind { name: "HeldBack", unit: "Count", by_outcome: false };
/// Invocations and requests that called receivers of a company without a slot, since the table could not be asked for one.
pub const WITHOUT_SLOT: MetricKind = MetricKind { name: "WithoutSlot", unit: "Count", by_outcome: false };
/// Slices in which a sweep left work, or that another sweep held.
pub const SWEEP_BACKLOG: MetricKind = MetricKind { name: "SweepBacklog", unit: "Count", by_outcome: false };
/// How long the oldest activity of a running solution has been due. One whose call is under way counts.
pub const OLDEST_OVERDUE: MetricKind =
    MetricKind { name: "OldestOverdue", unit: "Seconds", by_outcome: false };
/// Activities that recurring rules made.
pub const OCCURRENCES_CREATED: MetricKind =
    MetricKind { name: "OccurrencesCreated", unit: "Count", by_outcome: false };
/// Occurrences that were missed and, by the rule's `catchUp`, not made up for.
pub const OCCURRENCES_SKIPPED: MetricKind =
    MetricKind { name: "OccurrencesSkipped", unit: "Count", by_outcome: false };
/// Finished activities that were deleted, acknowledged before if their solution has a URI.
pub const ACTIVITIES_ROLLED: MetricKind =
    MetricKind { name: "ActivitiesRolled", unit: "Count", by_outcome: false };
/// Batches of finished activities that their receiver did not acknowledge.
pub const BATCHES_REFUSED: MetricKind =
    MetricKind { name: "BatchesRefused", unit: "Count", by_outcome: false };
/// Stored items that could not be read and were left out, each time they were met.
pub const UNREADABLE_ITEMS: MetricKind =
    MetricKind { name: "UnreadableItems", unit: "Count", by_outcome: false };

/// All of them.
pub const METRICS: &[&MetricKind] = &[
    &LATENESS,
    &DURATION,
    &ATTEMPTS,
    &GIVEN_UP,
    &HELD_BACK,
    &WITHOUT_SLOT,
    &SWEEP_BACKLOG,
    &OLDEST_OVERDUE,
    &OCCURRENCES_CREATED,
    &OCCURRENCES_SKIPPED,
    &ACTIVITIES_ROLLED,
    &BATCHES_REFUSED,
    &UNREADABLE_ITEMS,
];
