//! The webhook after every attempt: an activity of the solution (SPEC §6), so that it is signed,
//! retried and recorded like any other and never holds up the processor.
//!
//! Its id follows from the reminder and the number of the attempt, its body from
//! the recorded entry. It is created between recording and settling, so whoever
//! finds an attempt unsettled creates it again, and that changes nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rules::names::{ActivityId, Kind};
use serde_json::json;
use sha2::{Digest, Sha256};
use shared::context::Context;
use shared::reminder::{Entry, Record};
use shared::tenancy::{REMINDER_WEBHOOK, TenancyError};
use shared::work::{Created, NewActivity, StoreError};

/// Bytes of the hash that stands for what is too long, or that tells bodies apart.
const HASH_BYTES: usize = 16;

/// Why the webhook is not created: the attempt stays unsettled, and whoever recovers it creates it.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The config table.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
    /// The work table.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Creates the webhook of an attempt, unless it is there already.
///
/// # Errors
/// [`WebhookError`] when it could not be read or written.
pub async fn create(ctx: &Context, record: &Record, entry: &Entry) -> Result<(), WebhookError> {
    let tenant = &record.tenant;
    let Ok(name) = REMINDER_WEBHOOK.parse() else { return Ok(()) };
    let Some(found) = ctx.tenancy.activity_type(tenant, &name).await? else {
        tracing::warn!(%tenant, "the activity type {REMINDER_WEBHOOK} is gone; write the reminder configuration again");
        return Ok(());
    };
    let parameter = json!({
        "id": record.id,
        "date": rules::time::format(entry.at),
        "status": entry.outcome.as_str(),
        "detail": entry.detail,
    })
    .to_string();
    let activity = NewActivity {
        tenant: tenant.clone(),
        id: id(&record.id, record.state.sequence),
        date: entry.at,
        max_attempts: found.retries.max(1),
        uri: None,
        objects: vec![shared::work::keys::object_partition(tenant, &name, record.id.as_str())],
        body_hash: hash(&parameter),
        shards: found.shards,
        type_changed_at: Some(found.meta.updated_at),
        kind: Kind::Type(name),
        parameter,
    };
    for created in ctx.work.create(vec![activity]).await {
        if matches!(created?, Created::Conflict) {
            tracing::warn!(%tenant, reminder = %record.id, sequence = record.state.sequence,
                "another activity has the id of this webhook, which is not sent");
        }
    }
    Ok(())
}

/// The id of the webhook of attempt `sequence`.
fn id(reminder: &ActivityId, sequence: u32) -> ActivityId {
    let readable = format!("{REMINDER_WEBHOOK}:{reminder}:{sequence}");
    let short = || format!("{REMINDER_WEBHOOK}:{}:{sequence}", hash(reminder.as_str())).parse();
    // The characters of an id and a number, begun by a letter: too long is all that can be wrong.
    readable.parse().or_else(|_| short()).unwrap_or_else(|_| reminder.clone())
}

fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(text)[..HASH_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ids_whatever_the_reminders_name() {
        for (reminder, expect) in [
            ("visit:1".to_owned(), "reminder-webhook:visit:1:7".to_owned()),
            ("x".repeat(128), format!("reminder-webhook:{}:7", hash(&"x".repeat(128)))),
        ] {
            assert_eq!(id(&reminder.parse().unwrap(), 7).as_str(), expect);
        }
    }
}
