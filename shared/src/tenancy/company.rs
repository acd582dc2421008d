//! Companies: the outer half of a tenant.

use super::cache::Cache;
use super::change::{Commit, TRIES_MAX, When};
use super::item::{DecodeError, Item, Key, QOS_LEVEL, Reader, SK, Writer};
use super::store::{Decision, Setting};
use super::{Actor, AuditEntry, AuditScope, ChangeError, Changed, Meta, Tenancy, TenancyError};
use rules::names::CompanyName;
use serde_json::{Value, json};
use std::sync::Arc;

const WHAT: &str = "company";
const PARTITION: &str = "COMPANY";

/// A company.
#[derive(Debug, Clone, PartialEq)]
pub struct Company {
    /// Its name.
    pub name: CompanyName,
    /// Slots a round of the sweep gives it (SPEC §9.6), 1 to 100.
    pub qos_level: u32,
    /// When it was made and changed.
    pub meta: Meta,
}

impl Company {
    /// A company as a request describes it, not yet stored.
    pub fn new(name: CompanyName, qos_level: u32) -> Self {
        Self { name, qos_level, meta: Meta::default() }
    }
}

impl Setting for Company {
    type Id = CompanyName;
    type Parent = ();
    const WHAT: &'static str = WHAT;
    const ACTION: &'static str = "company";
    const PREFIX: &'static str = "";

    fn partition((): &()) -> String {
        PARTITION.to_owned()
    }

    fn key(name: &Self::Id) -> Key {
        Key::new(PARTITION, name.as_str())
    }

    fn encode(&self, id: &Self::Id) -> Result<Item, TenancyError> {
        Ok(self.meta.write(Writer::new(&Self::key(id)).number(QOS_LEVEL, self.qos_level)).finish())
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let reader = Reader::new(WHAT, item);
        Ok(Self {
            name: reader.parsed(SK)?,
            qos_level: reader.number(QOS_LEVEL)?,
            meta: Meta::read(&reader)?,
        })
    }

    fn meta(&self) -> Meta {
        self.meta
    }

    fn with_meta(self, meta: Meta) -> Self {
        Self { meta, ..self }
    }

    fn audited(&self) -> Value {
        json!({ "qosLevel": self.qos_level })
    }

    fn cache(tenancy: &Tenancy) -> &Cache<Self::Id, Self> {
        &tenancy.companies
    }
}

impl Tenancy {
    /// Makes or replaces a company. One of a name that was deleted is made once nothing of that one is left.
    ///
    /// # Errors
    /// [`ChangeError`] if the table fails.
    pub async fn put_company(&self, actor: &Actor, wanted: Company) -> Result<Changed<Company>, ChangeError> {
        let decide = async |old: Option<Arc<Company>>| {
            match old {
                Some(old) if old.qos_level == wanted.qos_level => return Ok(None),
                Some(_) => {}
                None => self.finish_company(&wanted.name).await?,
            }
            Ok(Some(Decision { new: wanted.clone(), beside: Vec::new(), note: None }))
        };
        let scope = AuditScope::Company(wanted.name.clone());
        self.change(actor, (scope, &wanted.name), decide).await
    }

    /// Deletes a company and its API keys; refused while it has solutions.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`], [`ChangeError::Conflict`], or the table failed.
    pub async fn delete_company(&self, actor: &Actor, name: &CompanyName) -> Result<(), ChangeError> {
        let scope = AuditScope::Company(name.clone());
        for _ in 0..TRIES_MAX {
            let key = Company::key(name);
            let Some(old) = self.found("read company", &key, Company::decode).await? else {
                return Err(ChangeError::NotFound(WHAT));
            };
            if old.meta().revision == 0 {
                // Whatever is made below it would not raise what is no number.
                self.commit("mend company", vec![self.mark(&key, When::Exists, 1)]).await?;
                continue;
            }
            // Whatever is made below the company raises its revision, so what is seen from here on
            // still holds when the delete goes through.
            if self.count_solutions(name).await? > 0 {
                return Err(ChangeError::Conflict(format!(
                    "company {name} has solutions; delete them first"
                )));
            }
            let Some(read) = self.delete_api_keys(name, old.meta()).await? else { continue };
            let now = rules::time::truncate(self.clock.now());
            let was = old.audited("company", name, Company::audited);
            let entry = AuditEntry::new(now, actor, "company.deleted").from(was);
            let writes = vec![
                self.delete(&key, Some(When::unchanged(read))),
                self.audit(&scope, &entry),
                self.retire_company(name, now),
            ];
            let commit = self.commit("delete company", writes).await;
            self.companies.forget(name);
            if commit? == Commit::Applied {
                return Ok(());
            }
        }
        Err(ChangeError::contended())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    #[test]
    fn a_company_round_trips_and_is_read_strictly() {
        let meta = Meta { revision: 3, ..Meta::new(DateTime::UNIX_EPOCH) };
        let company = Company { name: "acme".parse().unwrap(), qos_level: 7, meta };
        let item = company.encode(&company.name).unwrap();
        assert_eq!(Company::decode(&item), Ok(company));
        for name in [SK, QOS_LEVEL, "revision", "createdAt"] {
            let mut broken = item.clone();
            broken.remove(name);
            assert!(Company::decode(&broken).is_err(), "{name}");
        }
    }
}
