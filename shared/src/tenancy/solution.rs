//! Solutions: the inner half of a tenant, with its quality of service, log rolling, server state and
//! signing secrets.

use super::change::{Commit, TRIES_MAX, When};
use super::company::Company;
use super::item::{DecodeError, Item, Key, PK, QOS_LEVEL, Reader, SK, Writer};
use super::page::Listing;
use super::quota::Place;
use super::retired::NAME_REUSE_WAIT;
use super::rolling::Rolling;
use super::signing_secret::PreviousSecret;
use super::store::Setting;
use super::{
    Actor, AuditEntry, AuditScope, CACHE_TTL, ChangeError, Changed, Meta, Page, PageRequest, SealedSecrets,
    ServerState, Tenancy, TenancyError,
};
use crate::unreadable::ReadError;
use aws_sdk_dynamodb::types::TransactWriteItem;
use chrono::{DateTime, Utc};
use rules::names::{CompanyName, SolutionId, SolutionName, Tenant};
use rules::number::Decimal;
use serde_json::{Value, json};
use std::sync::Arc;
use zeroize::Zeroizing;

/// How often a solution is read anew because the answer was too long on its way.
const READS_MAX: usize = 3;
const WHAT: &str = "solution";
const PREFIX: &str = "S#";
/// Absent of the first solution of a name.
const INCARNATION: &str = "incarnation";
const SUCCESS_URI: &str = "successUri";
const SUCCESS_PERIOD: &str = "successPeriodDays";
const DEAD_LETTER_URI: &str = "deadLetterUri";
const DEAD_LETTER_PERIOD: &str = "deadLetterPeriodDays";
const SERVER_STATE: &str = "state";
const STATE_REASON: &str = "stateReason";
const STATE_SINCE: &str = "stateSince";
const SIGNING_SECRET: &str = "signingSecret";
const PREVIOUS_SECRETS: &str = "previousSigningSecrets";
/// How the one secret was written when there was never more than one. Read, no longer written.
const PREVIOUS_SECRET: &str = "previousSigningSecret";
const PREVIOUS_SECRET_UNTIL: &str = "previousSigningSecretUntil";

/// A solution.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// Its company and name.
    pub tenant: Tenant,
    /// Slots it gets of its company's (SPEC §9.6), 1 to 100.
    pub qos_level: u32,
    /// Keeping and rolling of logs.
    pub rolling: Rolling,
    /// Whether anything of it is sent.
    pub server_state: ServerState,
    /// Why it is in this state, in the words of whoever changed it.
    pub state_reason: Option<String>,
    /// Since when it is in this state.
    pub state_since: DateTime<Utc>,
    /// The secrets that sign its calls.
    pub signing: SealedSecrets,
    /// When it was made and changed.
    pub meta: Meta,
}

impl Solution {
    /// Whether nothing of it is to be sent.
    pub fn is_paused(&self) -> bool {
        self.server_state == ServerState::Paused
    }

    pub(super) fn key(tenant: &Tenant) -> Key {
        Key::new(format!("C#{}", tenant.company), format!("{PREFIX}{}", tenant.solution.name()))
    }

    fn incarnation_in(item: &Item) -> Result<u32, DecodeError> {
        let reader = Reader::new(WHAT, item);
        if reader.has(INCARNATION) { reader.number(INCARNATION) } else { Ok(0) }
    }

    fn encode(&self) -> Item {
        let incarnation = self.tenant.solution.incarnation();
        let writer = Writer::new(&Self::key(&self.tenant))
            .optional_number(INCARNATION, (incarnation > 0).then_some(incarnation))
            .number(QOS_LEVEL, self.qos_level)
            .optional_text(SUCCESS_URI, self.rolling.success_uri.as_ref())
            // As text: DynamoDB's numbers end at 38 digits.
            .optional_text(SUCCESS_PERIOD, self.rolling.success_period_days.as_ref())
            .optional_text(DEAD_LETTER_URI, self.rolling.dead_letter_uri.as_ref())
            .optional_text(DEAD_LETTER_PERIOD, self.rolling.dead_letter_period_days.as_ref())
            .text(SERVER_STATE, self.server_state)
            .optional_text(STATE_REASON, self.state_reason.as_ref())
            .time(STATE_SINCE, self.state_since)
            .text(SIGNING_SECRET, &self.signing.current)
            .texts(PREVIOUS_SECRETS, &self.signing.previous);
        self.meta.write(writer).finish()
    }

    pub(super) fn decode(item: &Item) -> Result<Self, DecodeError> {
        let reader = Reader::new(WHAT, item);
        let part = |name, prefix| {
            let text = reader.text(name)?.strip_prefix(prefix);
            text.ok_or_else(|| reader.error(name, format!("does not begin with {prefix}")))
        };
        let company = part(PK, "C#")?.parse().map_err(|_| reader.error(PK, "names no company"))?;
        let name = part(SK, PREFIX)?.parse().map_err(|_| reader.error(SK, "names no solution"))?;
        let solution = SolutionId::new(name, Self::incarnation_in(item)?);
        let days = |name| reader.has(name).then(|| reader.parsed::<Decimal>(name)).transpose();
        let previous = match reader.optional_text(PREVIOUS_SECRET)? {
            _ if reader.has(PREVIOUS_SECRETS) => reader.parsed_list(PREVIOUS_SECRETS)?,
            Some(sealed) => vec![PreviousSecret { sealed, until: reader.time(PREVIOUS_SECRET_UNTIL)? }],
            None => Vec::new(),
        };
        Ok(Self {
            tenant: Tenant { company, solution },
            qos_level: reader.number(QOS_LEVEL)?,
            rolling: Rolling {
                success_uri: reader.optional_text(SUCCESS_URI)?,
                success_period_days: days(SUCCESS_PERIOD)?,
                dead_letter_uri: reader.optional_text(DEAD_LETTER_URI)?,
                dead_letter_period_days: days(DEAD_LETTER_PERIOD)?,
            },
            server_state: reader.parsed(SERVER_STATE)?,
            state_reason: reader.optional_text(STATE_REASON)?,
            state_since: reader.time(STATE_SINCE)?,
            signing: SealedSecrets { current: reader.text(SIGNING_SECRET)?.to_owned(), previous },
            meta: Meta::read(&reader)?,
        })
    }

    pub(super) fn audited(&self) -> Value {
        json!({
            "qosLevel": self.qos_level,
            "successUri": self.rolling.success_uri,
            "successPeriod": self.rolling.success_period_days,
            "deadLetterUri": self.rolling.dead_letter_uri,
            "deadLetterPeriod": self.rolling.dead_letter_period_days,
        })
    }
}

impl Tenancy {
    /// The tenant that a company and a solution's name mean now; a vacant one where no solution has the name. Cached.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn tenant(&self, company: CompanyName, name: SolutionName) -> Result<Tenant, TenancyError> {
        let asked = Tenant { company, solution: SolutionId::vacant(name) };
        let found = match self.solution_of_name(&asked).await {
            Ok(found) => found.map(|solution| solution.tenant.clone()),
            // What is in one that cannot be decoded is found all the same.
            Err(error) if error.is_unreadable() => {
                match self.read("read solution", &Solution::key(&asked)).await? {
                    Some(item) => {
                        let incarnation = self.incarnation_of(&item, &asked).await?;
                        let solution = SolutionId::new(asked.solution.name().clone(), incarnation);
                        Some(Tenant { company: asked.company.clone(), solution })
                    }
                    None => None,
                }
            }
            Err(error) => return Err(error),
        };
        Ok(found.unwrap_or(asked))
    }

    /// Which of the solutions that had the tenant's name the item is: where that cannot be decoded, the one after all that
    /// were deleted.
    pub(super) async fn incarnation_of(&self, item: &Item, tenant: &Tenant) -> Result<u32, TenancyError> {
        match self.unreadable.skip(Solution::incarnation_in(item)) {
            Some(incarnation) => Ok(incarnation),
            None => Ok(self.predecessors(tenant).await?.map_or(0, |before| before.count)),
        }
    }

    /// A solution; cached. Another one of the same name is none.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn solution(&self, tenant: &Tenant) -> Result<Option<Arc<Solution>>, TenancyError> {
        Ok(self.solution_of_name(tenant).await?.filter(|found| found.tenant == *tenant))
    }

    /// A solution, read past the cache. Another one of the same name is none.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn solution_fresh(&self, tenant: &Tenant) -> Result<Option<Arc<Solution>>, TenancyError> {
        Ok(self.solution_of_name_fresh(tenant).await?.filter(|found| found.tenant == *tenant))
    }

    /// Whatever solution has the tenant's name now; cached.
    async fn solution_of_name(&self, tenant: &Tenant) -> Result<Option<Arc<Solution>>, TenancyError> {
        let name = name_of(tenant);
        for _ in 0..READS_MAX {
            let asked = self.clock.now();
            let found = self.solutions.get_or(&name, self.solution_of_name_fresh(tenant)).await?;
            // What was long on its way may be of before a pause that is in effect by now.
            if self.clock.now() - asked < CACHE_TTL {
                return Ok(found);
            }
        }
        Err(TenancyError::Store {
            operation: "read solution".into(),
            source: "each answer was too old when it came".into(),
        })
    }

    /// Whatever solution has the tenant's name now, read past the cache.
    pub(super) async fn solution_of_name_fresh(
        &self,
        tenant: &Tenant,
    ) -> Result<Option<Arc<Solution>>, TenancyError> {
        let begun = self.solutions.begin();
        let Some(item) = self.read("read solution", &Solution::key(tenant)).await? else { return Ok(None) };
        let mut solution = Solution::decode(&item)?;
        solution.meta.read_at = begun.at();
        let solution = Arc::new(solution);
        self.solutions.keep(&begun, name_of(tenant), solution.clone());
        Ok(Some(solution))
    }

    /// A page of a company's solutions, by name.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn solutions(
        &self,
        company: &CompanyName,
        request: &PageRequest,
    ) -> Result<Page<Solution>, TenancyError> {
        let listing = Listing {
            operation: "list solutions".into(),
            pk: format!("C#{company}"),
            prefix: PREFIX,
            newest_first: false,
        };
        self.page(&listing, request, Solution::decode).await
    }

    /// Makes or replaces the settings of the solution that has the tenant's name; its server state and its secrets
    /// stay. The signing secret of a new one is answered this once. One of a name that was deleted just now is made
    /// after [`NAME_REUSE_WAIT`].
    pub(super) async fn write_solution(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        qos_level: u32,
        rolling: Rolling,
        place: &mut Place<'_>,
    ) -> Result<(Changed<Solution>, Option<Zeroizing<String>>), ChangeError> {
        for _ in 0..TRIES_MAX {
            let now = rules::time::truncate(self.clock.now());
            if let Some(old) = self.solution_of_name_fresh(tenant).await? {
                let scope = AuditScope::Solution(old.tenant.clone());
                let new = Solution {
                    qos_level,
                    rolling: rolling.clone(),
                    meta: old.meta.changed(now),
                    ..Solution::clone(&old)
                };
                let is_same = (old.qos_level, &old.rolling) == (new.qos_level, &new.rolling);
                if is_same && !old.meta.deleting {
                    return Ok((Changed::Unchanged(Solution::clone(&old)), None));
                }
                let entry = AuditEntry::new(now, actor, "solution.updated")
                    .from(Some(old.audited()))
                    .to(new.audited());
                if self.replace_solution(&old, &new, self.audit(&scope, &entry)).await? == Commit::Applied {
                    return Ok((Changed::Replaced(new), None));
                }
                continue;
            }
            if self.fresh::<Company>(&tenant.company).await?.is_none() {
                return Err(ChangeError::NotFound("company"));
            }
            place.take().await?;
            let before = self.predecessors(tenant).await?;
            if let Some(before) = before {
                self.clock.sleep_until(rules::time::after(before.last_at, NAME_REUSE_WAIT)).await;
            }
            let now = rules::time::truncate(self.clock.now());
            let incarnation = before.map_or(0, |before| before.count);
            let solution = SolutionId::new(tenant.solution.name().clone(), incarnation);
            let tenant = Tenant { company: tenant.company.clone(), solution };
            let (secret, sealed) = self.new_secret(&tenant).await?;
            let new = Solution {
                tenant: tenant.clone(),
                qos_level,
                rolling: rolling.clone(),
                server_state: ServerState::Running,
                state_reason: None,
                state_since: now,
                signing: SealedSecrets { current: sealed, previous: Vec::new() },
                meta: Meta::new(now),
            };
            let entry = AuditEntry::new(now, actor, "solution.created").to(new.audited());
            let writes = vec![
                self.put(new.encode(), Some(When::Absent)),
                self.check_predecessors(&tenant, before),
                self.touch(&Company::key(&tenant.company), When::Exists),
                self.audit(&AuditScope::Solution(tenant.clone()), &entry),
            ];
            if self.commit("write solution", writes).await? == Commit::Applied {
                return Ok((Changed::Created(new), Some(secret)));
            }
        }
        Err(ChangeError::contended())
    }

    pub(super) fn forget_solution(&self, tenant: &Tenant) {
        self.solutions.forget(&name_of(tenant));
    }

    /// Writes `new` over `old` with its audit entry, if nobody changed it meanwhile.
    pub(super) async fn replace_solution(
        &self,
        old: &Solution,
        new: &Solution,
        audit: TransactWriteItem,
    ) -> Result<Commit, TenancyError> {
        let write = self.put(new.encode(), Some(When::Unchanged(old.meta)));
        let commit = self.commit("write solution", vec![write, audit]).await;
        self.solutions.forget(&name_of(&new.tenant));
        commit
    }
}

fn name_of(tenant: &Tenant) -> (CompanyName, SolutionName) {
    (tenant.company.clone(), tenant.solution.name().clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::types::AttributeValue;
    use chrono::TimeDelta;

    #[test]
    fn a_solution_round_trips_and_is_read_strictly() {
        let at = DateTime::UNIX_EPOCH;
        let secret = |sealed: &str, until| PreviousSecret { sealed: sealed.to_owned(), until };
        let whole = Solution {
            tenant: Tenant { company: "acme".parse().unwrap(), solution: "music".parse().unwrap() },
            qos_level: 100,
            rolling: Rolling {
                success_uri: Some("https://a.example/ok".to_owned()),
                success_period_days: "0.1000000000000000055".parse().ok(),
                dead_letter_uri: Some("https://a.example/dead".to_owned()),
                dead_letter_period_days: "5e-324".parse().ok(),
            },
            server_state: ServerState::Paused,
            state_reason: Some("night".to_owned()),
            state_since: at,
            signing: SealedSecrets {
                current: "c".to_owned(),
                previous: vec![secret("p:q=", at), secret("p", at + TimeDelta::milliseconds(1))],
            },
            meta: Meta { revision: 9, deleting: true, ..Meta::new(at) },
        };
        let bare = Solution {
            rolling: Rolling::default(),
            state_reason: None,
            signing: SealedSecrets { current: "c".to_owned(), previous: Vec::new() },
            ..whole.clone()
        };
        // As it was written before there were several.
        let one = Solution {
            signing: SealedSecrets { current: "c".to_owned(), previous: vec![secret("p", at)] },
            ..whole.clone()
        };
        let mut item = one.encode();
        item.remove(PREVIOUS_SECRETS);
        let reads_as = |item: &Item| Solution::decode(item).unwrap();
        assert_eq!(reads_as(&item).signing.previous, []);
        item.insert(PREVIOUS_SECRET.to_owned(), AttributeValue::S("p".to_owned()));
        item.insert(PREVIOUS_SECRET_UNTIL.to_owned(), AttributeValue::N("0".to_owned()));
        assert_eq!(reads_as(&item), one);
        for solution in [whole, bare] {
            assert_eq!(Solution::decode(&solution.encode()), Ok(solution));
        }
    }
}
