//! Names of the attributes that reminders have beside those of [`crate::table::attr`].

/// The next send time, Unix milliseconds; absent in review and once it is completed.
pub const NEXT: &str = "n";
/// The last send time that is done with, Unix milliseconds.
pub const HANDLED: &str = "ht";
/// Attempts begun at the next send time.
pub const ATTEMPTS: &str = "a";
/// Attempts begun in all.
pub const SEQUENCE: &str = "q";
/// Counts what its owner wrote.
pub const REVISION: &str = "v";
/// When a message was last sent, Unix milliseconds.
pub const LAST_SENT: &str = "ls";
/// When it was completed, Unix milliseconds.
pub const COMPLETED: &str = "cd";
/// When its owner last wrote it, Unix milliseconds.
pub const UPDATED: &str = "up";
/// The first send time, Unix milliseconds.
pub const FIRST: &str = "f";
/// The last send time, Unix milliseconds.
pub const LAST: &str = "l";
/// Which recipient, as a hash: see [`crate::items::reminder::keys::recipient`].
pub const RECIPIENT: &str = "rc";
/// The processor's fence when it last claimed.
pub const FENCE: &str = "fe";

/// Payload: the definition as JSON text, but for the parameters.
pub const DEFINITION: &str = "d";
/// Payload: the template parameters as JSON text.
pub const PARAMETERS: &str = "p";

/// History entry: the send time it was about, Unix milliseconds.
pub const ENTRY_SEND_TIME: &str = "t";
/// History entry: which attempt at that send time, from 1.
pub const ENTRY_ATTEMPT: &str = "a";
