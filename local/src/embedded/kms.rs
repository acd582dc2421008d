//! The embedded KMS: winterbaume's, with its keys kept in a file.

use super::answer::Answer;
use super::usage::{Service, Usage};
use super::{ACCOUNT, REGION};
use crate::data_dir;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;
use winterbaume_core::{MockRequest, MockService, StatefulService};
use winterbaume_kms::{KmsService, KmsStateView};

/// The operations that use keys and change none.
const READS: &[&str] = &[
    "Decrypt",
    "DescribeKey",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateMac",
    "GenerateRandom",
    "GetKeyPolicy",
    "GetKeyRotationStatus",
    "GetPublicKey",
    "ListAliases",
    "ListGrants",
    "ListKeyPolicies",
    "ListKeyRotations",
    "ListKeys",
    "ListResourceTags",
    "ListRetirableGrants",
    "ReEncrypt",
    "Sign",
    "Verify",
    "VerifyMac",
];
/// The request fields that hold an encryption context.
const CONTEXTS: &[&str] = &["EncryptionContext", "SourceEncryptionContext", "DestinationEncryptionContext"];

/// The service.
pub struct Kms {
    service: KmsService,
    file: Option<PathBuf>,
    /// One change at a time, so that the file never goes back to an older state.
    changes: Mutex<()>,
    usage: Arc<Usage>,
}

/// Why the keys could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the keys in {file}: {reason}")]
pub struct OpenError {
    file: String,
    reason: String,
}

impl Kms {
    /// A service with the keys in `file`, if there is one already.
    ///
    /// # Errors
    /// The file cannot be read or is damaged. It is never replaced then: what
    /// was encrypted under its keys would be lost.
    pub async fn open(file: Option<PathBuf>, usage: Arc<Usage>) -> Result<Self, OpenError> {
        let service = KmsService::new();
        if let Some(file) = file.as_deref() {
            let failed = |reason: String| OpenError { file: file.display().to_string(), reason };
            if let Some(keys) = read(file).map_err(failed)? {
                service.restore(ACCOUNT, REGION, keys).await.map_err(|error| failed(error.to_string()))?;
            }
        }
        Ok(Self { service, file, changes: Mutex::default(), usage })
    }

    /// Answers one request. A change of keys is on disk before it is answered.
    pub async fn handle(&self, operation: &str, body: &Bytes) -> Answer {
        self.usage.request(Service::Kms, operation);
        if READS.contains(&operation) {
            return self.ask(operation, body.clone()).await;
        }
        if operation == "RotateKeyOnDemand" {
            // It would replace the key material, and with it lose whatever is encrypted.
            let text = "The embedded KMS keeps one key material per key and cannot rotate it.";
            return Answer::fault(400, "UnsupportedOperationException", text);
        }
        let _turn = self.changes.lock().await;
        let answer = self.ask(operation, body.clone()).await;
        if answer.status == 200
            && let Err(error) = self.keep().await
        {
            tracing::error!(%error, "cannot keep the KMS keys");
            return Answer::fault(500, "KMSInternalException", "The change could not be stored.");
        }
        answer
    }

    async fn ask(&self, operation: &str, body: Bytes) -> Answer {
        let mut headers = HeaderMap::new();
        match HeaderValue::try_from(format!("TrentService.{operation}")) {
            Ok(target) => headers.insert("x-amz-target", target),
            Err(_) => return Answer::fault(400, "InvalidAction", "The operation's name is malformed."),
        };
        // The account's region is a constant here: it is read from this address.
        let uri = format!("https://kms.{REGION}.amazonaws.com/");
        let request = MockRequest { method: "POST".to_owned(), uri, headers, body: escape_contexts(body) };
        let response = self.service.handle(request).await;
        Answer { status: response.status, body: response.body, query_error: None }
    }

    async fn keep(&self) -> std::io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let keys = self.service.snapshot(ACCOUNT, REGION).await;
        data_dir::write_private(file, &serde_json::to_vec_pretty(&keys)?)
    }
}

fn read(file: &Path) -> Result<Option<KmsStateView>, String> {
    match std::fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| error.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Winterbaume joins a context as `name=value,name=value`, so two different
/// contexts could be taken for the same one. Escaping those signs sets them apart.
fn escape_contexts(body: Bytes) -> Bytes {
    let Ok(Value::Object(mut request)) = serde_json::from_slice::<Value>(&body) else { return body };
    let mut changed = false;
    for field in CONTEXTS {
        if let Some(Value::Object(context)) = request.get_mut(*field) {
            let escaped = std::mem::take(context).into_iter().map(|(name, value)| {
                let value = value.as_str().map_or(value.clone(), |text| Value::from(escape(text)));
                (escape(&name), value)
            });
            *context = escaped.collect::<Map<_, _>>();
            changed = true;
        }
    }
    if changed { Bytes::from(Value::Object(request).to_string()) } else { body }
}

fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('=', "%3D").replace(',', "%2C")
}
