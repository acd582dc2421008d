//! What is deleted, and has to be removed from the tables (SPEC §3).
//!
//! A deletion writes down what it ends, in its own transaction; `log-roller` removes it, and the word of it last. Until
//! then nothing of it is seen, whatever is made under the same name: a solution's keys have its incarnation
//! ([`rules::names::SolutionId`]), and a company's audit log is removed before its name is used again.
//!
//! | item | PK | SK |
//! | --- | --- | --- |
//! | a deleted solution | `RETIRED` | `{company}/{solution}~{n}` |
//! | a deleted company | `RETIRED` | `{company}` |
//! | an erasure (`S/erase`) that is not at its end | `RETIRED` | `{company}/{solution}~{n}#{id}` |
//! | how many solutions of a name were deleted | `C#{company}` | `D#{solution}` |

use super::change::{Commit, TRIES_MAX, When};
use super::error::Operation;
use super::item::{DecodeError, Item, Key, REVISION, Reader, SK, Writer};
use super::page::Listing;
use super::{Actor, Page, PageRequest, Tenancy, TenancyError};
use aws_sdk_dynamodb::types::TransactWriteItem;
use chrono::{DateTime, TimeDelta, Utc};
use rules::names::{CompanyName, SolutionName, Tenant};
use std::fmt;

/// For how long a name that was deleted is not used again: by then no process has the deleted one in its cache, and
/// none shows it, or accepts work for it, under the new one's name. [`super::CACHE_TTL`], and time for clocks to differ.
pub(super) const NAME_REUSE_WAIT: TimeDelta = TimeDelta::seconds(5);
/// For how long after a deletion what it ended is looked for again: writers that were under way then have ended.
pub const LATE_WRITES: TimeDelta = TimeDelta::hours(1);

const WHAT: &str = "word of a deletion";
const PARTITION: &str = "RETIRED";
const DELETED_AT: &str = "deletedAt";
const ACTOR: &str = "actor";
const OBJECT_ID: &str = "objectId";
const COUNTRY_CODE: &str = "countryCode";
const PHONE_NUMBER: &str = "phoneNumber";
/// Between a tenant and an erasure's id; neither has one.
const ERASURE: char = '#';
/// Items removed in one transaction.
const BATCH_MAX: usize = 25;

/// Whose data is erased (`S/erase`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasureSubject {
    /// The object that activities name by their type's `objectIdRef`.
    Object(String),
    /// The recipient of reminders.
    Recipient {
        /// As a reminder has it.
        country_code: String,
        /// As a reminder has it.
        phone_number: String,
    },
}

/// What was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetiredSubject {
    /// A company with everything that was its own.
    Company(CompanyName),
    /// A solution with everything in it.
    Solution(Tenant),
    /// Of a solution that stays, what belongs to an object or a recipient.
    Erasure {
        /// The solution.
        tenant: Tenant,
        /// The erasure's own id.
        id: String,
        /// Who asked for it.
        actor: Actor,
        /// Whose data.
        subject: ErasureSubject,
    },
}

/// A deletion whose items are to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// What was deleted.
    pub subject: RetiredSubject,
    /// When.
    pub at: DateTime<Utc>,
}

/// Its key, without the data of whomever it is about: for logs as well.
impl fmt::Display for RetiredSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RetiredSubject::Company(company) => write!(f, "{company}"),
            RetiredSubject::Solution(tenant) => write!(f, "{tenant}"),
            RetiredSubject::Erasure { tenant, id, .. } => write!(f, "{tenant}{ERASURE}{id}"),
        }
    }
}

impl Retired {
    fn key(&self) -> Key {
        Key::new(PARTITION, self.subject.to_string())
    }

    fn encode(&self) -> Item {
        let mut writer = Writer::new(&self.key()).time(DELETED_AT, self.at);
        if let RetiredSubject::Erasure { actor, .. } = &self.subject {
            writer = writer.text(ACTOR, actor);
        }
        match &self.subject {
            RetiredSubject::Erasure { subject: ErasureSubject::Object(id), .. } => {
                writer.text(OBJECT_ID, id).finish()
            }
            RetiredSubject::Erasure {
                subject: ErasureSubject::Recipient { country_code, phone_number },
                ..
            } => writer.text(COUNTRY_CODE, country_code).text(PHONE_NUMBER, phone_number).finish(),
            RetiredSubject::Company(_) | RetiredSubject::Solution(_) => writer.finish(),
        }
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let reader = Reader::new(WHAT, item);
        let sk = reader.text(SK)?;
        let tenant = |text: &str| text.parse().map_err(|_| reader.error(SK, "names no solution"));
        let subject = if let Some((of, id)) = sk.split_once(ERASURE) {
            let subject = match reader.optional_text(OBJECT_ID)? {
                Some(id) => ErasureSubject::Object(id),
                None => ErasureSubject::Recipient {
                    country_code: reader.text(COUNTRY_CODE)?.to_owned(),
                    phone_number: reader.text(PHONE_NUMBER)?.to_owned(),
                },
            };
            RetiredSubject::Erasure {
                tenant: tenant(of)?,
                id: id.to_owned(),
                actor: reader.parsed(ACTOR)?,
                subject,
            }
        } else if sk.contains('/') {
            RetiredSubject::Solution(tenant(sk)?)
        } else {
            RetiredSubject::Company(reader.parsed(SK)?)
        };
        Ok(Self { subject, at: reader.time(DELETED_AT)? })
    }
}

/// The solutions that had a name before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Predecessors {
    /// How many were deleted.
    pub(super) count: u32,
    /// When the last one was.
    pub(super) last_at: DateTime<Utc>,
}

impl Predecessors {
    fn key(company: &CompanyName, name: &SolutionName) -> Key {
        Key::new(format!("C#{company}"), format!("D#{name}"))
    }
}

impl Tenancy {
    /// The solutions that had the name of `tenant` before.
    pub(super) async fn predecessors(&self, tenant: &Tenant) -> Result<Option<Predecessors>, TenancyError> {
        let key = Predecessors::key(&tenant.company, tenant.solution.name());
        let Some(item) = self.read("read deletions", &key).await? else { return Ok(None) };
        let reader = Reader::new("count of deletions", &item);
        Ok(Some(Predecessors { count: reader.number(REVISION)?, last_at: reader.time(DELETED_AT)? }))
    }

    /// Holds only while nobody deletes another solution of that name.
    pub(super) fn check_predecessors(
        &self,
        tenant: &Tenant,
        known: Option<Predecessors>,
    ) -> TransactWriteItem {
        let key = Predecessors::key(&tenant.company, tenant.solution.name());
        let when = known.map_or(When::Absent, |known| When::Revision(known.count.into()));
        self.check(&key, when)
    }

    /// The writes by which a solution that is deleted at `at` is retired.
    pub(super) fn retire_solution(&self, tenant: &Tenant, at: DateTime<Utc>) -> [TransactWriteItem; 2] {
        let key = Predecessors::key(&tenant.company, tenant.solution.name());
        let count = Writer::new(&key)
            .number(REVISION, u64::from(tenant.solution.incarnation()) + 1)
            .time(DELETED_AT, at);
        let retired = Retired { subject: RetiredSubject::Solution(tenant.clone()), at };
        [self.put(count.finish(), None), self.put(retired.encode(), None)]
    }

    /// The write by which a company that is deleted at `at` is retired.
    pub(super) fn retire_company(&self, name: &CompanyName, at: DateTime<Utc>) -> TransactWriteItem {
        self.put(Retired { subject: RetiredSubject::Company(name.clone()), at }.encode(), None)
    }

    /// Sees to it that nothing of a deleted company is left that whoever makes one of its name would see.
    pub(super) async fn finish_company(&self, name: &CompanyName) -> Result<(), TenancyError> {
        let subject = RetiredSubject::Company(name.clone());
        let key = Retired { subject, at: DateTime::UNIX_EPOCH }.key();
        let Some(item) = self.read("read deletion", &key).await? else { return Ok(()) };
        let retired = Retired::decode(&item)?;
        self.clock.sleep_until(rules::time::after(retired.at, NAME_REUSE_WAIT)).await;
        self.remove_company(name, retired.at).await?;
        self.forget_retired(&retired).await
    }

    /// A page of what was deleted and is to be removed, by name.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn retired(&self, request: &PageRequest) -> Result<Page<Retired>, TenancyError> {
        let listing = Listing {
            operation: "list deletions".into(),
            pk: PARTITION.to_owned(),
            prefix: "",
            newest_first: false,
        };
        self.page(&listing, request, Retired::decode).await
    }

    /// Writes down an erasure before anything of it is done, with `entry` in the solution's audit log.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be written.
    pub async fn begin_erasure(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        subject: ErasureSubject,
    ) -> Result<Retired, TenancyError> {
        let at = rules::time::truncate(self.clock.now());
        let id = self.entropy.uuid_v7(at).to_string();
        let subject = RetiredSubject::Erasure { tenant: tenant.clone(), id, actor: actor.clone(), subject };
        let retired = Retired { subject, at };
        // What was erased is personal, so the entry says no more than that something was.
        let entry = super::AuditEntry::new(at, actor, "data.erased");
        let writes = vec![
            self.put(retired.encode(), None),
            self.audit(&super::AuditScope::Solution(tenant.clone()), &entry),
        ];
        self.commit("begin erasure", writes).await?;
        Ok(retired)
    }

    /// Removes the word of a deletion of which nothing is left.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be written.
    pub async fn forget_retired(&self, retired: &Retired) -> Result<(), TenancyError> {
        self.remove("forget deletion", &[retired.key()]).await
    }

    /// Removes what a company that was deleted at `at` had in this table: its audit log up to then, since another one
    /// may have the name by now.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read or written; the same call may be made again.
    pub async fn remove_company(&self, name: &CompanyName, at: DateTime<Utc>) -> Result<(), TenancyError> {
        // One that has the name by now counts anew.
        self.remove("remove counts", &super::quota::keys(name)).await?;
        let last = super::audit::sort_key_after(at);
        self.remove_all(format!("AUDIT#{name}"), "", |sk| sk < last.as_str()).await
    }

    /// Removes what a deleted solution had in this table, what says where its items of the work table are last.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read or written; the same call may be made again.
    pub async fn remove_solution(&self, tenant: &Tenant) -> Result<(), TenancyError> {
        let below = format!("{tenant}/");
        for (pk, prefix) in [
            (format!("T#{tenant}"), ""),
            (format!("AUDIT#{tenant}"), ""),
            (super::notification_slice::REGISTRY.to_owned(), &*below),
            (super::slice::PARTITION.to_owned(), &*below),
        ] {
            self.remove_all(pk, prefix, |_| true).await?;
        }
        self.remove("remove solution", &[super::ReminderConfiguration::key(tenant)]).await
    }

    /// Removes the items of a partition whose sort keys begin with `prefix` and are `wanted`.
    async fn remove_all(
        &self,
        pk: String,
        prefix: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), TenancyError> {
        let mut request = PageRequest { after: None, limit: BATCH_MAX };
        loop {
            let listing = Listing {
                operation: "list what is removed".into(),
                pk: pk.clone(),
                prefix,
                newest_first: false,
            };
            let key = |item: &Item| Ok(Key::new(pk.clone(), Reader::new(WHAT, item).text(SK)?));
            let mut page = self.page(&listing, &request, key).await?;
            page.items.retain(|key| wanted(&key.sk));
            self.remove("remove what was deleted", &page.items).await?;
            request.after = page.next;
            if request.after.is_none() {
                return Ok(());
            }
        }
    }

    async fn remove(&self, operation: impl Into<Operation> + Copy, keys: &[Key]) -> Result<(), TenancyError> {
        for chunk in keys.chunks(BATCH_MAX) {
            let deletes = || chunk.iter().map(|key| self.delete(key, None)).collect();
            let mut tries = 0;
            // Without conditions it can lose against another transaction alone.
            while self.commit(operation, deletes()).await? == Commit::Lost {
                tries += 1;
                if tries == TRIES_MAX {
                    return Err(TenancyError::Store {
                        operation: operation.into(),
                        source: "contended".into(),
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletions_round_trip() {
        let tenant: Tenant = "acme/shop~2".parse().unwrap();
        let erasure = |subject| RetiredSubject::Erasure {
            tenant: tenant.clone(),
            id: "e-1".into(),
            actor: Actor::Key("k".into()),
            subject,
        };
        for subject in [
            RetiredSubject::Company("acme".parse().unwrap()),
            RetiredSubject::Solution(tenant.clone()),
            RetiredSubject::Solution("acme/shop".parse().unwrap()),
            erasure(ErasureSubject::Object("a/b#c".into())),
            erasure(ErasureSubject::Recipient { country_code: "55".into(), phone_number: "1 2".into() }),
        ] {
            let retired = Retired { subject, at: DateTime::UNIX_EPOCH };
            assert_eq!(Retired::decode(&retired.encode()), Ok(retired));
        }
    }
}
