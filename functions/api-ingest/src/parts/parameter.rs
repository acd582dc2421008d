//! The member `parameter` of activities and recurring activities.

use crate::http::{Fault, Faults, Object, doc, json_object};
use rules::field::FieldPath;
use rules::names::Tenant;
use rules::uri::UriPattern;
use serde_json::Map;
use shared::table::keys::object_partition;
use shared::tenancy::ActivityType;

const PARAMETER: &str = "parameter";
/// The text of a parameter that is absent.
pub const PARAMETER_DEFAULT: &str = "{}";

/// The parameter's text; an empty object if there is none, `None` if it cannot be read.
pub fn parameter(f: &mut Object<'_>, meaning: &'static str) -> Option<String> {
    let text = f.optional(PARAMETER, json_object(), doc(meaning).default(Map::new()));
    if f.has(PARAMETER) { text } else { Some(PARAMETER_DEFAULT.to_owned()) }
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
