//! Recurring rules as items of the work table.

use crate::engine::attributes::{Attributes, DecodeError, Item, n, s, t};
use crate::engine::guard::Guard;
use crate::engine::item::{Encoded, WorkItem};
use crate::table::{attr, keys};
use crate::tenancy::ServerState;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use rules::cron::Cron;
use rules::names::{RecurringName, Tenant, TypeName};
use rules::recurring::{CatchUp, Policy, Schedule, Skip, shift};
use rules::zoned::Tz;

/// Partitions of the due index for rules, of all tenants together. Items stay where they were put, so it
/// is never lowered.
pub const RULE_SHARDS: u32 = 16;

/// Nothing will happen to a rule that has no occurrence left.
const ENDED: &str = "ended";

/// What a rule's owner says of it, the parameter apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSpec {
    /// The type of the activities it creates.
    pub activity_type: TypeName,
    /// When.
    pub cron: Cron,
    /// On the clocks of which zone.
    pub zone: Tz,
    /// No occurrence before it.
    pub start_at: Option<DateTime<Utc>>,
    /// No occurrence after it.
    pub end_at: Option<DateTime<Utc>>,
    /// Which missed occurrences are created.
    pub catch_up: CatchUp,
    /// How late they may be.
    pub window_seconds: u32,
    /// Over how many seconds rules are spread.
    pub spread_seconds: u32,
    /// Executions in all of its activities, in place of the type's.
    pub retries: Option<u32>,
}

/// A recurring rule as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its name.
    pub name: RecurringName,
    /// What its owner says of it.
    pub spec: RuleSpec,
    /// The parameter of its activities as JSON text; `None` where it is in the item `PAYLOAD`.
    pub parameter: Option<String>,
    /// Whether it creates anything.
    pub server_state: ServerState,
    /// Why it is in this state.
    pub state_reason: Option<String>,
    /// Since when it is in this state.
    pub state_since: DateTime<Utc>,
    /// Its first occurrence that is not dealt with; `None` if there is none.
    pub next: Option<DateTime<Utc>>,
    /// The instant of a plan that is being carried out. Whoever takes it over carries out the same plan.
    pub planned_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its owner changed it last.
    pub updated_at: DateTime<Utc>,
    /// Counts its owner's changes, from 1.
    pub revision: u64,
}

impl RuleSpec {
    /// When the occurrences of the rule `name` are.
    pub fn schedule(&self, tenant: &Tenant, name: &RecurringName) -> Schedule {
        Schedule {
            cron: self.cron.clone(),
            zone: self.zone,
            start_at: self.start_at,
            end_at: self.end_at,
            // By its full name: many solutions have a rule called "nightly".
            shift: shift(&format!("{tenant}/{name}"), self.spread_seconds),
        }
    }
}

impl RuleSpec {
    /// Whether its occurrences are called as those of `other`, their parameters and instants apart.
    pub fn makes_the_same(&self, other: &Self) -> bool {
        (&self.activity_type, self.retries) == (&other.activity_type, other.retries)
    }
}

impl Rule {
    /// When its occurrences are.
    pub fn schedule(&self) -> Schedule {
        self.spec.schedule(&self.tenant, &self.name)
    }

    /// How missed occurrences are made up for.
    pub fn policy(&self) -> Policy {
        Policy {
            catch_up: self.spec.catch_up,
            window: TimeDelta::seconds(i64::from(self.spec.window_seconds)),
        }
    }

    /// Whether it creates nothing for now.
    pub fn is_paused(&self) -> bool {
        self.server_state == ServerState::Paused
    }

    /// Its attributes, in a fixed order.
    pub(crate) fn encode(&self) -> Encoded {
        let mut item = vec![(attr::PK, s(self.pk())), (attr::SK, s(attr::ITEM))];
        item.extend(self.changing(self.updated_at));
        item
    }
}

impl WorkItem for Rule {
    fn pk(&self) -> String {
        keys::rule(&self.tenant, &self.name)
    }

    /// It stands in `due` while it is running and has an occurrence left, else in `done`, and always in its tenant's list.
    fn changing(&self, _: DateTime<Utc>) -> Encoded {
        let (pk, spec) = (self.pk(), &self.spec);
        let mut item = vec![
            (attr::KIND, s(spec.activity_type.as_str())),
            (attr::CRON, s(spec.cron.to_string())),
            (attr::ZONE, s(spec.zone.name())),
            (attr::CATCH_UP, s(spec.catch_up.as_str())),
            (attr::WINDOW, n(spec.window_seconds)),
            (attr::SPREAD, n(spec.spread_seconds)),
            (attr::STATE_SINCE, t(self.state_since)),
            (attr::CREATED, t(self.created_at)),
            (attr::UPDATED, t(self.updated_at)),
            (attr::REVISION, n(self.revision)),
            (attr::OBJECT_PARTITION, s(keys::rule_list_partition(&self.tenant))),
        ];
        match self.next.filter(|_| !self.is_paused()) {
            Some(next) => item.extend([
                (attr::STATUS, s(self.server_state.as_str())),
                (attr::DUE_PARTITION, s(keys::rule_due_partition(rules::due::shard(&pk, RULE_SHARDS)))),
                (attr::DUE_SORT, s(format!("{}#{}", keys::instant(next), self.name))),
            ]),
            None => {
                let status = if self.is_paused() { self.server_state.as_str() } else { ENDED };
                let since = if self.is_paused() { self.state_since } else { self.updated_at };
                item.extend([
                    (attr::STATUS, s(status)),
                    (attr::DONE_PARTITION, s(keys::rule_done_partition(&self.tenant, status))),
                    (attr::DONE_SORT, s(format!("{}#{}", keys::instant(since), self.name))),
                ]);
            }
        }
        let mut option = |name, value: Option<AttributeValue>| item.extend(value.map(|value| (name, value)));
        option(attr::MAX_ATTEMPTS, spec.retries.map(n));
        option(attr::START_AT, spec.start_at.map(t));
        option(attr::END_AT, spec.end_at.map(t));
        option(attr::PARAMETER, self.parameter.as_ref().map(s));
        option(attr::STATE_REASON, self.state_reason.as_ref().map(s));
        option(attr::DUE, self.next.map(t));
        option(attr::PLANNED_AT, self.planned_at.map(t));
        item
    }

    /// Two that plan at different instants must not both carry out their plans.
    fn guards(&self, _: &Self) -> Vec<Guard> {
        let at = |attribute, at: Option<DateTime<Utc>>| match at {
            Some(at) => Guard::Equals(attribute, t(at)),
            None => Guard::Missing(attribute),
        };
        vec![
            Guard::Equals(attr::REVISION, n(self.revision)),
            at(attr::DUE, self.next),
            at(attr::PLANNED_AT, self.planned_at),
        ]
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let read = Attributes::new(item)?;
        let pk = read.text(attr::PK)?;
        let error = |attribute| DecodeError { pk: pk.to_owned(), attribute };
        let (tenant, name) = keys::parse_rule(pk).ok_or_else(|| error(attr::PK))?;
        let text = |attribute| read.text_option(attribute).map(|text| text.map(str::to_owned));
        let server_state = match read.text(attr::STATUS)? {
            ENDED => ServerState::Running,
            state => state.parse().map_err(|_| error(attr::STATUS))?,
        };
        Ok(Self {
            spec: RuleSpec {
                activity_type: read.parsed(attr::KIND)?,
                cron: Cron::parse(read.text(attr::CRON)?).map_err(|_| error(attr::CRON))?,
                zone: rules::zoned::zone(read.text(attr::ZONE)?).map_err(|_| error(attr::ZONE))?,
                start_at: read.instant_option(attr::START_AT)?,
                end_at: read.instant_option(attr::END_AT)?,
                catch_up: read.parsed(attr::CATCH_UP)?,
                window_seconds: read.number(attr::WINDOW)?,
                spread_seconds: read.number(attr::SPREAD)?,
                retries: read.number_option(attr::MAX_ATTEMPTS)?,
            },
            parameter: text(attr::PARAMETER)?,
            server_state,
            state_reason: text(attr::STATE_REASON)?,
            state_since: read.instant(attr::STATE_SINCE)?,
            next: read.instant_option(attr::DUE)?,
            planned_at: read.instant_option(attr::PLANNED_AT)?,
            created_at: read.instant(attr::CREATED)?,
            updated_at: read.instant(attr::UPDATED)?,
            revision: read.number(attr::REVISION)?,
            tenant,
            name,
        })
    }
}

/// A record of skipped occurrences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkipRecord {
    /// Which and why.
    pub skip: Skip,
    /// When that was decided.
    pub at: DateTime<Utc>,
}

impl SkipRecord {
    pub(crate) fn encode(&self, pk: &str) -> Vec<(&'static str, AttributeValue)> {
        let Skip { from, to, count, reason } = self.skip;
        vec![
            (attr::PK, s(pk)),
            (attr::SK, s(keys::skip(from, reason))),
            (attr::SKIP_FROM, t(from)),
            (attr::SKIP_TO, t(to)),
            (attr::SKIP_COUNT, n(count)),
            (attr::ENTRY_OUTCOME, s(reason.as_str())),
            (attr::ENTRY_AT, t(self.at)),
        ]
    }

    pub(crate) fn decode(item: &Item) -> Result<Self, DecodeError> {
        let read = Attributes::new(item)?;
        Ok(Self {
            skip: Skip {
                from: read.instant(attr::SKIP_FROM)?,
                to: read.instant(attr::SKIP_TO)?,
                count: read.number(attr::SKIP_COUNT)?,
                reason: read.parsed(attr::ENTRY_OUTCOME)?,
            },
            at: read.instant(attr::ENTRY_AT)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::recurring::SkipReason;

    fn item(attributes: Vec<(&'static str, AttributeValue)>) -> Item {
        attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    #[test]
    fn rules_round_trip_and_stand_in_one_index() {
        let at = DateTime::from_timestamp_millis(1_700_000_000_000).unwrap();
        let bare = Rule {
            tenant: Tenant { company: "acme".parse().unwrap(), solution: "shop".parse().unwrap() },
            name: "nightly.report".parse().unwrap(),
            spec: RuleSpec {
                activity_type: "report".parse().unwrap(),
                cron: Cron::parse("0 */5 9-17 * JAN,3 MON-FRI 2026-2030/2").unwrap(),
                zone: Tz::Australia__Lord_Howe,
                start_at: None,
                end_at: None,
                catch_up: CatchUp::Latest,
                window_seconds: 3_600,
                spread_seconds: 0,
                retries: None,
            },
            parameter: None,
            server_state: ServerState::Running,
            state_reason: None,
            state_since: at,
            next: Some(at),
            planned_at: None,
            created_at: at,
            updated_at: at,
            revision: 1,
        };
        let mut whole = bare.clone();
        whole.spec = RuleSpec {
            start_at: Some(at),
            end_at: Some(at),
            spread_seconds: 300,
            retries: Some(0),
            ..bare.spec.clone()
        };
        (whole.parameter, whole.planned_at) = (Some("{}".into()), Some(at));
        let paused =
            Rule { server_state: ServerState::Paused, state_reason: Some("night".into()), ..whole.clone() };
        let ended = Rule { next: None, ..bare.clone() };
        let paused_at_its_end = Rule { next: None, ..paused.clone() };
        for rule in [bare, whole, paused, ended, paused_at_its_end] {
            let item = item(rule.encode());
            assert_eq!(Rule::decode(&item).as_ref(), Ok(&rule));
            let due = item.contains_key(attr::DUE_PARTITION) && item.contains_key(attr::DUE_SORT);
            let done = item.contains_key(attr::DONE_PARTITION) && item.contains_key(attr::DONE_SORT);
            assert!(due != done && due == (!rule.is_paused() && rule.next.is_some()), "{rule:?}");
            for attribute in [attr::CRON, attr::ZONE, attr::STATUS, attr::REVISION] {
                let mut broken = item.clone();
                broken.insert(attribute.to_owned(), AttributeValue::S("no such thing".into()));
                assert_eq!(Rule::decode(&broken).unwrap_err().attribute, attribute);
            }
        }
    }

    #[test]
    fn records_of_skips_round_trip() {
        let at = DateTime::from_timestamp_millis(1_700_000_000_000).unwrap();
        for reason in SkipReason::ALL {
            let record = SkipRecord { skip: Skip { from: at, to: at, count: 7, reason }, at };
            assert_eq!(SkipRecord::decode(&item(record.encode("Q#a/b#c"))), Ok(record));
        }
    }
}
