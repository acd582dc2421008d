//! An activity as its request describes it, judged step by step until every fault is known.

use super::channel_draft::ChannelDraft;
use crate::ApiContext;
use crate::http::{Faults, Object, Problem, at, body, idempotency, integer, parsed, time};
use crate::parts::limits::RETRIES;
use crate::parts::parameter::{PARAMETER_DEFAULT, parameter, parameter_objects};
use chrono::{DateTime, Utc};
use rules::names::{ActivityId, Kind, Tenant, TypeName, ids};
use rules::uri::UriPattern;
use shared::body_hash::BodyHash;
use shared::dispatch;
use shared::items::activity::NewActivity;
use shared::tenancy::{ActivityType, Shards, Solution};
use std::sync::Arc;

const ACTIVITY_TYPE: &str = "activityType";
const CHANNEL: &str = "channel";
const RETRIES_FIELD: &str = "retries";
/// What the description says of the date.
const DATE: &str = "When it is due; now, if absent; at once, if in the past.";

/// What makes an activity's call.
#[derive(Clone)]
pub enum Maker {
    /// A type.
    Type(Arc<ActivityType>),
    /// A channel, with the shards of its due work.
    Channel(Shards),
    /// What the body names does not exist, or it names nothing.
    None,
}

fn new_id(context: &ApiContext, now: DateTime<Utc>) -> Result<ActivityId, Problem> {
    context.entropy.uuid_v7(now).to_string().parse().map_err(Problem::internal)
}

body! {
    /// An activity to be made, by an activity type or through a channel.
    pub struct ActivityBody = activity(()) -> Draft;
}

fn activity(f: &mut Object<'_>, _: Option<()>) -> Option<Draft> {
    let mut draft = Draft::default();
    let by_channel = f.has(CHANNEL);
    if by_channel || f.is_described() {
        draft.take_channel(f);
    }
    if !by_channel {
        draft.take_call(f);
    }
    Some(draft)
}

/// What the body says, as far as it can be read, and the faults found on the way.
#[derive(Default)]
pub struct Draft {
    /// The type that is to make the call.
    activity_type: Option<TypeName>,
    /// The channel that it is to go through instead.
    channel: Option<ChannelDraft>,
    /// The id that the caller gives.
    pub id: Option<ActivityId>,
    date: Option<DateTime<Utc>>,
    /// The parameter's text; `None` if it cannot be read: then nothing is said of its fields.
    parameter: Option<String>,
    retries: Option<u32>,
    uri: Option<UriPattern>,
    hash: BodyHash,
    faults: Faults,
}

/// An activity that is not to be made.
pub struct Refused {
    /// Why.
    pub problem: Problem,
    /// The activity that the same request may have made before.
    pub repeated: Option<Box<Repeated>>,
}

/// What a request that may be repeated asked for.
pub struct Repeated {
    /// The id that the caller gives.
    pub id: ActivityId,
    /// Hash of the body.
    pub hash: BodyHash,
}

impl Refused {
    fn never_made(problem: Problem) -> Self {
        Self { problem, repeated: None }
    }
}

impl Draft {
    /// What was read, with the faults found on the way. They wait for [`Draft::judge`].
    pub fn of((draft, faults): (Option<Self>, Faults)) -> Self {
        Self { faults, ..draft.unwrap_or_default() }
    }

    /// The kind that is to make the call, if it can be read.
    pub fn named(&self) -> Option<Kind> {
        match &self.channel {
            Some(draft) => draft.channel.map(Kind::Channel),
            None => self.activity_type.clone().map(Kind::Type),
        }
    }

    fn take_channel(&mut self, f: &mut Object<'_>) {
        self.id = idempotency::id(f, ids::given_to_activity);
        self.date = f.optional("date", time(), DATE);
        if f.has(ACTIVITY_TYPE) {
            f.fault(CHANNEL, "cannot go with activityType: an activity has one of them");
        }
        f.ignore(ACTIVITY_TYPE);
        self.channel = Some(ChannelDraft::read(f));
        if self.id.is_some() {
            self.hash = f.body_hash(None);
        }
    }

    fn take_call(&mut self, f: &mut Object<'_>) {
        let meaning = "The type that makes its call. Either this or `channel` is required.";
        self.activity_type = f.optional(ACTIVITY_TYPE, parsed::<TypeName>(), meaning);
        if !f.has(ACTIVITY_TYPE) {
            f.fault(ACTIVITY_TYPE, "is required, unless channel is given");
        }
        self.id = idempotency::id(f, ids::given_to_activity);
        self.date = f.optional("date", time(), DATE);
        let meaning = "Executions in all, in place of the type's; 0 and 1 both mean one.";
        self.retries = f.optional(RETRIES_FIELD, integer(RETRIES), meaning);
        self.uri = f.optional("uri", parsed::<UriPattern>(), "A URI pattern in place of the type's.");
        self.parameter = parameter(f, "Fills the URI pattern and is sent by `POST` and `PUT`.");
        // Without an id of the caller's nobody can ask for the same again.
        if self.id.is_some() {
            self.hash = f.body_hash(Some(RETRIES_FIELD)).with_attempts(self.retries);
        }
    }

    /// The activity, if the body, its type and its parameter fit together.
    ///
    /// # Errors
    /// 400 with every fault. Where the body alone has none, it may have been accepted when its type was
    /// another: [`Refused::repeated`].
    pub fn judge(
        self,
        context: &ApiContext,
        solution: &Solution,
        maker: &Maker,
    ) -> Result<NewActivity, Refused> {
        let tenant = &solution.tenant;
        let activity_type = match maker {
            Maker::Channel(shards) => {
                return self.judge_channel(context, solution, *shards).map_err(Refused::never_made);
            }
            Maker::Type(found) => Some(found.as_ref()),
            Maker::None => None,
        };
        let sound = self.faults.is_empty();
        if let (Some(_), None) = (&self.activity_type, activity_type) {
            self.faults.add(at("", ACTIVITY_TYPE), "names no activity type of this solution");
        }
        let objects = activity_type.map(|found| self.objects(tenant, found)).unwrap_or_default();
        let found = match activity_type {
            Some(found) if self.faults.is_empty() => found,
            _ => {
                let repeated = self.id.filter(|_| sound).map(|id| Box::new(Repeated { id, hash: self.hash }));
                return Err(Refused { problem: Problem::invalid(self.faults.into_vec()), repeated });
            }
        };
        let now = rules::time::truncate(context.clock.now());
        let id = self.id.map_or_else(|| new_id(context, now), Ok).map_err(Refused::never_made)?;
        Ok(NewActivity {
            tenant: tenant.clone(),
            kind: found.kind(),
            id,
            date: self.date.unwrap_or(now),
            parameter: self.parameter.unwrap_or_else(|| PARAMETER_DEFAULT.to_owned()),
            max_attempts: self.retries.unwrap_or(found.retries).max(1),
            uri: self.uri.map(|uri| uri.to_string()),
            objects,
            body_hash: self.hash.with_default_attempts(found.retries),
            shards: found.shards,
            type_changed_at: Some(found.meta.updated_at),
            parents: vec![solution.as_parent(), found.as_parent(tenant)],
        })
    }

    fn judge_channel(
        self,
        context: &ApiContext,
        solution: &Solution,
        shards: Shards,
    ) -> Result<NewActivity, Problem> {
        let now = rules::time::truncate(context.clock.now());
        let id = self.id.map_or_else(|| new_id(context, now), Ok)?;
        let draft = self.channel.and_then(|draft| draft.channel.zip(draft.activity));
        let activity = draft
            .map(|(channel, activity)| {
                Ok::<_, Problem>(NewActivity {
                    tenant: solution.tenant.clone(),
                    kind: Kind::Channel(channel),
                    id,
                    date: self.date.unwrap_or(now),
                    parameter: serde_json::to_string(&activity).map_err(Problem::internal)?,
                    max_attempts: dispatch::ATTEMPTS_MAX,
                    uri: None,
                    objects: Vec::new(),
                    body_hash: self.hash,
                    shards,
                    type_changed_at: None,
                    // A channel needs no config to accept: without one each attempt fails and says so.
                    parents: vec![solution.as_parent()],
                })
            })
            .transpose()?;
        self.faults.finish(activity)
    }

    /// Where the activity's objects stand in the index. Names every field that the call or the objects
    /// need and the parameter does not have.
    fn objects(&self, tenant: &Tenant, found: &ActivityType) -> Vec<String> {
        let Some(parameter) = &self.parameter else { return Vec::new() };
        let pattern = self.uri.as_ref().unwrap_or(&found.uri_pattern);
        parameter_objects(tenant, found, pattern, parameter, &self.faults)
    }
}
