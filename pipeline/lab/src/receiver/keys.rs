//! The secrets a receiver knows. Signatures are judged by the rules of Standard Webhooks
//! (<https://www.standardwebhooks.com>), by that project's own crate, so that Loadline's signing is not judged by
//! Loadline's code.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use http::HeaderMap;
use standardwebhooks::{Webhook, WebhookError};

use super::Refusal;

/// How many secrets a receiver may know: each costs one HMAC for a request signed with a later one.
pub const KEYS_MAX: usize = 16;

const PREFIX: &str = "whsec_";
/// The sizes the specification allows for a secret, in bytes once decoded.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The secrets of a receiver; any one of them may have signed a request, which is how secrets are rotated.
///
/// Timestamps older or newer than five minutes are refused, by the machine's own clock. A body that is not UTF-8 is
/// refused too: the `standardwebhooks` crate signs text only. A clone knows the same secrets, also once they change.
#[derive(Clone)]
pub struct Keys(Arc<ArcSwap<Vec<Webhook>>>);

/// A secret that cannot be used. The secret itself is never part of the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is none.
    #[error("no secret given: give at least one `whsec_…`, or say that signatures are not to be checked")]
    None,
    /// There are too many.
    #[error("{count} secrets given: give at most {KEYS_MAX}")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// It does not look like one.
    #[error("secret {nth} does not start with `whsec_`: copy it whole, prefix included")]
    Prefix {
        /// Which one, counting from 1.
        nth: usize,
    },
    /// It is not base64.
    #[error("secret {nth} is not base64 after `whsec_`: copy it again, padding included")]
    NotBase64 {
        /// Which one, counting from 1.
        nth: usize,
    },
    /// It has the wrong size.
    #[error("secret {nth} has {bytes} bytes: use one of 24 to 64")]
    Size {
        /// Which one, counting from 1.
        nth: usize,
        /// Its size once decoded.
        bytes: usize,
    },
}

impl Keys {
    /// Keys from secrets in their usual form, `whsec_` and base64.
    ///
    /// # Errors
    /// No secret or more than [`KEYS_MAX`], or one without the prefix, not base64, or not of 24 to 64 bytes.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Result<Self, KeyError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(keys(secrets)?))))
    }

    /// Knows these secrets and no others from the next request on.
    ///
    /// # Errors
    /// As [`Keys::new`]; those known before stay.
    pub fn replace<S: AsRef<str>>(&self, secrets: impl IntoIterator<Item = S>) -> Result<(), KeyError> {
        self.0.store(Arc::new(keys(secrets)?));
        Ok(())
    }

    /// No keys: signatures are not checked, only that a `webhook-id` is there.
    #[must_use]
    pub fn unchecked() -> Self {
        Self(Arc::default())
    }

    /// Whether signatures are checked.
    #[must_use]
    pub fn check_signatures(&self) -> bool {
        !self.0.load().is_empty()
    }

    /// Judges a request's signature.
    pub(crate) fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        let mut last = Ok(());
        for key in self.0.load().iter() {
            match key.verify(body, headers) {
                Ok(()) => return Ok(()),
                Err(error) => last = Err(refusal(&error)),
            }
        }
        last
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} secrets)", self.0.load().len())
    }
}

fn keys<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Result<Vec<Webhook>, KeyError> {
    let keys = (1..).zip(secrets).map(|(nth, secret)| key(nth, secret.as_ref()));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    match keys.len() {
        0 => Err(KeyError::None),
        count if count > KEYS_MAX => Err(KeyError::TooMany { count }),
        _ => Ok(keys),
    }
}

fn key(nth: usize, secret: &str) -> Result<Webhook, KeyError> {
    let encoded = secret.strip_prefix(PREFIX).ok_or(KeyError::Prefix { nth })?;
    let key = Webhook::new(secret).map_err(|_| KeyError::NotBase64 { nth })?;
    // four characters of base64 stand for three bytes
    let bytes = encoded.trim_end_matches('=').len() * 3 / 4;
    if SECRET_BYTES.contains(&bytes) { Ok(key) } else { Err(KeyError::Size { nth, bytes }) }
}

fn refusal(error: &WebhookError) -> Refusal {
    match error {
        WebhookError::MissingHeader(_) => Refusal::Unsigned,
        WebhookError::TimestampTooOldError | WebhookError::FutureTimestampError => Refusal::Stale,
        _ => Refusal::WrongSignature,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_cannot_be_used_is_named_by_its_place_and_never_shown() {
        let good = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        let error = |secrets: &[&str]| Keys::new(secrets).unwrap_err();
        assert_eq!(error(&[]), KeyError::None);
        assert_eq!(error(&[good, "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]), KeyError::Prefix { nth: 2 });
        assert_eq!(error(&["whsec_not base64!"]), KeyError::NotBase64 { nth: 1 });
        assert_eq!(error(&["whsec_c2hvcnQ="]), KeyError::Size { nth: 1, bytes: 5 });
        assert_eq!(error(&[good; 17]), KeyError::TooMany { count: 17 });
        assert_eq!(format!("{:?}", Keys::new([good]).unwrap()), "Keys(1 secrets)");
    }
}
