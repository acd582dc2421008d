//! Why the work table could not be read or written.

use super::attributes::DecodeError;
use crate::queue::QueueError;
use crate::tenancy::TenancyError;
use crate::unreadable::ReadError;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

/// Why the work table could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Too much at once: worth another try a little later.
    #[error("DynamoDB throttles")]
    Throttled,
    /// DynamoDB could not be reached or failed; a write may or may not have happened.
    #[error("DynamoDB is unavailable: {0}")]
    Unavailable(String),
    /// DynamoDB refused the request: a defect or a missing permission.
    #[error("DynamoDB refused: {0}")]
    Refused(String),
    /// The task that ran the call for several statements ended; a write may or may not have happened.
    #[error("the call was cancelled")]
    Abandoned,
    /// An item that cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The item is written, but its message is not: the recovery pass makes up for it.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The configuration table, without which it is not known whether what is written belongs to anything.
    #[error("configuration: {0}")]
    Configuration(String),
    /// A cursor that is not one of ours.
    #[error("the cursor is not valid here")]
    Cursor,
}

impl From<TenancyError> for StoreError {
    fn from(error: TenancyError) -> Self {
        if error.is_throttled() { Self::Throttled } else { Self::Configuration(error.to_string()) }
    }
}

impl ReadError for StoreError {
    fn is_unreadable(&self) -> bool {
        matches!(self, Self::Decode(_))
    }
}

impl StoreError {
    /// Whether the same call may succeed if it is made again.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable(_) | Self::Abandoned | Self::Configuration(_))
    }

    /// Sorts an SDK error by what a caller can do about it.
    pub fn from_sdk<E, R>(error: SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        const THROTTLES: [&str; 4] = [
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "ThrottlingException",
            "TransactionConflictException",
        ];
        match &error {
            SdkError::ServiceError(service) => match service.err().code() {
                Some(code) if THROTTLES.contains(&code) => Self::Throttled,
                Some("InternalServerError") | None => {
                    Self::Unavailable(DisplayErrorContext(&error).to_string())
                }
                Some(code) => {
                    Self::Refused(format!("{code}: {}", service.err().message().unwrap_or("no message")))
                }
            },
            _ => Self::Unavailable(DisplayErrorContext(&error).to_string()),
        }
    }
}
