//! A signature of another scheme than Standard Webhooks: an HMAC-SHA256 in a header that the config names, over the body
//! and perhaps the timestamp and the id, in hex or base64.

use std::fmt::{self, Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue};
use sha2::Sha256;

use super::{
    placeholders::{Piece, PlaceError, pieces},
    reserved::is_reserved_header,
};

/// How many such headers a broker may have.
pub const HEADER_SIGNATURES_MAX: usize = 4;

/// The longest value and the longest text that is signed, in bytes, without what stands for their places.
const TEXT_MAX: usize = 512;

/// A signature in a header.
#[derive(Clone)]
pub struct HeaderSignature {
    name: HeaderName,
    value: Box<[Part]>,
    over: Box<[Part]>,
    key: Hmac<Sha256>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Hex,
    Base64,
    Timestamp,
    Id,
    Body,
}

/// Why a signature cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderSignatureError {
    /// The header is not the config's to set.
    #[error("is a header Loadline sets itself")]
    Reserved,
    /// A text has something in braces that is none of its places.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The value has no place for the signature.
    #[error("has no place for the signature")]
    NoSignature,
    /// The body is not signed.
    #[error("leaves the body out, which is what has to be signed")]
    NoBody,
    /// It is too long, or no header's value.
    #[error("is not one line of printable text of at most {TEXT_MAX} bytes")]
    Unprintable,
}

impl HeaderSignature {
    /// A signature with `key` in header `name`. `value` has the places `{hex}` or `{base64}` for it, and perhaps
    /// `{timestamp}` and `{id}`.
    ///
    /// # Errors
    /// The header is reserved, or the value has no place for the signature, or unknown ones.
    pub fn new(name: HeaderName, value: &str, key: &[u8]) -> Result<Self, HeaderSignatureError> {
        if is_reserved_header(&name) {
            return Err(HeaderSignatureError::Reserved);
        }
        if value.len() > TEXT_MAX || HeaderValue::from_str(value).is_err() {
            return Err(HeaderSignatureError::Unprintable);
        }
        let value = parts(value, |name| match name {
            "hex" => Some(Part::Hex),
            "base64" => Some(Part::Base64),
            other => moment(other),
        })?;
        if !value.iter().any(|part| matches!(part, Part::Hex | Part::Base64)) {
            return Err(HeaderSignatureError::NoSignature);
        }
        // Every length is a key for HMAC.
        let key = Hmac::new_from_slice(key).map_err(|_| HeaderSignatureError::NoSignature)?;
        Ok(Self { name, value, over: [Part::Body].into(), key })
    }

    /// The same with a key whose state is known.
    #[must_use]
    pub fn with_key(mut self, key: Hmac<Sha256>) -> Self {
        self.key = key;
        self
    }

    /// The same over a text with the places `{body}`, `{timestamp}` and `{id}`, instead of the body alone.
    ///
    /// # Errors
    /// The text leaves the body out, or has unknown places.
    pub fn over(mut self, over: &str) -> Result<Self, HeaderSignatureError> {
        if over.len() > TEXT_MAX {
            return Err(HeaderSignatureError::Unprintable);
        }
        self.over = parts(over, |name| if name == "body" { Some(Part::Body) } else { moment(name) })?;
        if self.over.contains(&Part::Body) { Ok(self) } else { Err(HeaderSignatureError::NoBody) }
    }

    /// The header's name.
    #[must_use]
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The header's value for this request. `id` is the `webhook-id`, `timestamp` is in seconds.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let timestamp = timestamp.to_string();
        let mut mac = self.key.clone();
        for part in &self.over {
            mac.update(match part {
                Part::Text(text) => text.as_bytes(),
                Part::Timestamp => timestamp.as_bytes(),
                Part::Id => id.as_bytes(),
                Part::Body => body,
                Part::Hex | Part::Base64 => b"",
            });
        }
        let signature = mac.finalize().into_bytes();
        let mut value = String::with_capacity(128);
        for part in &self.value {
            match part {
                Part::Text(text) => value.push_str(text),
                Part::Timestamp => value.push_str(&timestamp),
                Part::Id => value.push_str(id),
                Part::Hex => signature.iter().for_each(|byte| {
                    // Writing to a string cannot fail.
                    write!(value, "{byte:02x}").unwrap_or_default();
                }),
                Part::Base64 => STANDARD.encode_string(signature, &mut value),
                Part::Body => {}
            }
        }
        value
    }
}

/// What the value and the signed text may both have.
fn moment(name: &str) -> Option<Part> {
    match name {
        "timestamp" => Some(Part::Timestamp),
        "id" => Some(Part::Id),
        _ => None,
    }
}

fn parts(text: &str, named: impl Fn(&str) -> Option<Part>) -> Result<Box<[Part]>, PlaceError> {
    let part = |piece| match piece {
        Piece::Text(text) => Ok(Part::Text(text.into())),
        Piece::Name(name) => named(name).ok_or_else(|| PlaceError::Unknown { name: name.to_owned() }),
    };
    pieces(text)?.into_iter().map(part).collect()
}

impl fmt::Debug for HeaderSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderSignature")
            .field("name", &self.name)
            .field("value", &self.value)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_header(name: &str, value: &str, key: &str) -> Result<HeaderSignature, HeaderSignatureError> {
        HeaderSignature::new(name.parse().unwrap(), value, key.as_bytes())
    }

    #[test]
    fn github_published_this_signature_of_hello_world() {
        // From GitHub's documentation of validating webhook deliveries.
        let signature =
            in_header("x-hub-signature-256", "sha256={hex}", "It's a Secret to Everybody").unwrap();
        assert_eq!(
            signature.sign("id", 1, b"Hello, World!"),
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }

    #[test]
    fn slack_published_this_signature_of_a_slash_command() {
        // From Slack's documentation of verifying requests.
        let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
                    channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&\
                    response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F\
                    96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let signature =
            in_header("x-slack-signature", "v0={hex}", "8f742231b10e8888abcd99yyyzzz85a5").unwrap();
        let signature = signature.over("v0:{timestamp}:{body}").unwrap();
        assert_eq!(
            signature.sign("id", 1_531_420_618, body.as_bytes()),
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
        );
    }

    #[test]
    fn a_value_can_hold_the_time_and_the_id_and_base64() {
        let signature = in_header("x-signature", "t={timestamp},i={id},v1={base64}", "key").unwrap();
        let (signed, whole) =
            (signature.clone().over("{timestamp}.{body}").unwrap(), signature.sign("e", 7, b"7.b"));
        // The same bytes are signed, however they are put together.
        assert_eq!(signed.sign("e", 7, b"b"), whole);
        assert!(whole.starts_with("t=7,i=e,v1=") && whole.ends_with('='), "{whole}");
    }

    #[test]
    fn what_signs_nothing_or_cannot_be_sent_is_refused() {
        let unknown = |name: &str| HeaderSignatureError::Place(PlaceError::Unknown { name: name.to_owned() });
        let refused = |value: &str| in_header("x-a", value, "key").unwrap_err();
        assert_eq!(refused("sha256="), HeaderSignatureError::NoSignature);
        assert_eq!(refused("{sha1}"), unknown("sha1"));
        assert_eq!(refused("{body}{hex}"), unknown("body"));
        assert_eq!(refused("{{hmac}}"), HeaderSignatureError::Place(PlaceError::Doubled));
        assert_eq!(refused("a\n{hex}"), HeaderSignatureError::Unprintable);
        assert_eq!(in_header("webhook-signature", "{hex}", "k").unwrap_err(), HeaderSignatureError::Reserved);
        let over = |text: &str| in_header("x-a", "{hex}", "key").unwrap().over(text).unwrap_err();
        assert_eq!(
            (over("{timestamp}"), over("{hex}{body}")),
            (HeaderSignatureError::NoBody, unknown("hex"))
        );
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", in_header("x-a", "{hex}", "hunter2").unwrap());
        assert!(shown.contains("x-a") && !shown.contains("hunter2"), "{shown}");
    }
}
