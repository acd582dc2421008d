//! What can go wrong with the configuration table.

use super::item::DecodeError;
use crate::crypto::CryptoError;
use crate::dispatch::CredentialsError;
use crate::unreadable::ReadError;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use std::error::Error;

/// The codes of DynamoDB and KMS for "slower, please".
const THROTTLED: [&str; 4] =
    ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "Throttling"];

/// What is being done: a verb, and to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation(pub &'static str, pub &'static str);

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)?;
        if self.1.is_empty() { Ok(()) } else { write!(f, " {}", self.1) }
    }
}

impl From<&'static str> for Operation {
    fn from(whole: &'static str) -> Self {
        Self(whole, "")
    }
}

/// Why the configuration could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TenancyError {
    /// DynamoDB asks for fewer calls; the same call may succeed a second later.
    #[error("{operation}: throttled by DynamoDB")]
    Throttled {
        /// What was being done.
        operation: Operation,
    },
    /// DynamoDB answered with an error, or not at all.
    #[error("{operation}: {source}")]
    Store {
        /// What was being done.
        operation: Operation,
        /// What the SDK says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// An item of the table does not have the form this version writes.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// An item could not be written as JSON.
    #[error("{what} cannot be written: {source}")]
    Encode {
        /// Which item.
        what: &'static str,
        /// What serde says.
        source: serde_json::Error,
    },
    /// What was sealed as text opened as something else.
    #[error("{what} is no text")]
    NotText {
        /// What it was sealed for.
        what: &'static str,
    },
    /// What was sealed as credentials opened as something else.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A secret could not be sealed or opened.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

impl ReadError for TenancyError {
    fn is_unreadable(&self) -> bool {
        matches!(self, TenancyError::Decode(_))
    }
}

impl TenancyError {
    /// Whether the same call may succeed a second later.
    pub fn is_throttled(&self) -> bool {
        match self {
            TenancyError::Throttled { .. } => true,
            TenancyError::Crypto(CryptoError::Kms(code)) => THROTTLED.contains(&code.as_str()),
            _ => false,
        }
    }

    pub(super) fn sdk<E, R>(operation: impl Into<Operation>) -> impl FnOnce(SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        let operation = operation.into();
        move |error| {
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
            if code.is_some_and(|code| THROTTLED.contains(&code)) {
                return TenancyError::Throttled { operation };
            }
            // The SDK's own Display says "service error" and no more.
            let source = aws_sdk_dynamodb::error::DisplayErrorContext(&error).to_string();
            TenancyError::Store { operation, source: source.into() }
        }
    }
}
