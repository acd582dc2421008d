//! Cursors of lists: where to go on, for no other list.

use super::problem::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::Uri;
use sha2::Sha256;
use shared::context::Context;
use shared::tenancy::CursorSecret;

/// Bytes of a cursor's seal: half of an HMAC-SHA256.
const SEAL_BYTES: usize = 16;
/// The query parameter that carries a secret (SPEC §6); no cursor depends on it.
pub const SECRET: &str = "secret";
/// The query parameter that says how many items a page has.
pub const LIMIT: &str = "limit";
/// The query parameter that says where a page begins.
pub const CURSOR: &str = "cursor";

/// What is wrong with a cursor that does not open.
pub const CURSOR_REFUSED: &str = "must be a nextCursor that this list gave for the same query";

/// What a cursor is of use for: one tenant's one list with one filter. Keyed by the deployment's cursor secret, which
/// no caller knows and which has nothing to do with any key.
pub struct Scope(Hmac<Sha256>);

impl Scope {
    /// The list at the path of `uri`, with its query apart from `limit` and `cursor`, and from the
    /// secret that opens the path.
    ///
    /// # Errors
    /// The first one in a process reads the cursor secret.
    pub async fn of(context: &Context, uri: &Uri) -> Result<Self, Problem> {
        let query = uri.query().unwrap_or_default();
        let mut parameters: Vec<_> = url::form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name != LIMIT && name != CURSOR && name != SECRET)
            .collect();
        parameters.sort_unstable();
        let of_what = format!("{}\n{parameters:?}", uri.path());
        Ok(Self::keyed(context.tenancy.cursor_secret().await?, &of_what))
    }

    /// The list at `path` without a filter.
    ///
    /// # Errors
    /// As [`Scope::of`].
    pub async fn of_path(context: &Context, path: &str) -> Result<Self, Problem> {
        Self::of(context, &path.parse().map_err(Problem::internal)?).await
    }

    /// The work described by the path of `uri` and `work`.
    pub fn of_body(secret: &CursorSecret, uri: &Uri, work: &str) -> Self {
        Self::keyed(secret, &format!("{}\n{work}", uri.path()))
    }

    fn keyed(secret: &CursorSecret, of_what: &str) -> Self {
        // The length says where the scope ends and the cursor's content begins.
        let length = (of_what.len() as u64).to_be_bytes();
        let mac = Hmac::new_from_slice(secret.as_ref()).expect("a key of HMAC has any length");
        Self(mac.chain_update(length).chain_update(of_what))
    }

    /// A cursor for the caller: where to go on, sealed to this scope.
    pub fn seal(&self, inner: &str) -> String {
        let tag = self.0.clone().chain_update(inner).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([&tag[..SEAL_BYTES], inner.as_bytes()].concat())
    }

    /// Where to go on; `None` for a cursor that was not sealed to this scope.
    pub fn open(&self, cursor: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (tag, inner) = bytes.split_at_checked(SEAL_BYTES)?;
        // Compares in constant time.
        self.0.clone().chain_update(inner).verify_truncated_left(tag).ok()?;
        String::from_utf8(inner.to_vec()).ok()
    }
}
