//! Attribute, index and key names of the work table.
//!
//! Short, because DynamoDB bills an item's size with its names, and a small
//! activity shall stay within one KiB.

/// Table partition key.
pub const PK: &str = "PK";
/// Table sort key.
pub const SK: &str = "SK";
/// Partition of the index `due`.
pub const DUE_PARTITION: &str = "dp";
/// Sort of the index `due`.
pub const DUE_SORT: &str = "ds";
/// Partition of the index `done`.
pub const DONE_PARTITION: &str = "fp";
/// Sort of the index `done`.
pub const DONE_SORT: &str = "fs";
/// Partition of the index `object`.
pub const OBJECT_PARTITION: &str = "op";
/// [`rules::activity::Status`].
pub const STATUS: &str = "st";
/// [`rules::names::Kind`].
pub const KIND: &str = "k";
/// The owner's date, Unix milliseconds.
pub const DATE: &str = "d";
/// The next attempt's instant, Unix milliseconds.
pub const DUE: &str = "n";
/// Attempts begun in this run.
pub const ATTEMPTS: &str = "a";
/// Attempts in all.
pub const MAX_ATTEMPTS: &str = "m";
/// Retries by hand so far.
pub const RUN: &str = "r";
/// A claim's token.
pub const TOKEN: &str = "tk";
/// A claim's lease, Unix milliseconds.
pub const LEASE: &str = "lu";
/// On a claim whose attempt its owner wants now.
pub const MANUAL: &str = "bh";
/// Creation, Unix milliseconds.
pub const CREATED: &str = "c";
/// End of the last execution of the run, Unix milliseconds.
pub const EXECUTED: &str = "x";
/// The parameter as JSON text, where it is small; else in the item `PAYLOAD`.
pub const PARAMETER: &str = "p";
/// The caller's own URI pattern.
pub const URI: &str = "u";
/// Hash of the body it was created from.
pub const BODY_HASH: &str = "b";
/// When the type was changed that it was judged by, Unix milliseconds.
pub const TYPE_CHANGED: &str = "v";
/// When DynamoDB removes the item, in Unix seconds: its time to live. On nothing that stands in `due`.
pub const EXPIRES: &str = "xp";
/// Until when a finished item is kept that has something beside it, in Unix seconds: the log roller removes both.
pub const KEPT_UNTIL: &str = "ku";
/// Whether a large parameter, object values or results lie beside an activity.
pub const COMPANIONS: &str = "cm";
/// Shard of the index `due`.
pub const SHARD: &str = "sh";
/// Shard of the index `done`, if it has one of its own.
pub const DONE_SHARD: &str = "fh";
/// The successful attempt: HTTP status.
pub const SUCCESS_STATUS: &str = "hs";
/// The successful attempt: duration in milliseconds.
pub const SUCCESS_MILLIS: &str = "hm";

/// The result that ended it, or will ([`rules::verdict::Verdict`]).
pub const VERDICT: &str = "rs";
/// The provider's id of a dispatched activity (SPEC §4).
pub const PROVIDER_ACTIVITY: &str = "pi";
/// The dispatch config it was dispatched by.
pub const DISPATCH_CONFIG: &str = "ci";
/// Notification: sends begun, over all runs.
pub const SENDS: &str = "se";
/// Recurring rule: the seven fields, apart by a space.
pub const CRON: &str = "cr";
/// Recurring rule: the time zone's IANA name.
pub const ZONE: &str = "tz";
/// Recurring rule: no occurrence before, Unix milliseconds.
pub const START_AT: &str = "sa";
/// Recurring rule: no occurrence after, Unix milliseconds.
pub const END_AT: &str = "ea";
/// Recurring rule: [`rules::recurring::CatchUp`].
pub const CATCH_UP: &str = "cu";
/// Recurring rule: seconds of the catch-up window.
pub const WINDOW: &str = "cw";
/// Recurring rule: seconds over which occurrences are spread.
pub const SPREAD: &str = "sp";
/// Recurring rule: why it is in its state.
pub const STATE_REASON: &str = "sr";
/// Recurring rule: since when it is in its state, Unix milliseconds.
pub const STATE_SINCE: &str = "ss";
/// Recurring rule: the instant of a plan that is being carried out, Unix milliseconds.
pub const PLANNED_AT: &str = "pa";
/// Recurring rule: the last change by its owner, Unix milliseconds.
pub const UPDATED: &str = "up";
/// Recurring rule: counts the changes by its owner.
pub const REVISION: &str = "rv";

/// Skipped occurrences: the first, Unix milliseconds.
pub const SKIP_FROM: &str = "sf";
/// Skipped occurrences: the last, Unix milliseconds.
pub const SKIP_TO: &str = "sl";
/// Skipped occurrences: how many.
pub const SKIP_COUNT: &str = "sc";

/// Sort key of the item that carries the state.
pub const ITEM: &str = "ITEM";
/// Sort key of a large parameter.
pub const PAYLOAD: &str = "PAYLOAD";
/// Prefix of the sort keys of history entries.
pub const HISTORY_PREFIX: &str = "H#";
/// Prefix of the sort keys of results.
pub const RESULT_PREFIX: &str = "R#";
/// Prefix of the sort keys of records of skipped occurrences.
pub const SKIP_PREFIX: &str = "S#";
/// Sort key of the mark that results came before the activity.
pub const EARLY: &str = "EARLY";
/// Prefix of the sort keys of further object values.
pub const OBJECT_PREFIX: &str = "O#";

/// History entry: instant, Unix milliseconds.
pub const ENTRY_AT: &str = "at";
/// History entry: outcome.
pub const ENTRY_OUTCOME: &str = "o";
/// History entry: HTTP status.
pub const ENTRY_STATUS: &str = "hs";
/// History entry: duration in milliseconds.
pub const ENTRY_MILLIS: &str = "hm";
/// History entry: what happened, in words.
pub const ENTRY_DETAIL: &str = "dt";

/// Result: when it happened, Unix milliseconds.
pub const RESULT_OCCURRED: &str = "oa";
/// Result: when it was reported, Unix milliseconds.
pub const RESULT_RECEIVED: &str = "ra";
/// Result: whether it replaces a final one.
pub const RESULT_OVERRIDE: &str = "ho";
/// Result: whether it came before what it is about.
pub const RESULT_STANDALONE: &str = "sa";
/// Provider link: the activities that were dispatched under its id, separated by spaces.
pub const LINKED: &str = "ai";

/// The sparse index of what something will still happen to.
pub const DUE_INDEX: &str = "due";
/// The sparse index of what is finished.
pub const DONE_INDEX: &str = "done";
/// The sparse index of object values.
pub const OBJECT_INDEX: &str = "object";
