//! An activity as its request describes it, judged step by step until every fault is known.

use super::channel_draft::ChannelDraft;
use crate::ApiContext;
use crate::activity_types::RETRIES;
use crate::faults::{Fault, Faults};
use crate::object::{Object, at};
use crate::problem::Problem;
use crate::{idempotency, json};
use chrono::{DateTime, Utc};
use http::HeaderValue;
use rules::field::FieldPath;
use rules::names::{ActivityId, Kind, Tenant, TypeName, ids};
use rules::uri::UriPattern;
use serde_json::{Map, Value};
use shared::body_hash::BodyHash;
use shared::dispatch;
use shared::engine::keys::object_partition;
use shared::items::activity::NewActivity;
use shared::tenancy::{ActivityType, Shards, Solution};
use std::sync::Arc;

const PARAMETER: &str = "parameter";
const PARAMETER_DEFAULT: &str = "{}";
const ACTIVITY_TYPE: &str = "activityType";
const CHANNEL: &str = "channel";
const RETRIES_FIELD: &str = "retries";

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

/// What the body says, as far as it can be read, and the faults found on the way.
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
    /// Reads a body; `header` is its `Idempotency-Key`. Faults wait for [`Draft::judge`].
    pub fn read(text: &str, header: Option<&HeaderValue>) -> Self {
        let faults = Faults::default();
        let mut draft = Self {
            activity_type: None,
            channel: None,
            id: None,
            date: None,
            parameter: Some(PARAMETER_DEFAULT.to_owned()),
            retries: None,
            uri: None,
            hash: BodyHash::default(),
            faults: Faults::default(),
        };
        if let Some(mut body) = Object::read(text, "", &faults) {
            draft.take(&mut body, header);
            body.finish();
        }
        draft.faults = faults;
        draft
    }

    /// The kind that is to make the call, if it can be read.
    pub fn named(&self) -> Option<Kind> {
        match &self.channel {
            Some(draft) => draft.channel.map(Kind::Channel),
            None => self.activity_type.clone().map(Kind::Type),
        }
    }

    fn take(&mut self, body: &mut Object<'_, '_>, header: Option<&HeaderValue>) {
        if body.has(CHANNEL) {
            self.id = idempotency::id(body, header, ids::given_to_activity);
            self.date = body.time("date");
            if body.raw(ACTIVITY_TYPE).is_some() {
                let detail = "cannot go with activityType: an activity has one of them";
                body.faults().add(body.at(CHANNEL), detail);
            }
            self.channel = Some(ChannelDraft::read(body));
            if self.id.is_some() {
                self.hash = body.body_hash(None);
            }
            return;
        }
        self.activity_type = body.parsed(ACTIVITY_TYPE);
        if !body.has(ACTIVITY_TYPE) {
            body.faults().add(body.at(ACTIVITY_TYPE), "is required, unless channel is given");
        }
        self.id = idempotency::id(body, header, ids::given_to_activity);
        self.date = body.time("date");
        self.retries = body.integer(RETRIES_FIELD, RETRIES).and_then(|retries| u32::try_from(retries).ok());
        self.uri = body.parsed("uri");
        self.parameter = parameter(body);
        // Without an id of the caller's nobody can ask for the same again.
        if self.id.is_some() {
            self.hash = body.body_hash(Some(RETRIES_FIELD)).with_attempts(self.retries);
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

/// The parameter's text; an empty object if there is none, `None` if it cannot be read.
pub fn parameter(body: &mut Object<'_, '_>) -> Option<String> {
    body.defaults_to(PARAMETER, Map::new());
    let Some(raw) = body.raw(PARAMETER) else { return Some(PARAMETER_DEFAULT.to_owned()) };
    match json::strict(raw) {
        Ok(value @ Value::Object(_)) => {
            body.means(PARAMETER, value);
            return Some(json::compact(raw));
        }
        Ok(_) => body.faults().add(body.at(PARAMETER), "must be an object"),
        Err(error) => body.faults().add(body.at(PARAMETER), error),
    }
    None
}

/// Where the objects of a parameter, which is JSON text, stand in the index. Names every field that `pattern` or the type's
/// objects need and the parameter does not have.
pub fn parameter_objects(
    tenant: &Tenant,
    found: &ActivityType,
    pattern: &UriPattern,
    parameter: &str,
    faults: &Faults,
) -> Vec<String> {
    let mut named: Vec<Fault> = Vec::new();
    let mut name = |field: &FieldPath, detail: String| {
        let fault = Fault::new(format!("/{PARAMETER}{}", field.pointer()), detail);
        if !named.contains(&fault) {
            named.push(fault);
        }
    };
    let mut filled = true;
    for field in pattern.fields() {
        if let Err(error) = field.scalar(parameter) {
            filled = false;
            name(field, error.to_string());
        }
    }
    if filled && let Err(error) = pattern.expand(parameter) {
        name(&error.field, error.reason.to_string());
    }
    let mut objects = Vec::with_capacity(found.object_id_ref.len());
    for field in &found.object_id_ref {
        match field.scalar(parameter) {
            Ok(value) => objects.push(object_partition(tenant, &found.name, &value.object_id())),
            Err(error) => name(field, error.to_string()),
        }
    }
    named.into_iter().for_each(|fault| faults.push(fault));
    objects.sort_unstable();
    objects.dedup();
    objects
}
