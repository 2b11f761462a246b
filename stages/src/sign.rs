//! Webhook signatures: a secret and the parts of a message enter, the value of `webhook-signature` leaves.
//!
//! The scheme is that of Standard Webhooks 1.0 (standardwebhooks.com): HMAC-SHA256 over `{id}.{timestamp}.{body}`,
//! as `v1,<base64>`. No secret ever appears in an error or in `Debug`.

use std::{fmt, io::Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a secret starts with.
const SECRET_PREFIX: &str = "whsec_";
/// The secret's length after decoding, in bytes, as Standard Webhooks asks.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// How many keys may sign at once: a rotation needs two, and each one adds 48 bytes to every request.
pub const SIGNING_KEYS_MAX: usize = 5;
/// The length of `v1,` and 32 bytes in base64.
const SIGNATURE_LEN: usize = 3 + 44;

/// Why a secret or a set of keys cannot be used. Never shows any part of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The prefix is missing.
    #[error(
        "the signing secret does not start with `whsec_`: write it as `whsec_` and the base64 of 24 to 64 bytes"
    )]
    Prefix,
    /// What follows the prefix is not base64.
    #[error(
        "the signing secret is not base64 after `whsec_`: use the standard alphabet with padding, no white space"
    )]
    Base64,
    /// The secret is too short or too long.
    #[error("the signing secret has {bytes} bytes after decoding: it must have 24 to 64")]
    Length {
        /// The length found, in bytes.
        bytes: usize,
    },
    /// No key at all, or too many.
    #[error("there are {keys} signing secrets: give at least 1 and at most {SIGNING_KEYS_MAX}")]
    Keys {
        /// How many were given.
        keys: usize,
    },
}

/// One signing key. The secret itself is not kept, only HMAC's state after it, so a signature costs no key setup.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// Reads `whsec_` and the base64 of 24 to 64 bytes.
    ///
    /// # Errors
    /// The prefix is missing, the rest is not base64, or its length is out of bounds.
    pub fn parse(secret: &str) -> Result<Self, SigningError> {
        let encoded = secret.strip_prefix(SECRET_PREFIX).ok_or(SigningError::Prefix)?;
        // The decoder's own error names the offending byte, which is part of the secret.
        let bytes = STANDARD.decode(encoded).map_err(|_| SigningError::Base64)?;
        let wrong_length = SigningError::Length { bytes: bytes.len() };
        if !SECRET_BYTES.contains(&bytes.len()) {
            return Err(wrong_length);
        }
        Hmac::new_from_slice(&bytes).map(Self).map_err(|_| wrong_length)
    }

    fn sign(&self, id: &str, timestamp: &[u8], body: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp);
        mac.update(b".");
        mac.update(body);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

/// The keys that sign a broker's deliveries: one, or several while the secret rotates.
#[derive(Clone, Debug)]
pub struct Signer(Vec<SigningKey>);

impl Signer {
    /// A signer with these keys, 1 to [`SIGNING_KEYS_MAX`]; each signs every delivery, in this order.
    ///
    /// # Errors
    /// There is no key, or there are too many.
    pub fn new(keys: Vec<SigningKey>) -> Result<Self, SigningError> {
        if keys.is_empty() || keys.len() > SIGNING_KEYS_MAX {
            return Err(SigningError::Keys { keys: keys.len() });
        }
        Ok(Self(keys))
    }

    /// The value of `webhook-signature`: one signature for each key, parted by a space. `timestamp` is in seconds
    /// since the Unix epoch; `id` must be free of `.`, which parts what is signed.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let mut digits = [0; 20];
        let timestamp = decimal(timestamp, &mut digits);
        // To the byte: a header value takes over a full string without copying it.
        let mut header = String::with_capacity(self.0.len() * (SIGNATURE_LEN + 1) - 1);
        for key in &self.0 {
            if !header.is_empty() {
                header.push(' ');
            }
            header.push_str("v1,");
            STANDARD.encode_string(key.sign(id, timestamp, body), &mut header);
        }
        header
    }
}

/// `number` in decimal, written into `digits`; a `u64` has at most 20 digits, so it always fits.
fn decimal(number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut rest = &mut digits[..];
    let unused = match write!(rest, "{number}") {
        Ok(()) | Err(_) => rest.len(),
    };
    &digits[..20 - unused]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use standardwebhooks::Webhook;

    use super::*;

    const SECRETS: [&str; 2] =
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"];

    fn key(secret: &str) -> SigningKey {
        SigningKey::parse(secret).unwrap()
    }

    #[test]
    fn the_published_vectors_come_out() {
        let first = Signer::new(vec![key(SECRETS[0])]).unwrap();
        assert_eq!(
            first.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        let second = Signer::new(vec![key(SECRETS[1])]).unwrap();
        let body = br#"{"email":"test@example.com","username":"test_user"}"#;
        assert_eq!(
            second.sign("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body),
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="
        );
    }

    #[test]
    fn two_keys_give_two_signatures_parted_by_a_space_without_growing_the_string() {
        let both = Signer::new(SECRETS.map(key).to_vec()).unwrap().sign("id", 7, b"body");
        let each = SECRETS.map(|secret| Signer::new(vec![key(secret)]).unwrap().sign("id", 7, b"body"));
        assert_eq!(both, each.join(" "));
        assert_eq!((each[0].len(), both.capacity()), (SIGNATURE_LEN, 2 * SIGNATURE_LEN + 1));
    }

    #[test]
    fn a_bad_secret_is_refused_without_showing_it() {
        let of_bytes = |n: usize| format!("whsec_{}", STANDARD.encode(vec![7; n]));
        let cases = [
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(), SigningError::Prefix),
            (format!("{} ", SECRETS[0]), SigningError::Base64),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!".to_owned(), SigningError::Base64),
            (of_bytes(23), SigningError::Length { bytes: 23 }),
            (of_bytes(65), SigningError::Length { bytes: 65 }),
        ];
        for (secret, expected) in cases {
            let error = SigningKey::parse(&secret).unwrap_err();
            assert_eq!(error, expected);
            assert!(!format!("{error} {error:?}").contains(&secret[7..secret.len() - 1]), "{error}");
        }
        assert!([24, 64].into_iter().all(|n| SigningKey::parse(&of_bytes(n)).is_ok()));
    }

    #[test]
    fn none_or_too_many_keys_are_refused() {
        for keys in [0, SIGNING_KEYS_MAX + 1] {
            let error = Signer::new(vec![key(SECRETS[0]); keys]).unwrap_err();
            assert_eq!(error, SigningError::Keys { keys });
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let signer = Signer::new(vec![key(SECRETS[0])]).unwrap();
        assert_eq!(format!("{signer:?}"), "Signer([SigningKey(redacted)])");
    }

    proptest! {
        #[test]
        fn the_reference_library_computes_the_same(id in "[a-zA-Z0-9_~-]{1,64}", at: u32, body in ".{0,600}") {
            let ours = Signer::new(vec![key(SECRETS[0])]).unwrap().sign(&id, u64::from(at), body.as_bytes());
            let theirs = Webhook::new(SECRETS[0]).unwrap().sign(&id, i64::from(at), body.as_bytes()).unwrap();
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn a_number_is_written_as_it_is_printed(number: u64) {
            let mut digits = [0; 20];
            prop_assert_eq!(decimal(number, &mut digits).to_vec(), number.to_string().into_bytes());
        }
    }
}
