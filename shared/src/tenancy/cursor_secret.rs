//! The secret that authenticates the cursors of lists (SPEC §2): random, made once for a deployment, and unrelated
//! to any key, so that a cursor is of no help to whoever guesses one.
//!
//! It lies in the table unsealed. Whoever may read the table has read what a forged cursor could lead to, and lists
//! work while KMS does not. A process reads it once, when it first makes or opens a cursor.

use super::change::When;
use super::item::{DecodeError, Item, Key, Reader, Writer};
use super::{Tenancy, TenancyError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

const WHAT: &str = "cursor secret";
const SECRET: &str = "secret";
/// Bytes of the secret: as many as SHA-256 has.
const SECRET_BYTES: usize = 32;

/// The secret's bytes. Zeroized when dropped.
pub type CursorSecret = Zeroizing<[u8; SECRET_BYTES]>;

impl Tenancy {
    /// The secret of this deployment: read once in a process, and made by whoever needs it first.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read or written; the next call tries again.
    pub async fn cursor_secret(&self) -> Result<&CursorSecret, TenancyError> {
        self.cursor_secret.get_or_try_init(|| self.read_or_make_cursor_secret()).await
    }

    async fn read_or_make_cursor_secret(&self) -> Result<CursorSecret, TenancyError> {
        let key = Key::new("CURSORS", "SECRET");
        if let Some(item) = self.read("read cursor secret", &key).await? {
            return Ok(decode(&item)?);
        }
        let made = CursorSecret::new(self.entropy.bytes());
        let item = Writer::new(&key).text(SECRET, URL_SAFE_NO_PAD.encode(made.as_ref())).finish();
        self.commit("write cursor secret", vec![self.put(item, Some(When::Absent))]).await?;
        // Of several that were made at the same time, the one that was written is everybody's.
        match self.read("read cursor secret", &key).await? {
            Some(item) => Ok(decode(&item)?),
            None => Err(TenancyError::Throttled { operation: "read cursor secret".into() }),
        }
    }
}

fn decode(item: &Item) -> Result<CursorSecret, DecodeError> {
    let reader = Reader::new(WHAT, item);
    let bytes = URL_SAFE_NO_PAD.decode(reader.text(SECRET)?).ok().map(Zeroizing::new);
    let secret = bytes.and_then(|bytes| bytes.as_slice().try_into().ok()).map(CursorSecret::new);
    secret.ok_or_else(|| reader.error(SECRET, format!("is not base64 of {SECRET_BYTES} bytes")))
}
