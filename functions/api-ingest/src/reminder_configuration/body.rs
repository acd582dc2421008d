//! How reminders are sent.

use crate::http::{Object, body, doc, fixed_uri, text};
use shared::tenancy::ReminderSettings;
use zeroize::Zeroizing;

/// Most characters of a notification key: it is sent as a header.
const NOTIFICATION_KEY_MAX_CHARS: usize = 4_096;
/// Most characters of an account code.
const ACCOUNT_CODE_MAX_CHARS: usize = 256;
const NOTIFICATION_KEY: &str = "notificationKey";
const DIALOG_SERVICE_URI: &str = "dialogServiceUri";

body! {
    /// How reminders are sent.
    pub struct ReminderConfigurationBody = settings(bool) -> ReminderSettings;
}

/// Whether the service's own Dialog service may stand in.
fn settings(f: &mut Object<'_>, default_service: Option<bool>) -> Option<ReminderSettings> {
    let meaning = doc("What the Dialog service wants as its `authorization` header. Never shown again.");
    let key = text(NOTIFICATION_KEY_MAX_CHARS);
    let key = f.required(NOTIFICATION_KEY, key, meaning.with("pattern", "^[ -~]*$")).map(Zeroizing::new);
    if key.as_ref().is_some_and(|key| !key.chars().all(|c| matches!(c, ' '..='~'))) {
        f.fault(NOTIFICATION_KEY, "must be visible ASCII and spaces: it is sent as a header");
    }
    let account_code = f.required("accountCode", text(ACCOUNT_CODE_MAX_CHARS), "The messaging account.");
    let service = f.required_if(
        default_service == Some(false),
        DIALOG_SERVICE_URI,
        fixed_uri(),
        "Base URL of the Dialog service; may be left out where the service has a default one (`DialogServiceUri`).",
    );
    if service.as_ref().is_some_and(|uri| uri.contains(['?', '#'])) {
        f.fault(DIALOG_SERVICE_URI, "must end before the query: a path is added to it");
    }
    let meaning = "What is called after every attempt, by an activity of the type `reminder-webhook`.";
    let webhook_url = f.optional("webhookUrl", fixed_uri(), meaning);
    Some(ReminderSettings {
        notification_key: key?,
        account_code: account_code?,
        dialog_service_uri: service,
        webhook_url,
    })
}
