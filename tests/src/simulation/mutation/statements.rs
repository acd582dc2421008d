//! Statements as broken builds change them.

use serde_json::{Value, json};

/// Whether one of the statement's parameters begins with `text`, or, for `@`, has it.
pub(super) fn names(statement: &Value, text: &str) -> bool {
    let parameters = statement["Parameters"].as_array().into_iter().flatten();
    parameters.filter_map(|one| one["S"].as_str()).any(|one| match text {
        "@" => one.starts_with("A#") && one.contains('@'),
        _ => one.starts_with(text),
    })
}

/// Writes what it inserts where nobody looks.
pub(super) fn lead_astray(statement: &mut Value, prefix: &str) {
    for parameter in statement["Parameters"].as_array_mut().into_iter().flatten() {
        if let Some(key) = parameter["S"].as_str().filter(|key| key.starts_with(prefix)) {
            *parameter = json!({"S": format!("X{key}")});
        }
    }
}

/// Takes a condition out of a statement, and its parameter.
pub(super) fn take_out(statement: &mut Value, part: &str) {
    let Some(text) = statement["Statement"].as_str().map(str::to_owned) else { return };
    let Some(at) = text.rfind(part) else { return };
    let before = text[..at].matches('?').count();
    statement["Statement"] = format!("{}{}", &text[..at], &text[at + part.len()..]).into();
    if part.contains('?')
        && let Some(parameters) = statement["Parameters"].as_array_mut()
    {
        parameters.remove(before);
    }
}
