//! The webhook after every attempt: an activity of the solution (SPEC §6), so that it is signed,
//! retried and recorded like any other and never holds up the processor.
//!
//! Its id follows from the reminder and the number of the attempt, its body from
//! the recorded entry. It is created between recording and settling, so whoever
//! finds an attempt unsettled creates it again, and that changes nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rules::names::{Kind, ids};
use serde_json::json;
use sha2::{Digest, Sha256};
use shared::context::Context;
use shared::engine::StoreError;
use shared::items::activity::{Created, NewActivity};
use shared::items::reminder::{Entry, Record};
use shared::tenancy::{REMINDER_WEBHOOK, TenancyError};

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
    let found = ctx.unreadable.leave_out(ctx.tenancy.activity_type(tenant, &name).await)?;
    let Some(found) = found.flatten() else {
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
        id: ids::reminder_webhook(&record.id, &hash(record.id.as_str()), record.state.sequence),
        date: entry.at,
        max_attempts: found.retries.max(1),
        uri: None,
        objects: vec![shared::table::keys::object_partition(tenant, &name, record.id.as_str())],
        body_hash: hash(&parameter).into(),
        shards: found.shards,
        type_changed_at: Some(found.meta.updated_at),
        // The reminder itself stands in `due` until this attempt is settled, so that its solution is not deleted.
        parents: vec![found.as_parent(tenant)],
        kind: Kind::Type(name),
        parameter,
    };
    // What is left of a reminder that had this id before keeps its ids.
    let again = NewActivity { id: ids::of_incarnation(&activity.id, record.created_at), ..activity.clone() };
    for activity in [activity, again] {
        let created = ctx.work.create(vec![activity]).await.pop().transpose()?;
        if created != Some(Created::Conflict) {
            return Ok(());
        }
    }
    tracing::warn!(%tenant, reminder = %record.id, sequence = record.state.sequence,
        "another activity has the id of this webhook, which is not sent");
    Ok(())
}

fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(text)[..HASH_BYTES])
}
