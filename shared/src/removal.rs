//! Carries out what deletions and erasures have written down (SPEC §3, [`crate::tenancy::Retired`]).
//!
//! Whoever dies on the way leaves the word of it, and the next pass goes on. The word goes last: of an erasure with the
//! pass that leaves nothing, of a deletion [`LATE_WRITES`] after it at the earliest, so that what was being written in
//! that moment is found too.

use crate::body_hash::BodyHash;
use crate::context::Context;
use crate::engine::StoreError;
use crate::engine::WorkItem;
use crate::engine::scan::Phase;
use crate::items::activity::{ActivityResult, Filter, Removal, Removed, Target};
use crate::items::notification::NotificationFilter;
use crate::items::recurring::RuleView;
use crate::items::reminder;
use crate::lease::Leases;
use crate::recurring::{self, RecurringError};
use crate::table::keys;
use crate::tenancy::{
    Actor, ErasureSubject, KindEntry, LATE_WRITES, NotificationSlice, REMINDER_WEBHOOK, Retired,
    RetiredSubject, TenancyError,
};
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use rules::activity::Status;
use rules::field::{FieldPath, object_ids_meant};
use rules::names::{ActivityId, Kind, Tenant};
use rules::recipient::Recipient;
use rules::verdict::ResultStatus;

/// Leases removed at a time.
const REMOVED_IN_FLIGHT: usize = 16;
/// Items of a list read at a time.
const PAGE: usize = 100;

/// Why a pass stopped. What it removed is gone; the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    /// The config table.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
    /// The work table or a lease.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A recurring rule.
    #[error(transparent)]
    Recurring(#[from] RecurringError),
}

/// What an erasure has removed, and whether something is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ErasureReport {
    /// Activities; webhooks of reminders among them.
    pub activities: usize,
    /// Reminders.
    pub reminders: usize,
    /// Notifications.
    pub notifications: usize,
    /// Recurring rules whose parameter names the object.
    pub recurring_activities: usize,
    /// Whether something is in flight, or time ran out: a later pass removes it.
    pub left: bool,
}

/// Removes what `retired` has ended, until `deadline`; whether something is left for a later pass.
///
/// # Errors
/// [`RemovalError`]; the same call may be made again.
pub async fn remove(ctx: &Context, retired: &Retired, deadline: DateTime<Utc>) -> Result<bool, RemovalError> {
    let left = match &retired.subject {
        RetiredSubject::Company(name) => {
            for slots in [keys::worker_slots(name), keys::request_slots(name), keys::manual_send_slots(name)]
            {
                ctx.slots.remove(&slots).await?;
            }
            ctx.tenancy.remove_company(name, retired.at).await?;
            false
        }
        RetiredSubject::Solution(tenant) => {
            let removal = Box::pin(solution(ctx, tenant, deadline)).await?;
            let is_late = ctx.clock.now() >= rules::time::after(retired.at, LATE_WRITES);
            // While there may be late writes, what says where they are stays.
            let is_clean = !removal.left && removal.removed == 0 && is_late;
            if is_clean {
                ctx.tenancy.remove_solution(tenant).await?;
            }
            !is_clean
        }
        RetiredSubject::Erasure { tenant, actor, subject, .. } => {
            Box::pin(erase(ctx, actor, tenant, subject, deadline)).await?.left
        }
    };
    if !left {
        ctx.tenancy.forget_retired(retired).await?;
    }
    Ok(left)
}

/// Removes what a deleted solution has in the work table, and its leases.
async fn solution(ctx: &Context, tenant: &Tenant, deadline: DateTime<Utc>) -> Result<Removal, RemovalError> {
    let kinds = ctx.tenancy.kinds(tenant).await?;
    let slices = ctx.tenancy.notification_slices_of(tenant).await?;
    let shards = ctx.tenancy.reminder_shards(tenant).await?;
    let mut phases = ctx.work.phases(tenant, &kinds, &Filter::default());
    phases.extend(ctx.work.notification_phases(&slices));
    phases.extend(reminder::phases_of_all(tenant, shards));
    phases.push(Phase::done(keys::early_partitions(tenant)));
    phases.push(Phase::object(vec![keys::rule_list_partition(tenant)]));
    let mut removal = Removal::default();
    for phase in phases {
        removal = removal.and(ctx.work.remove_phase(tenant, &phase, deadline).await?);
    }
    ctx.work.remove_batches(tenant).await?;
    remove_leases(&ctx.leases, tenant, &kinds).await?;
    Ok(removal)
}

async fn remove_leases(leases: &Leases, tenant: &Tenant, kinds: &[KindEntry]) -> Result<(), StoreError> {
    let slices = kinds
        .iter()
        .flat_map(|entry| (0..entry.shards.due).map(|shard| keys::due_partition(tenant, &entry.kind, shard)));
    let slices: Vec<String> = slices.collect();
    let removals = slices.into_iter().map(|name| async move { leases.remove(&name).await });
    stream::iter(removals).buffer_unordered(REMOVED_IN_FLIGHT).try_collect::<()>().await?;
    for kind in rules::rolling::LogKind::ALL {
        leases.remove(&keys::roller_lease(tenant, kind)).await?;
    }
    Ok(())
}

/// Removes everything of an object or a recipient, until `deadline`. An activity in flight is ended as canceled, so
/// that no attempt follows the one under way.
///
/// # Errors
/// [`RemovalError`]; the same call may be made again.
pub async fn erase(
    ctx: &Context,
    actor: &Actor,
    tenant: &Tenant,
    subject: &ErasureSubject,
    deadline: DateTime<Utc>,
) -> Result<ErasureReport, RemovalError> {
    let mut report = ErasureReport::default();
    let slices = ctx.tenancy.notification_slices_of(tenant).await?;
    match subject {
        ErasureSubject::Object(value) => {
            // Rules first, since they make activities.
            rules_of(ctx, actor, tenant, value, &mut report).await?;
            let kinds = ctx.tenancy.kinds(tenant).await?;
            activities_of(ctx, tenant, &kinds, value, deadline, &mut report).await?;
        }
        ErasureSubject::Recipient { country_code, phone_number } => {
            let recipient = Recipient::stored(country_code, phone_number);
            reminders_to(ctx, tenant, recipient, deadline, &mut report).await?;
        }
    }
    notifications_of(ctx, tenant, &slices, subject, deadline, &mut report).await?;
    Ok(report)
}

async fn activities_of(
    ctx: &Context,
    tenant: &Tenant,
    kinds: &[KindEntry],
    value: &str,
    deadline: DateTime<Utc>,
    report: &mut ErasureReport,
) -> Result<(), RemovalError> {
    let filter = Filter { object_id: Some(value.to_owned()), ..Filter::default() };
    let mut cursor: Option<String> = None;
    loop {
        let (records, next) = ctx.work.records_of(tenant, kinds, &filter, cursor.as_deref()).await?;
        for record in records {
            if ctx.clock.now() >= deadline {
                report.left = true;
                return Ok(());
            }
            report.activities += 1;
            if ctx.work.remove(tenant, &record.pk(), false).await? == Removed::InFlight {
                report.left = true;
                if record.state.status == Status::Ready {
                    cancel_in_flight(ctx, tenant, &record.id).await?;
                }
            }
        }
        cursor = next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// Whatever comes of the attempt that is under way, it is the last: the settle ends the activity by this result.
async fn cancel_in_flight(ctx: &Context, tenant: &Tenant, id: &ActivityId) -> Result<(), RemovalError> {
    let now = rules::time::truncate(ctx.clock.now());
    let result = ActivityResult {
        // The same in every pass, so that it is recorded once.
        id: id.clone(),
        status: ResultStatus::Canceled,
        provider_activity_id: None,
        occurred_at: now,
        received_at: now,
        hard_override: true,
        details: "{}".to_owned(),
        body_hash: BodyHash::default(),
        standalone: false,
    };
    ctx.work.report(tenant, &Target::Activity(id.clone()), result).await?;
    Ok(())
}

async fn rules_of(
    ctx: &Context,
    actor: &Actor,
    tenant: &Tenant,
    value: &str,
    report: &mut ErasureReport,
) -> Result<(), RemovalError> {
    let mut after: Option<String> = None;
    loop {
        let page = ctx.work.rules(tenant, after.as_deref(), PAGE).await?;
        for RuleView { rule, parameter } in page.items {
            let name = &rule.spec.activity_type;
            let found = ctx.unreadable.leave_out(ctx.tenancy.activity_type(tenant, name).await)?;
            let Some(found) = found.flatten() else { continue };
            let objects = recurring::objects(tenant, &found, &parameter);
            let is_wanted = |id: &String| objects.contains(&keys::object_partition(tenant, name, id));
            if object_ids_meant(value).iter().any(is_wanted) {
                recurring::delete(ctx, actor, tenant, &rule.name).await?;
                report.recurring_activities += 1;
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

async fn reminders_to(
    ctx: &Context,
    tenant: &Tenant,
    recipient: Recipient,
    deadline: DateTime<Utc>,
    report: &mut ErasureReport,
) -> Result<(), RemovalError> {
    let shards = ctx.tenancy.reminder_shards(tenant).await?;
    let webhooks: Vec<KindEntry> = ctx.tenancy.kinds(tenant).await?;
    let is_webhook =
        |entry: &KindEntry| matches!(&entry.kind, Kind::Type(name) if name.as_str() == REMINDER_WEBHOOK);
    let webhooks: Vec<KindEntry> = webhooks.into_iter().filter(is_webhook).collect();
    let filter = reminder::Filter { recipient: Some(recipient), ..reminder::Filter::default() };
    let mut cursor: Option<String> = None;
    loop {
        let page = ctx.reminders.list(tenant, shards, &filter, cursor.as_deref(), PAGE).await?;
        for found in page.items {
            if ctx.clock.now() >= deadline {
                report.left = true;
                return Ok(());
            }
            let id = &found.record.id;
            // What is on its way is recorded, and nothing follows it.
            ctx.reminders.cancel(tenant, id).await?;
            report.reminders += 1;
            activities_of(ctx, tenant, &webhooks, id.as_str(), deadline, report).await?;
            let pk = reminder::keys::reminder(tenant, id);
            // Its webhooks are found by it, so it goes after them.
            if !report.left && ctx.work.remove(tenant, &pk, false).await? == Removed::InFlight {
                report.left = true;
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// Removes the notifications whose payload names the object or the recipient in members of its own.
async fn notifications_of(
    ctx: &Context,
    tenant: &Tenant,
    slices: &[NotificationSlice],
    subject: &ErasureSubject,
    deadline: DateTime<Utc>,
    report: &mut ErasureReport,
) -> Result<(), RemovalError> {
    let filter = NotificationFilter::default();
    let mut cursor: Option<String> = None;
    loop {
        let page = ctx.work.notifications(slices, &filter, cursor.as_deref(), PAGE).await?;
        for view in page.items {
            if ctx.clock.now() >= deadline {
                report.left = true;
                return Ok(());
            }
            if !is_about(&view.payload, subject) {
                continue;
            }
            report.notifications += 1;
            let pk = view.notification.pk();
            if ctx.work.remove(tenant, &pk, false).await? == Removed::InFlight {
                report.left = true;
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// Whether a notification's payload names the object as `objectId`, or the recipient as `countryCode` and `phoneNumber`.
fn is_about(payload: &str, subject: &ErasureSubject) -> bool {
    let member = |name: &str| name.parse::<FieldPath>().ok()?.scalar(payload).ok();
    match subject {
        ErasureSubject::Object(value) => {
            member("objectId").is_some_and(|found| object_ids_meant(value).contains(&found.object_id()))
        }
        ErasureSubject::Recipient { country_code, phone_number } => {
            let named = member("countryCode").zip(member("phoneNumber"));
            named.is_some_and(|(country, number)| {
                Recipient::stored(country.as_str(), number.as_str())
                    == Recipient::stored(country_code, phone_number)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_about_what_it_names() {
        let object = ErasureSubject::Object("42".into());
        let recipient =
            ErasureSubject::Recipient { country_code: "55".into(), phone_number: "(11) 97777-6666".into() };
        for (payload, subject, expect) in [
            (r#"{"objectId": "42"}"#, &object, true),
            (r#"{"objectId": 42}"#, &object, true),
            (r#"{"objectId": 4.2e1}"#, &object, true),
            (r#"{"objectId": 421}"#, &object, false),
            (r#"{"order": {"objectId": 42}}"#, &object, false),
            (r#"[42]"#, &object, false),
            (r#"{"countryCode": "+55", "phoneNumber": "11977776666"}"#, &recipient, true),
            (r#"{"countryCode": "55", "phoneNumber": "11977776667"}"#, &recipient, false),
            (r#"{"phoneNumber": "11977776666"}"#, &recipient, false),
        ] {
            assert_eq!(is_about(payload, subject), expect, "{payload}");
        }
    }
}
