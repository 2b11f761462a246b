//! Secrets: resolves a reference in the config or on the command line to a [`Secret`], which never shows its text. A
//! secret in the config itself is refused and not repeated.

use std::{
    env, fmt,
    fs::File,
    io,
    io::Read,
    path::{Component, Path, PathBuf},
};

use super::{
    file_modes::{Exposure, exposure},
    findings::Environment,
};

/// The longest secret, in bytes; a file that holds more is not a secret's.
const SECRET_MAX: u64 = 4096;

/// A reference to a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// In an environment variable: `env:NAME`.
    Env(String),
    /// Alone in a file: `file:PATH`; whitespace at its ends is not part of it.
    File(PathBuf),
}

/// A secret that has been fetched. Its `Debug` is its reference; it has no `Display` and no `Serialize`.
#[derive(Clone)]
pub struct Secret {
    reference: SecretRef,
    text: String,
    /// The mode of its file if others can read it.
    readable: Option<u32>,
}

/// Why a secret cannot be fetched. Shows nothing of what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// The secret itself is in the place of its reference.
    #[error("is a secret, which does not belong here")]
    Literal,
    /// It is no reference.
    #[error("is not a reference to a secret")]
    NoReference,
    /// The variable is not set.
    #[error("names the environment variable {0}, which is not set")]
    Unset(String),
    /// The variable is not UTF-8.
    #[error("names the environment variable {0}, which is not UTF-8")]
    NotText(String),
    /// The file cannot be read.
    #[error("names the file {path}, which cannot be read: {kind}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
    /// Everyone on this machine may replace the file's content.
    #[error("names the file {path}, which everyone on this machine may write (mode {mode:04o})")]
    Writable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is empty.
    #[error("names a secret that is empty")]
    Empty,
    /// It is longer than any secret.
    #[error("names a secret of more than {SECRET_MAX} bytes")]
    TooLong,
}

impl SecretFault {
    /// The way out.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Literal => {
                "put it in a file or an environment variable, write file:PATH or env:NAME, and replace it"
            }
            Self::NoReference => "write env:NAME or file:PATH",
            Self::Writable { .. } => "make it its owner's alone: chmod 600; and replace the secret",
            Self::Unset(_) => "set it in the environment of this process, or use file:PATH",
            Self::NotText(_) | Self::Empty | Self::TooLong => "put the secret there, alone, as text",
            Self::Unreadable { .. } => {
                "create it, or let this process read it; a relative path starts where the config file is"
            }
        }
    }
}

impl SecretRef {
    /// Reads a reference; a relative path starts at `base`.
    ///
    /// # Errors
    /// [`SecretFault::Literal`] if this is a signing key itself, [`SecretFault::NoReference`] if it is anything else.
    pub fn parse(text: &str, base: &Path) -> Result<Self, SecretFault> {
        let lower = text.to_ascii_lowercase();
        if lower.contains("whsec_") || lower.contains("whsk_") {
            return Err(SecretFault::Literal);
        }
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        match text.split_once(':') {
            Some(("env", name)) if is_name(name) => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(base.join(path))),
            _ => Err(SecretFault::NoReference),
        }
    }

    /// Whether this is of the same kind as `prefix` and begins as it does; a file's path has no way up, and begins with
    /// whole names.
    #[must_use]
    pub fn begins_with(&self, prefix: &Self) -> bool {
        match (self, prefix) {
            (Self::Env(name), Self::Env(prefix)) => name.starts_with(prefix),
            (Self::File(path), Self::File(prefix)) => {
                !path.components().any(|part| part == Component::ParentDir) && path.starts_with(prefix)
            }
            _ => false,
        }
    }

    /// Fetches the secret from the environment of this process or from its file.
    ///
    /// # Errors
    /// See [`SecretFault`].
    pub fn resolve(&self) -> Result<Secret, SecretFault> {
        self.resolve_in(&|name| env::var(name))
    }

    pub(super) fn resolve_in(&self, environment: Environment<'_>) -> Result<Secret, SecretFault> {
        let mut readable = None;
        let text = match self {
            Self::Env(name) => environment(name).map_err(|error| match error {
                env::VarError::NotPresent => SecretFault::Unset(name.clone()),
                env::VarError::NotUnicode(_) => SecretFault::NotText(name.clone()),
            })?,
            Self::File(path) => {
                let fault =
                    |error: io::Error| SecretFault::Unreadable { path: path.clone(), kind: error.kind() };
                let (text, exposure) = read(path).map_err(fault)?;
                match exposure {
                    Exposure::None => {}
                    Exposure::Readable(mode) => readable = Some(mode),
                    Exposure::Writable(mode) => {
                        return Err(SecretFault::Writable { path: path.clone(), mode });
                    }
                }
                text
            }
        };
        match text.trim() {
            "" => Err(SecretFault::Empty),
            text if text.len() as u64 > SECRET_MAX => Err(SecretFault::TooLong),
            text => Ok(Secret { reference: self.clone(), text: text.to_owned(), readable }),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl Secret {
    /// The secret's text, for signing or sending.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The mode of the file it came from, if others than its owner can read that.
    #[must_use]
    pub fn readable_by_others(&self) -> Option<u32> {
        self.readable
    }

    /// Where it came from.
    #[must_use]
    pub fn reference(&self) -> &SecretRef {
        &self.reference
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.reference)
    }
}

fn read(path: &Path) -> io::Result<(String, Exposure)> {
    let file = File::open(path)?;
    let exposure = exposure(&file.metadata()?);
    let mut text = String::new();
    // One byte more than allowed, so that a longer one is seen to be longer; /dev/zero ends here too.
    file.take(SECRET_MAX + 1).read_to_string(&mut text)?;
    Ok((text, exposure))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn fetched(text: &str) -> Result<Secret, SecretFault> {
        SecretRef::Env("KEY".to_owned()).resolve_in(&|_| Ok(text.to_owned()))
    }

    #[test]
    fn a_reference_is_env_or_file_and_nothing_else() {
        let parse = |text: &str| SecretRef::parse(text, Path::new("/etc/loadline"));
        assert_eq!(parse("env:ACME_1"), Ok(SecretRef::Env("ACME_1".to_owned())));
        assert_eq!(parse("file:secrets/acme"), Ok(SecretRef::File("/etc/loadline/secrets/acme".into())));
        assert_eq!(parse("file:/run/acme"), Ok(SecretRef::File("/run/acme".into())));
        assert_eq!(parse(KEY), Err(SecretFault::Literal));
        assert_eq!(parse(&format!("env:{KEY}")), Err(SecretFault::Literal));
        for wrong in ["", "env:", "file:", "env:A B", "vault:a", "hunter2"] {
            assert_eq!(parse(wrong), Err(SecretFault::NoReference), "{wrong}");
        }
    }

    #[test]
    fn a_secret_shows_its_reference_only() {
        let secret = fetched(KEY).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(env:KEY)");
        assert_eq!(secret.expose(), KEY);
    }

    #[test]
    fn a_file_that_others_can_read_is_told_and_one_that_everyone_can_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, KEY).unwrap();
        let fetched = |mode: u32| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            SecretRef::File(path.clone()).resolve()
        };
        assert_eq!(fetched(0o600).unwrap().readable_by_others(), None);
        assert_eq!(fetched(0o400).unwrap().readable_by_others(), None);
        assert_eq!(fetched(0o644).unwrap().readable_by_others(), Some(0o644));
        assert_eq!(fetched(0o640).unwrap().readable_by_others(), Some(0o640));
        assert!(matches!(fetched(0o666), Err(SecretFault::Writable { mode: 0o666, .. })));
    }

    #[test]
    fn a_file_is_trimmed_and_an_endless_one_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, format!("{KEY}\n")).unwrap();
        assert_eq!(SecretRef::File(path).resolve().unwrap().expose(), KEY);
        let endless = SecretRef::File("/dev/zero".into()).resolve();
        assert_eq!(endless.unwrap_err(), SecretFault::TooLong);
        let missing = SecretRef::File(dir.path().join("none")).resolve().unwrap_err();
        assert!(
            matches!(missing, SecretFault::Unreadable { kind: io::ErrorKind::NotFound, .. }),
            "{missing}"
        );
    }
}
