//! The secrets that sign a solution's outbound calls (SPEC §11): one, and for a day after each rotation
//! the one before it too.

use super::change::{Commit, TRIES_MAX};
use super::{Actor, AuditEntry, AuditScope, CACHE_TTL, ChangeError, Solution, Tenancy, TenancyError};
use crate::signing;
use chrono::{DateTime, TimeDelta, Utc};
use rules::names::Tenant;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// How long the secret before signs beside the new one.
pub const ROTATION_OVERLAP: TimeDelta = TimeDelta::hours(24);
/// Most secrets that sign beside the current one: each adds a signature to every call.
pub const PREVIOUS_MAX: usize = 5;
/// What the secrets are sealed for; a ciphertext moved to another field does not open.
const PURPOSE: &str = "signing-secret";

/// A solution's secrets as they are stored: sealed (SPEC §11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecrets {
    pub(super) current: String,
    /// Those before, at most [`PREVIOUS_MAX`]; the one that ends first goes first.
    pub(super) previous: Vec<PreviousSecret>,
}

/// A secret that was replaced. Its text is `{milliseconds}:{sealed}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PreviousSecret {
    pub(super) sealed: String,
    /// Until when it signs too.
    pub(super) until: DateTime<Utc>,
}

impl fmt::Display for PreviousSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.until.timestamp_millis(), self.sealed)
    }
}

impl FromStr for PreviousSecret {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (until, sealed) = text.split_once(':').ok_or("has no end")?;
        let until = until.parse().ok().and_then(|millis| rules::time::from_millis(millis).ok());
        Ok(Self { sealed: sealed.to_owned(), until: until.ok_or("has an end that is no instant")? })
    }
}

/// A solution's secrets, opened. Zeroized when dropped.
pub struct SigningSecrets {
    sealed: SealedSecrets,
    current: Zeroizing<String>,
    previous: Vec<(Zeroizing<String>, DateTime<Utc>)>,
}

impl SigningSecrets {
    /// The secrets that sign at `now`: the current one first, then each one before within
    /// [`ROTATION_OVERLAP`] of its rotation.
    pub fn at(&self, now: DateTime<Utc>) -> Vec<&str> {
        let previous = self.previous.iter().filter(|(_, until)| now < *until);
        std::iter::once(&self.current)
            .chain(previous.map(|(secret, _)| secret))
            .map(|secret| secret.as_str())
            .collect()
    }
}

impl Tenancy {
    /// The secrets that sign a solution's calls; `None` without the solution. Cached while the
    /// solution's sealed secrets stay the same.
    ///
    /// # Errors
    /// [`TenancyError`] if they cannot be read or opened.
    pub async fn signing_secrets(
        &self,
        tenant: &Tenant,
    ) -> Result<Option<Arc<SigningSecrets>>, TenancyError> {
        let Some(solution) = self.solution(tenant).await? else { return Ok(None) };
        if let Some(secrets) = self.secrets.get(tenant)
            && secrets.sealed == solution.signing
        {
            return Ok(Some(secrets));
        }
        let begun = self.secrets.begin();
        let sealed = solution.signing.clone();
        let current = self.open_secret(tenant, &sealed.current).await?;
        let mut previous = Vec::new();
        for secret in sealed.previous.iter().filter(|secret| begun.at() < secret.until) {
            previous.push((self.open_secret(tenant, &secret.sealed).await?, secret.until));
        }
        let secrets = Arc::new(SigningSecrets { sealed, current, previous });
        self.secrets.keep(&begun, tenant.clone(), secrets.clone());
        Ok(Some(secrets))
    }

    /// Makes a new secret and answers it this once, when every process signs with it, which takes [`CACHE_TTL`]; with the instant
    /// up to which the one before signs too: [`ROTATION_OVERLAP`] from then on.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`] without the solution, [`ChangeError::Conflict`] while [`PREVIOUS_MAX`]
    /// secrets sign beside the current one, or the table or KMS failed.
    pub async fn rotate_signing_secret(
        &self,
        actor: &Actor,
        tenant: &Tenant,
    ) -> Result<(Zeroizing<String>, DateTime<Utc>), ChangeError> {
        let scope = AuditScope::Solution(tenant.clone());
        let (secret, sealed) = self.new_secret(tenant).await?;
        for _ in 0..TRIES_MAX {
            let Some(old) = self.solution_fresh(tenant).await? else {
                return Err(ChangeError::NotFound("solution"));
            };
            let now = rules::time::truncate(self.clock.now());
            let answered_at = rules::time::after(now, CACHE_TTL);
            let until = rules::time::after(answered_at, ROTATION_OVERLAP);
            let replaced = PreviousSecret { sealed: old.signing.current.clone(), until };
            let signing = SealedSecrets {
                current: sealed.clone(),
                previous: with_room(&old.signing.previous, now)?.into_iter().chain([replaced]).collect(),
            };
            let new = Solution { signing, meta: old.meta.changed(now), ..Solution::clone(&old) };
            let entry = AuditEntry::new(now, actor, "signingSecret.rotated");
            if self.replace_solution(&old, &new, self.audit(&scope, &entry)).await? == Commit::Applied {
                self.secrets.forget(tenant);
                // Until then others know the solution as it was, and would sign with the replaced secret alone.
                self.clock.sleep_until(answered_at).await;
                return Ok((secret, until));
            }
        }
        Err(ChangeError::contended())
    }

    /// A new secret, in the clear and sealed.
    pub(super) async fn new_secret(
        &self,
        tenant: &Tenant,
    ) -> Result<(Zeroizing<String>, String), TenancyError> {
        let secret = Zeroizing::new(signing::new_secret(&*self.entropy));
        let sealed = self.envelope.seal(tenant, PURPOSE, secret.as_bytes()).await?;
        Ok((secret, sealed))
    }

    async fn open_secret(&self, tenant: &Tenant, sealed: &str) -> Result<Zeroizing<String>, TenancyError> {
        let bytes = self.envelope.open(tenant, PURPOSE, sealed).await?;
        let text = std::str::from_utf8(&bytes).map_err(|_| TenancyError::NotText { what: PURPOSE })?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

/// The secrets that still sign at `now`, if one more may be added. None ends before its time to make room:
/// whoever rotated was promised that it signs until then.
fn with_room(previous: &[PreviousSecret], now: DateTime<Utc>) -> Result<Vec<PreviousSecret>, ChangeError> {
    let signing: Vec<_> = previous.iter().filter(|secret| now < secret.until).cloned().collect();
    match signing.first() {
        Some(first) if signing.len() >= PREVIOUS_MAX => Err(ChangeError::Conflict(format!(
            "{PREVIOUS_MAX} secrets still sign beside the current one, which is the most; the first of them ends at {}",
            rules::time::format(first.until)
        ))),
        _ => Ok(signing),
    }
}
