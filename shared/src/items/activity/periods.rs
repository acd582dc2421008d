//! For how long finished activities are kept: as their solution says (SPEC §8).

use crate::engine::attributes::{n, s, t};
use crate::engine::guard::Guard;
use crate::engine::kept::{Kept, expires};
use crate::engine::statements;
use crate::engine::{StoreError, WorkStore};
use crate::items::activity::codec::Record;
use crate::table::{attr, keys};
use crate::tenancy::{Rolling, Solution};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use rules::activity::{Index, index};
use rules::names::{ActivityId, Tenant};
use rules::rolling::LogKind;

/// For how long what ends of a solution is kept.
pub(crate) struct Periods {
    rolling: Rolling,
    retention_days: u32,
}

impl Periods {
    fn of(&self, kind: LogKind) -> Option<TimeDelta> {
        self.rolling.keeping(kind, self.retention_days).period()
    }
}

impl Record {
    /// Whether nothing lies beside the item: it was delivered at its first attempt or canceled before, and no result came.
    fn is_alone(&self) -> bool {
        let Self { state, success, has_companions, .. } = self;
        let is_first = state.run == 0 && (state.attempts == 0 || (state.attempts == 1 && success.is_some()));
        is_first && state.verdict.is_none() && !has_companions
    }

    /// The same, kept from now on as long as its solution keeps what ends so; not at all if something will happen to it, if
    /// its roller has to hand it on, or if it is kept for ever. What cannot be known for now is for the roller to remove.
    pub(crate) fn kept_for(self, periods: &Option<Periods>, now: DateTime<Utc>) -> Self {
        let kind = LogKind::of(self.state.status).filter(|_| index(&self.state) == Index::Done);
        let period = kind.zip(periods.as_ref()).and_then(|(kind, periods)| periods.of(kind));
        // From the instant at which it stands in the index.
        let until =
            period.and_then(|period| self.state.executed_at.unwrap_or(now).checked_add_signed(period));
        Self { kept: until.map(|until| Kept::new(until, self.is_alone())), ..self }
    }
}

impl WorkStore {
    /// How long what `solution` finishes as `kind` is kept until it goes by itself; `None` if that is never.
    pub fn period(&self, solution: &Solution, kind: LogKind) -> Option<TimeDelta> {
        solution.rolling.keeping(kind, self.retention_days).period()
    }

    /// How long what a solution finishes as `kind` is kept.
    pub(crate) async fn keeping(
        &self,
        tenant: &Tenant,
        kind: LogKind,
    ) -> Result<Option<TimeDelta>, StoreError> {
        let unavailable = |error: crate::tenancy::TenancyError| StoreError::Unavailable(error.to_string());
        let solution = self.tenancy.solution(tenant).await.map_err(unavailable)?;
        let rolling = solution.as_deref().map(|solution| solution.rolling.clone()).unwrap_or_default();
        Ok(Periods { rolling, retention_days: self.retention_days }.of(kind))
    }

    /// An activity at its new state, kept from `now` on as its solution says if it has ended.
    pub(crate) async fn kept_as_its_solution_says(&self, to: Record, now: DateTime<Utc>) -> Record {
        let periods = match index(&to.state) {
            Index::Done => self.periods(&to.tenant).await,
            Index::Due(_) => None,
        };
        to.kept_for(&periods, now)
    }

    /// For how long what ends of a solution is kept, by the way it ends; `None` if that cannot be known for now.
    pub(crate) async fn periods(&self, tenant: &Tenant) -> Option<Periods> {
        match self.tenancy.solution(tenant).await {
            Ok(solution) => {
                let rolling =
                    solution.as_deref().map(|solution| solution.rolling.clone()).unwrap_or_default();
                Some(Periods { rolling, retention_days: self.retention_days })
            }
            Err(error) => {
                tracing::warn!(%error, "periods unknown; the log roller removes what ends now");
                None
            }
        }
    }

    /// Takes from activities that they go by themselves: their solution has got a roller since they ended, which has to hand
    /// them on first, and cannot for now.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read or written.
    pub async fn keep_for_roller(&self, tenant: &Tenant, ids: &[ActivityId]) -> Result<(), StoreError> {
        let pks: Vec<String> = ids.iter().map(|id| keys::activity(tenant, id)).collect();
        for record in self.records(&pks).await? {
            if record.kept.is_some() {
                let kept = Record { kept: None, ..record.clone() };
                self.step(&record, &kept, None, self.clock.now()).await?;
            }
        }
        Ok(())
    }

    /// Has a provider's link, or the mark of early results, expire later than it would.
    pub(crate) async fn prolong(
        &self,
        pk: &str,
        sk: &str,
        expires: Option<(&'static str, AttributeValue)>,
    ) -> Result<(), StoreError> {
        if let Some((name, value)) = expires {
            self.batcher.run(statements::set(&self.table, pk.to_owned(), sk, name, value)).await?;
        }
        Ok(())
    }

    /// For how long a link from a provider's id is kept: as long as the activity that was dispatched under it.
    pub(crate) async fn link_expires(&self, tenant: &Tenant) -> Option<(&'static str, AttributeValue)> {
        // Without the solution it is kept as what has no period: a link that outlives its activity leads nowhere.
        let period = self.keeping(tenant, LogKind::Success).await.unwrap_or_else(|_| self.retention());
        expires(self.clock.now(), period)
    }
}

/// That an activity is as it was read: a retry, a result, another activity of the same id would each change one of these.
pub(crate) fn unchanged(record: &Record) -> Vec<Guard> {
    let state = &record.state;
    vec![
        Guard::Missing(attr::TOKEN),
        Guard::Equals(attr::STATUS, s(state.status.as_str())),
        Guard::Equals(attr::RUN, n(state.run)),
        Guard::Equals(attr::CREATED, t(record.created_at)),
        match state.executed_at {
            Some(at) => Guard::Equals(attr::EXECUTED, t(at)),
            None => Guard::Missing(attr::EXECUTED),
        },
    ]
}
