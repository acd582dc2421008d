//! The data directory: one process at a time, and the small files in it.

use crate::clock::offset_in_range;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use shared::entropy::Entropy;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const LOCK_FILE: &str = "lock";
const CLOCK_FILE: &str = "clock-offset-ms";
/// Its owner may read and write it, nobody else anything.
#[cfg(unix)]
const PRIVATE_MODE: u32 = 0o600;
/// Bytes of a key that local mode makes.
const KEY_BYTES: usize = 24;

/// A data directory that this process holds.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Dropping it lets the next process in; so does the end of this one, whatever ends it.
    _lock: File,
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error(
        "another process is using the data directory {0}; stop it, or choose another one with --data-dir"
    )]
    InUse(PathBuf),
    #[error("cannot use the data directory {path}: {reason}")]
    Io { path: PathBuf, reason: io::Error },
}

impl DataDir {
    /// Creates the directory if need be, and takes hold of it.
    ///
    /// # Errors
    /// Another process holds it, or it cannot be written.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |reason| DataDirError::Io { path: path.to_owned(), reason };
        create_private(path).map_err(failed)?;
        let lock = path.join(LOCK_FILE);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(lock).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the clock's offset for the next start.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_clock_offset(&self, offset: TimeDelta) -> Result<(), DataDirError> {
        let file = self.path.join(CLOCK_FILE);
        write_private(&file, offset.num_milliseconds().to_string().as_bytes())
            .map_err(|reason| DataDirError::Io { path: file, reason })
    }
}

/// The secret kept in the file `name` of a data directory, made at the first
/// time. This works beside a process that holds the directory.
///
/// # Errors
/// The file cannot be read or written.
pub fn secret(dir: &Path, name: &str, entropy: &dyn Entropy) -> Result<String, DataDirError> {
    let file = dir.join(name);
    let kept = match close_to_others(&file).and_then(|()| fs::read_to_string(&file)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        kept => kept,
    };
    let kept_or_made = kept.and_then(|kept| match kept.trim() {
        "" => {
            let made = new_secret(entropy);
            create_private(dir)?;
            write_private(&file, made.as_bytes())?;
            Ok(made)
        }
        kept => Ok(kept.to_owned()),
    });
    kept_or_made.map_err(|reason| DataDirError::Io { path: file, reason })
}

/// How far the test clock of a data directory was ahead when it was last moved.
///
/// # Errors
/// The file cannot be read, or holds no offset that the clock may have.
pub fn clock_offset(dir: &Path) -> Result<TimeDelta, DataDirError> {
    let file = dir.join(CLOCK_FILE);
    let text = match fs::read_to_string(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(TimeDelta::zero()),
        text => text,
    };
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "holds no number of milliseconds in range");
    let offset = |text: String| {
        let offset = text.trim().parse().ok().and_then(TimeDelta::try_milliseconds);
        offset.filter(|offset| offset_in_range(*offset)).ok_or_else(invalid)
    };
    text.and_then(offset).map_err(|reason| DataDirError::Io { path: file, reason })
}

/// A fresh random key, as text.
pub fn new_secret(entropy: &dyn Entropy) -> String {
    URL_SAFE_NO_PAD.encode(entropy.bytes::<KEY_BYTES>())
}

/// Makes an empty file that only its owner may read, for somebody else to fill; one that is there already
/// is closed to others.
///
/// # Errors
/// It cannot be made, or is not ours.
pub(crate) fn make_private(file: &Path) -> Result<(), DataDirError> {
    let made = private().append(true).open(file);
    made.map(drop)
        .and_then(|()| close_to_others(file))
        .map_err(|reason| DataDirError::Io { path: file.to_owned(), reason })
}

/// Sees to it that only its owner may read a file, if it is there. An older version, another program or a
/// copy may have left it open to others, in a directory that is open to them.
///
/// # Errors
/// It is not ours.
pub(crate) fn keep_private(file: &Path) -> Result<(), DataDirError> {
    match close_to_others(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        closed => closed.map_err(|reason| DataDirError::Io { path: file.to_owned(), reason }),
    }
}

#[cfg(unix)]
fn close_to_others(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let open = fs::metadata(file)?.permissions().mode() & 0o077 != 0;
    if open { fs::set_permissions(file, fs::Permissions::from_mode(PRIVATE_MODE)) } else { Ok(()) }
}

#[cfg(not(unix))]
fn close_to_others(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes files that only their owner may read and write.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, PRIVATE_MODE);
    options
}

/// Writes a file that only its owner may read. It has the old or the new
/// content whenever the process dies, never a part of it.
pub(crate) fn write_private(file: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = file.with_extension("tmp");
    let mut out = private().truncate(true).write(true).open(&temporary)?;
    // It may be left from a process that died.
    close_to_others(&temporary)?;
    out.write_all(content)?;
    out.sync_all()?;
    fs::rename(&temporary, file)
}

/// The directory holds keys, so others have no business in it.
fn create_private(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::entropy::OsEntropy;

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::open(dir.path()).unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(DataDirError::InUse(_))));
        drop(held);
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    fn secrets_are_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let _held = DataDir::open(dir.path()).unwrap();
        let made = secret(dir.path(), "admin-key", &OsEntropy).unwrap();
        assert_eq!(secret(dir.path(), "admin-key", &OsEntropy).unwrap(), made);
        assert!(made.len() >= 32);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(dir.path().join("admin-key")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn the_clock_offset_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        assert_eq!(clock_offset(dir.path()).unwrap(), TimeDelta::zero());
        data.keep_clock_offset(TimeDelta::days(30)).unwrap();
        assert_eq!(clock_offset(dir.path()).unwrap(), TimeDelta::days(30));
        for damaged in ["soon", "-1", "31622400000001", "9223372036854775807", "-9223372036854775808"] {
            fs::write(dir.path().join(CLOCK_FILE), damaged).unwrap();
            let error = clock_offset(dir.path()).unwrap_err().to_string();
            assert!(error.contains(CLOCK_FILE), "{error}");
        }
    }
}
