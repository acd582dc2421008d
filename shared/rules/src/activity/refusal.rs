//! Why an event does not apply to an activity.

use super::Status;

/// Why an event does not apply, ready for a 409.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The status does not allow it.
    #[error("the activity is {0}")]
    Status(Status),
    /// It is being sent right now.
    #[error("the activity is being sent")]
    InFlight,
    /// The event needs a claim, and there is none.
    #[error("the activity is not claimed")]
    NotClaimed,
    /// The provider has reported how it ended.
    #[error("the activity has a final result already")]
    HasResult,
    /// It is due later and was never called, so nothing can have come of it.
    #[error("the activity has not been dispatched; a result with hardOverride ends it all the same")]
    NotDispatched,
    /// Its provider says where its calls go.
    #[error("an activity of a channel has no URI of its own")]
    NoUri,
    /// Its parameter does not fill the URI pattern it is to get.
    #[error("its parameter does not fill the uri: {0}")]
    Unfillable(String),
}
