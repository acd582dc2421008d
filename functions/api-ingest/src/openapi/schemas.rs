//! What bodies and parameters are made of, for the description alone: they are read by hand.
#![allow(dead_code, reason = "describe what is read by hand")]

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

/// A rule for waits (SPEC §7): it matches the attempt that it names, or any.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct RescheduleRule {
    /// The attempt after which it is for.
    #[schema(minimum = 0, maximum = 1000)]
    attempt: Option<u32>,
    /// How many attempts there are in all.
    #[schema(minimum = 0, maximum = 1000)]
    retries: Option<u32>,
    /// Seconds to wait.
    #[schema(minimum = 0, maximum = 31622400)]
    retry_after_s: Option<u32>,
    /// The seed's name of `retryAfterS`.
    #[schema(rename = "retry_after_s", minimum = 0, maximum = 31622400)]
    seeds_retry_after_s: Option<u32>,
}
