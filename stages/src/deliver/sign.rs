//! Signs webhooks: computes the value of `webhook-signature`.
//!
//! The schemes are those of Standard Webhooks 1.0 (standardwebhooks.com), over `{id}.{timestamp}.{body}`: HMAC-SHA256 as
//! `v1,<base64>`, and ed25519 as `v1a,<base64>`. The key says which. No secret ever appears in an error or in `Debug`.

use std::{fmt, io::Write, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::Ed25519KeyPair;
use sha2::Sha256;

/// The prefix of a secret.
const SECRET_PREFIX: &str = "whsec_";
/// The prefix of a private key.
const PRIVATE_PREFIX: &str = "whsk_";
/// The secret's length after decoding, in bytes, as Standard Webhooks asks.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// How many keys may sign at once: a rotation needs two, and each one adds 48 bytes to every request.
pub const SIGNING_KEYS_MAX: usize = 5;
/// The length of `v1,` and 32 bytes in base64.
const SIGNATURE_LEN: usize = 3 + 44;
/// The length of `v1a,` and 64 bytes in base64.
const ED25519_LEN: usize = 4 + 88;
/// The length of an ed25519 seed, which the public key may follow.
const SEED_LEN: usize = 32;

/// Why a secret or a set of keys cannot be used. Never shows any part of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The prefix is missing.
    #[error(
        "the signing secret starts neither with `whsec_` nor with `whsk_`: write it as `whsec_` and the base64 of 24 to 64 bytes"
    )]
    Prefix,
    /// The rest after the prefix is not base64.
    #[error(
        "the signing secret is not base64 after its prefix: use the standard alphabet with padding, no white space"
    )]
    Base64,
    /// The secret is too short or too long.
    #[error("the signing secret has {bytes} bytes after decoding: it must have 24 to 64")]
    Length {
        /// The length found, in bytes.
        bytes: usize,
    },
    /// The private key is not one of ed25519.
    #[error(
        "the private key after `whsk_` is no ed25519 key: give the base64 of its seed of 32 bytes, or of the seed and the public key that belongs to it"
    )]
    PrivateKey,
    /// There is no key, or there are too many.
    #[error("there are {keys} signing secrets: give at least 1 and at most {SIGNING_KEYS_MAX}")]
    Keys {
        /// How many were given.
        keys: usize,
    },
}

/// One signing key.
#[derive(Clone)]
pub struct SigningKey(Key);

#[derive(Clone)]
enum Key {
    /// Only HMAC's state after the secret is kept, so a signature needs no key setup.
    Hmac(Hmac<Sha256>),
    Ed25519(Arc<Ed25519KeyPair>),
}

impl SigningKey {
    /// Reads `whsec_` and the base64 of 24 to 64 bytes, or `whsk_` and the base64 of an ed25519 key: its seed, or seed and
    /// public key.
    ///
    /// # Errors
    /// The prefix is missing, the rest is not base64, its length is out of bounds, or it is no key.
    pub fn parse(secret: &str) -> Result<Self, SigningError> {
        if let Some(encoded) = secret.strip_prefix(PRIVATE_PREFIX) {
            let bytes = STANDARD.decode(encoded).map_err(|_| SigningError::Base64)?;
            let (seed, public) = bytes.split_at_checked(SEED_LEN).ok_or(SigningError::PrivateKey)?;
            let pair = match public {
                [] => Ed25519KeyPair::from_seed_unchecked(seed),
                public => Ed25519KeyPair::from_seed_and_public_key(seed, public),
            };
            let pair = pair.map_err(|_| SigningError::PrivateKey)?;
            return Ok(Self(Key::Ed25519(Arc::new(pair))));
        }
        let encoded = secret.strip_prefix(SECRET_PREFIX).ok_or(SigningError::Prefix)?;
        // The decoder's own error names the offending byte, which is part of the secret.
        let bytes = STANDARD.decode(encoded).map_err(|_| SigningError::Base64)?;
        let wrong_length = SigningError::Length { bytes: bytes.len() };
        if !SECRET_BYTES.contains(&bytes.len()) {
            return Err(wrong_length);
        }
        Hmac::new_from_slice(&bytes).map(|mac| Self(Key::Hmac(mac))).map_err(|_| wrong_length)
    }

    /// HMAC's state after the secret; none if the key is not a shared one.
    #[must_use]
    pub fn hmac(&self) -> Option<&Hmac<Sha256>> {
        match &self.0 {
            Key::Hmac(mac) => Some(mac),
            Key::Ed25519(_) => None,
        }
    }

    fn signature_len(&self) -> usize {
        match &self.0 {
            Key::Hmac(_) => SIGNATURE_LEN,
            Key::Ed25519(_) => ED25519_LEN,
        }
    }

    /// Appends the signature with its scheme's name.
    fn sign(&self, id: &str, timestamp: &[u8], body: &[u8], header: &mut String) {
        let parts = [id.as_bytes(), b".", timestamp, b".", body];
        match &self.0 {
            Key::Hmac(mac) => {
                let mut mac = mac.clone();
                parts.iter().for_each(|part| mac.update(part));
                header.push_str("v1,");
                STANDARD.encode_string(mac.finalize().into_bytes(), header);
            }
            Key::Ed25519(pair) => {
                header.push_str("v1a,");
                STANDARD.encode_string(pair.sign(&parts.concat()), header);
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

/// The keys that sign a broker's deliveries: one, or several while the secret rotates. The default has none, for a broker
/// whose receiver knows another signature only.
#[derive(Clone, Debug, Default)]
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

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first key, the newest one.
    #[must_use]
    pub fn first(&self) -> Option<&SigningKey> {
        self.0.first()
    }

    /// The value of `webhook-signature`: one signature for each key, separated by spaces. `timestamp` is in seconds
    /// since the Unix epoch; `id` must be free of `.`, which separates the signed parts.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let mut digits = [0; 20];
        let timestamp = decimal(timestamp, &mut digits);
        // The exact length: a header value takes over a full string without copying it.
        let parted: usize = self.0.iter().map(|key| key.signature_len() + 1).sum();
        let mut header = String::with_capacity(parted.saturating_sub(1));
        for key in &self.0 {
            if !header.is_empty() {
                header.push(' ');
            }
            key.sign(id, timestamp, body, &mut header);
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

    /// RFC 8032, section 7.1, test 3: the seed and its public key.
    const SEED: &str = "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7";
    const PUBLIC: &str = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn a_private_key_signs_what_its_public_key_verifies_and_both_forms_of_it_are_one() {
        let seed = format!("whsk_{}", STANDARD.encode(bytes(SEED)));
        let whole = format!("whsk_{}", STANDARD.encode([bytes(SEED), bytes(PUBLIC)].concat()));
        let signed = |secret: &str| Signer::new(vec![key(secret)]).unwrap().sign("id", 7, b"body");
        assert_eq!(signed(&seed), signed(&whole));
        let signature = STANDARD.decode(signed(&seed).strip_prefix("v1a,").unwrap()).unwrap();
        let public = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, bytes(PUBLIC));
        public.verify(b"id.7.body", &signature).unwrap();
        public.verify(b"id.8.body", &signature).unwrap_err();
        let both = Signer::new(vec![key(SECRETS[0]), key(&seed)]).unwrap().sign("id", 7, b"body");
        assert!(both.starts_with("v1,") && both.ends_with(&signed(&seed)), "{both}");
        assert_eq!(both.len(), both.capacity());
    }

    #[test]
    fn what_is_no_private_key_is_refused_without_showing_it() {
        let other = [bytes(SEED), bytes(SEED)].concat();
        for bytes in [&bytes(SEED)[..31], &other, &[bytes(SEED), vec![1]].concat()] {
            let secret = format!("whsk_{}", STANDARD.encode(bytes));
            let error = SigningKey::parse(&secret).unwrap_err();
            assert_eq!(error, SigningError::PrivateKey);
            assert!(!error.to_string().contains(&secret[5..]));
        }
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
