//! The bearer token of producers and of operators, compared in constant time.

use std::fmt;

use http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A bearer token (RFC 6750, section 2.1). Only its digest is kept and compared, so that the time reveals neither its
/// length nor its content.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// The token `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Whether `headers` have it, exactly once.
    #[must_use]
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let mut shown = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(shown), None) = (shown.next(), shown.next()) else { return false };
        let Some((scheme, token)) = shown.to_str().ok().and_then(|shown| shown.split_once(' ')) else {
            return false;
        };
        let digest: [u8; 32] = Sha256::digest(token.trim()).into();
        scheme.eq_ignore_ascii_case("bearer") && bool::from(digest.ct_eq(&self.0))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        Token::new("0123456789abcdef").admits(&headers)
    }

    #[test]
    fn only_the_whole_token_is_admitted_and_only_once() {
        assert!(admits(&["Bearer 0123456789abcdef"]) && admits(&["bearer  0123456789abcdef "]));
        for wrong in [
            &[][..],
            &["0123456789abcdef"],
            &["Basic 0123456789abcdef"],
            &["Bearer"],
            &["Bearer "],
            &["Bearer 0123456789abcde"],
            &["Bearer 0123456789abcdef0"],
            &["Bearer 0123456789ABCDEF"],
            &["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"],
        ] {
            assert!(!admits(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn it_shows_nothing_of_itself() {
        assert_eq!(format!("{:?}", Token::new("0123456789abcdef")), "Token");
    }
}
