//! The two secrets of a reminder configuration: shown once, kept as hashes, renewed one at a time (SPEC §6).

use super::{Actor, AuditEntry, ChangeError, ReminderConfiguration, Tenancy};
use crate::secret_hash::SecretHash;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rules::names::Tenant;
use serde_json::json;
use zeroize::Zeroizing;

/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Which of the two secrets.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::Display, strum::EnumString,
)]
#[strum(serialize_all = "lowercase", parse_err_ty = rules::names::UnknownName, parse_err_fn = refused_secret_kind)]
pub enum SecretKind {
    /// The one in use.
    Primary,
    /// The one to change over to.
    Secondary,
}

impl SecretKind {
    /// Both.
    pub const ALL: [SecretKind; 2] = [SecretKind::Primary, SecretKind::Secondary];

    /// The name as SPEC §6 writes it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

fn refused_secret_kind(_: &str) -> rules::names::UnknownName {
    rules::names::UnknownName("must be primary or secondary")
}

/// The two secrets of a new configuration: shown this once.
pub struct ReminderSecrets {
    /// The one in use.
    pub primary: Zeroizing<String>,
    /// The one to change over to.
    pub secondary: Zeroizing<String>,
}

impl Tenancy {
    /// Makes one of the secrets anew; the one before opens nothing from here on.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`], or the table failed.
    pub async fn refresh_reminder_secret(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        kind: SecretKind,
    ) -> Result<Zeroizing<String>, ChangeError> {
        let secret = self.new_reminder_secret();
        let change = |old: &ReminderConfiguration, now| {
            let mut new = old.clone();
            new.meta = old.meta.changed(now);
            match kind {
                SecretKind::Primary => new.primary = SecretHash::of(&secret),
                SecretKind::Secondary => new.secondary = SecretHash::of(&secret),
            }
            let entry = AuditEntry::new(now, actor, "reminderConfiguration.keyRefreshed");
            (new, entry.to(json!({ "keyType": kind.as_str() })))
        };
        self.change_reminder_configuration(tenant, change).await?;
        Ok(secret)
    }

    pub(super) fn new_reminder_secret(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        self.entropy.fill(bytes.as_mut());
        Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_ref()))
    }
}
