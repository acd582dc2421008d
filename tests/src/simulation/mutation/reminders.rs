//! Reminders as broken builds write them.

use super::Mutation;
use super::statements::lead_astray;
use serde_json::Value;

/// An item of a reminder as the broken build writes it.
pub(super) fn item(mutation: Mutation, item: &mut Value) {
    let Some(id) = item["PK"]["S"].as_str().and_then(|pk| pk.strip_prefix("R#")?.split('#').nth(1)) else {
        return;
    };
    let own = id.to_owned();
    match mutation {
        Mutation::ReminderRecipientsApart => {
            let sort = item["ds"]["S"].as_str().map(|sort| sort.split('#').collect::<Vec<_>>());
            if let Some([due, _, id]) = sort.as_deref() {
                item["ds"]["S"] = format!("{due}#{own}#{id}").into();
                item["rc"]["S"] = own.into();
            }
        }
        _ => {
            let stored = item["d"]["S"].as_str().and_then(|text| serde_json::from_str(text).ok());
            if let Some(Value::Object(mut stored)) = stored {
                stored.remove("catchUp");
                stored.remove("skip");
                item["d"]["S"] = Value::Object(stored).to_string().into();
            }
        }
    }
}

/// Send times that are left out are recorded where nobody looks, and nothing goes on behind them.
pub(super) fn skip_nothing(statements: &mut Value) {
    let Some(statements) = statements.as_array_mut() else { return };
    let is_reminders =
        |one: &Value| one["S"].as_str().is_some_and(|pk| pk.starts_with("R#") && pk.contains('/'));
    let of_reminder =
        |statement: &Value| statement["Parameters"].as_array().into_iter().flatten().any(is_reminders);
    if statements.iter().all(of_reminder) {
        statements.retain(|one| one["Statement"].as_str().is_some_and(|text| text.starts_with("INSERT")));
        statements.iter_mut().for_each(|statement| lead_astray(statement, "R#"));
    }
}
