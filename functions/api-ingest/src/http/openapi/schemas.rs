//! What bodies and parameters are made of, for the description.
#![allow(dead_code, reason = "describe what is read as types of other crates")]

use crate::http::describe::Described;
use crate::http::kind::FromText;
use rules::activity;
use rules::names::{self, ActivityId, TypeName};
use rules::recurring::CatchUp;
use rules::uri::UriPattern;
use rules::verdict::ResultStatus;
use shared::dispatch::ActivityType;
use shared::tenancy::{ServerState, Verb};
use utoipa::ToSchema;

/// A name: a path segment that never changes.
#[derive(ToSchema)]
#[schema(
    value_type = String, example = "publish-song", min_length = 1, max_length = 64,
    pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
)]
pub struct Name(String);

/// An id that a caller gives: a path segment that never changes. `batch` and `bulk` are reserved.
#[derive(ToSchema)]
#[schema(
    value_type = String, example = "example-1", min_length = 1, max_length = 128,
    pattern = "^(?!(batch|bulk)$)[A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}$"
)]
pub struct Id(String);

/// An absolute http(s) URL without user name, password, fragment, white space or braces. Where it leads is
/// judged when it is called.
#[derive(ToSchema)]
#[schema(
    value_type = String, format = "uri", example = "https://api.example.com/inbox", max_length = 2048,
    pattern = "^[Hh][Tt][Tt][Pp][Ss]?://[^\\s\\\\#{}@]+$"
)]
pub struct HttpUrl(String);

/// An absolute http(s) URL whose path and query may have placeholders, `{Field}` or `{a.b}`, that are filled
/// from the parameter.
#[derive(ToSchema)]
#[schema(
    value_type = String, format = "uri-template", max_length = 2048,
    example = "https://api.example.com/music/song/{SongId}/republish",
    pattern = "^[Hh][Tt][Tt][Pp][Ss]?://[^\\s\\\\#{}@]+"
)]
pub struct UrlPattern(String);

/// A field of the parameter: names with dots between them.
#[derive(serde::Serialize, ToSchema)]
#[schema(value_type = String, example = "SongId", min_length = 1, max_length = 256)]
pub struct FieldPath(String);

/// A field of the parameter, or at most ten of them.
#[derive(serde::Serialize, ToSchema)]
#[serde(untagged)]
pub enum FieldPathOrMany {
    /// One.
    One(FieldPath),
    /// Several.
    Many(Vec<FieldPath>),
}

/// An object's id: a string; a number, compared by its value, or a boolean is as good.
#[derive(serde::Serialize, ToSchema)]
#[serde(untagged)]
pub enum ObjectId {
    /// A string.
    Text(String),
    /// A number.
    Number(f64),
    /// A boolean.
    Boolean(bool),
}

/// A channel.
#[derive(ToSchema)]
#[schema(value_type = String, example = "EMAIL", pattern = "^(SALESMAN|CALLCENTER|WHATSAPP|EMAIL|SMS|PUSH)$")]
pub struct Channel(String);

/// How an activity stands: `READY`, `DISPATCHED`, `FAILED` (a dead letter), `CANCELED` or `COMPLETED`.
#[derive(ToSchema)]
#[schema(value_type = String, example = "READY", pattern = "^(READY|DISPATCHED|FAILED|CANCELED|COMPLETED)$")]
pub struct ActivityStatus(String);

/// How a notification stands: `PENDING`, `PUBLISHED` or `MAX_RETRIED`.
#[derive(ToSchema)]
#[schema(value_type = String, example = "PUBLISHED", pattern = "^(PENDING|PUBLISHED|MAX_RETRIED)$")]
pub struct NotificationStatus(String);

/// How a reminder stands: `active`, `completed` or `cancelled`.
#[derive(ToSchema)]
#[schema(value_type = String, example = "active", pattern = "^(active|completed|cancelled)$")]
pub struct ReminderStatus(String);

/// `running` or `paused`.
#[derive(ToSchema)]
#[schema(value_type = String, example = "running", pattern = "^(running|paused)$")]
pub struct State(String);

/// Texts that are described by a component.
macro_rules! component {
    ($($text:ty => $component:ty),* $(,)?) => {
        $(impl FromText for $text {
            fn describe() -> Described {
                Described::component::<$component>()
            }
        })*
    };
}

/// Texts of which there are few.
macro_rules! one_of {
    ($($text:ty),* $(,)?) => {
        $(impl FromText for $text {
            fn describe() -> Described {
                Described::one_of(<$text>::ALL.map(<$text>::as_str))
            }
        })*
    };
}

component! {
    TypeName => Name,
    ActivityId => Id,
    UriPattern => UrlPattern,
    names::Channel => Channel,
    activity::Status => ActivityStatus,
    rules::field::FieldPath => FieldPath,
    ServerState => State,
}

one_of! { Verb, ResultStatus, CatchUp }

impl FromText for ActivityType {
    fn describe() -> Described {
        Described::one_of([ActivityType::Task, ActivityType::Message].map(ActivityType::as_str))
    }
}
