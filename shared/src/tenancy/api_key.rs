//! API keys of companies: stored as SHA-256, shown once, compared in constant time (SPEC §1).
//!
//! The text of a key is `pk~{company}~{id}~{secret}`, so that one read finds it.

use super::change::{Commit, TRIES_MAX, When};
use super::company::Company;
use super::item::{CREATED_AT, DecodeError, Item, Key, PK, Reader, SK, Writer};
use super::page::Listing;
use super::quota::{Place, Quota};
use super::store::Setting;
use super::{Actor, AuditEntry, AuditScope, ChangeError, Meta, Page, PageRequest, Tenancy, TenancyError};
use crate::secret_hash::SecretHash;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use rules::names::{ActivityId, CompanyName};
use serde_json::json;
use zeroize::Zeroizing;

const WHAT: &str = "API key";
const PREFIX: &str = "KEY#";
const ID: &str = "id";
const LABEL: &str = "label";
const HASH: &str = "secretHash";
const REQUEST_HASH: &str = "requestHash";
/// What the text of every key begins with.
const MARK: &str = "pk";
/// Stands between the parts of a key: neither names nor ids nor the secret have it.
const SEPARATOR: char = '~';
/// Random bytes of a key's secret.
const SECRET_BYTES: usize = 32;
/// Most keys deleted in one transaction, which takes 100 writes.
const DELETED_AT_ONCE: usize = 90;

/// An API key, as much of it as is kept.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// The company it opens.
    pub company: CompanyName,
    /// Its id.
    pub id: String,
    /// What its owner calls it.
    pub label: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    hash: SecretHash,
    /// Of the request that made it, so that a repeat is recognised.
    request_hash: String,
}

impl ApiKey {
    fn key(company: &CompanyName, id: &str) -> Key {
        Key::new(format!("C#{company}"), format!("{PREFIX}{id}"))
    }

    fn encode(&self) -> Item {
        Writer::new(&Self::key(&self.company, &self.id))
            .text(ID, &self.id)
            .text(LABEL, &self.label)
            .text(HASH, self.hash)
            .text(REQUEST_HASH, &self.request_hash)
            .time(CREATED_AT, self.created_at)
            .finish()
    }

    fn id_in(item: &Item) -> Result<String, DecodeError> {
        let reader = Reader::new(WHAT, item);
        let id = reader.text(SK)?.strip_prefix(PREFIX);
        Ok(id.ok_or_else(|| reader.error(SK, "names no API key"))?.to_owned())
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let reader = Reader::new(WHAT, item);
        let company = reader.text(PK)?.strip_prefix("C#").and_then(|name| name.parse().ok());
        Ok(Self {
            company: company.ok_or_else(|| reader.error(PK, "names no company"))?,
            id: reader.text(ID)?.to_owned(),
            label: reader.text(LABEL)?.to_owned(),
            hash: reader.parsed(HASH)?,
            request_hash: reader.text(REQUEST_HASH)?.to_owned(),
            created_at: reader.time(CREATED_AT)?,
        })
    }
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The company it is to open.
    pub company: CompanyName,
    /// Its id, if the caller gives one.
    pub id: Option<ActivityId>,
    /// What its owner calls it.
    pub label: String,
    /// Hash of the request, to tell a repeat from another request with the same id.
    pub request_hash: String,
}

/// What became of a key to be made.
#[derive(Debug)]
pub enum KeyCreated {
    /// It was made; its text is shown this once.
    New(ApiKey, Zeroizing<String>),
    /// The same request made it before.
    Existing(ApiKey),
}

impl Tenancy {
    /// Makes a key.
    pub(super) async fn write_api_key(
        &self,
        actor: &Actor,
        new: &NewApiKey,
        place: &mut Place<'_>,
    ) -> Result<KeyCreated, ChangeError> {
        let company_key = Company::key(&new.company);
        for _ in 0..TRIES_MAX {
            if self.fresh::<Company>(&new.company).await?.is_none() {
                return Err(ChangeError::NotFound("company"));
            }
            let now = rules::time::truncate(self.clock.now());
            let id = match &new.id {
                Some(id) => id.to_string(),
                None => self.entropy.uuid_v7(now).to_string(),
            };
            if let Some(existing) = self.api_key_fresh(&new.company, &id).await? {
                if existing.request_hash == new.request_hash {
                    return Ok(KeyCreated::Existing(existing));
                }
                return Err(ChangeError::Conflict(format!("another API key has the id {id}")));
            }
            place.take().await?;
            let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.entropy.bytes::<SECRET_BYTES>()));
            let text = Zeroizing::new(format!("{MARK}~{}~{id}~{}", new.company, *secret));
            let key = ApiKey {
                company: new.company.clone(),
                hash: SecretHash::of(&text),
                id,
                label: new.label.clone(),
                created_at: now,
                request_hash: new.request_hash.clone(),
            };
            let entry =
                AuditEntry::new(now, actor, "apiKey.created").to(json!({"id": key.id, "label": key.label}));
            let writes = vec![
                self.put(key.encode(), Some(When::Absent)),
                self.touch(&company_key, When::Exists),
                self.audit(&AuditScope::Company(new.company.clone()), &entry),
            ];
            if self.commit("write API key", writes).await? == Commit::Applied {
                return Ok(KeyCreated::New(key, text));
            }
        }
        Err(ChangeError::contended())
    }

    /// The key whose text this is, if it is one of ours and was not deleted.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn authenticate(&self, text: &str) -> Result<Option<ApiKey>, TenancyError> {
        let mut parts = text.split(SEPARATOR);
        let (Some(MARK), Some(company), Some(id), Some(_secret), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Ok(None);
        };
        let (Ok(company), Ok(id)) = (company.parse::<CompanyName>(), id.parse::<ActivityId>()) else {
            return Ok(None);
        };
        let cache_key = (company, id.to_string());
        let key = match self.keys.get(&cache_key) {
            Some(key) => key,
            None => {
                let begun = self.keys.begin();
                let Some(key) = self.api_key_fresh(&cache_key.0, &cache_key.1).await? else {
                    return Ok(None);
                };
                let key = std::sync::Arc::new(key);
                self.keys.keep(&begun, cache_key, key.clone());
                key
            }
        };
        Ok(key.hash.matches(&SecretHash::of(text)).then(|| ApiKey::clone(&key)))
    }

    async fn api_key_fresh(&self, company: &CompanyName, id: &str) -> Result<Option<ApiKey>, TenancyError> {
        let item = self.read("read API key", &ApiKey::key(company, id)).await?;
        Ok(item.as_ref().map(ApiKey::decode).transpose()?)
    }

    /// A page of a company's keys, by id.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn api_keys(
        &self,
        company: &CompanyName,
        request: &PageRequest,
    ) -> Result<Page<ApiKey>, TenancyError> {
        self.page(&Self::keys_of(company), request, ApiKey::decode).await
    }

    fn keys_of(company: &CompanyName) -> Listing<'static> {
        Listing {
            operation: "list API keys".into(),
            pk: format!("C#{company}"),
            prefix: PREFIX,
            newest_first: false,
        }
    }

    /// Deletes a key; in this process it stops at once, in others within [`super::CACHE_TTL`].
    ///
    /// # Errors
    /// [`ChangeError::NotFound`], or the table failed.
    pub async fn delete_api_key(
        &self,
        actor: &Actor,
        company: &CompanyName,
        id: &str,
    ) -> Result<(), ChangeError> {
        let key = ApiKey::key(company, id);
        let Some(old) = self.found("read API key", &key, ApiKey::decode).await? else {
            return Err(ChangeError::NotFound(WHAT));
        };
        let now = rules::time::truncate(self.clock.now());
        let was = old.audited("id", id, |old| json!({"id": old.id, "label": old.label}));
        let entry = AuditEntry::new(now, actor, "apiKey.deleted").from(was);
        let writes = vec![
            self.delete(&key, Some(When::Exists)),
            self.audit(&AuditScope::Company(company.clone()), &entry),
        ];
        let commit = self.commit("delete API key", writes).await;
        self.keys.forget(&(company.clone(), id.to_owned()));
        match commit? {
            Commit::Applied => {
                self.release(company, Quota::ApiKeys, 1).await;
                Ok(())
            }
            // Keys never change, so a lost condition means that somebody else deleted it.
            Commit::Lost => Err(ChangeError::NotFound(WHAT)),
        }
    }

    /// Deletes every key of a company that is as it was read; returns how it is after that, or `None` if somebody
    /// changed the company meanwhile.
    pub(super) async fn delete_api_keys(
        &self,
        company: &CompanyName,
        mut read: Meta,
    ) -> Result<Option<Meta>, TenancyError> {
        let ids = self.all(&Self::keys_of(company), ApiKey::id_in).await?;
        for chunk in ids.chunks(DELETED_AT_ONCE) {
            let mut writes = vec![self.touch(&Company::key(company), When::unchanged(read))];
            writes.extend(chunk.iter().map(|id| self.delete(&ApiKey::key(company, id), None)));
            let commit = self.commit("delete API keys", writes).await;
            chunk.iter().for_each(|id| self.keys.forget(&(company.clone(), id.clone())));
            if commit? == Commit::Lost {
                return Ok(None);
            }
            read.revision += 1;
        }
        Ok(Some(read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_round_trips_and_its_hash_matches_itself_alone() {
        let key = ApiKey {
            company: "acme".parse().unwrap(),
            id: "ci:1".to_owned(),
            label: "CI".to_owned(),
            created_at: DateTime::UNIX_EPOCH,
            hash: SecretHash::of("pk~acme~ci:1~secret"),
            request_hash: "x".to_owned(),
        };
        let read = ApiKey::decode(&key.encode()).unwrap();
        assert_eq!((&read.company, &read.id, &read.label), (&key.company, &key.id, &key.label));
        assert!(read.hash.matches(&key.hash));
        assert!(!read.hash.matches(&SecretHash::of("pk~acme~ci:1~Secret")));
        assert_eq!(format!("{:?}", read.hash), "SecretHash(…)");
    }
}
