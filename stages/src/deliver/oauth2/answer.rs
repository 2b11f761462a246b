//! Reads what a token endpoint answers (RFC 6749, sections 5.1 and 5.2). What is wrong is told without the token, and with
//! nothing of the answer but its status and its error code.

use std::{error::Error, time::Duration};

use http::HeaderValue;
use reqwest::Response;
use serde::Deserialize;

use super::super::{answer_body, failure::words};
use crate::excerpt::excerpt;

/// The longest answer that is read, in bytes.
const ANSWER_MAX: usize = 64 << 10;

/// How long a token is used whose answer does not say.
const LIFETIME_UNKNOWN: Duration = Duration::from_secs(3600);
/// The shortest time a token is used, so that one that expires at once does not cost each event a request of its own.
const LIFETIME_MIN: Duration = Duration::from_secs(1);
/// The longest time a token is used, whatever the answer says.
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// Why there is no access token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no access token: {0}")]
pub struct NoToken(String);

impl NoToken {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }

    /// What went wrong innermost.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        Self(words(error))
    }
}

/// A token as it was granted.
#[derive(Debug)]
pub(super) struct Granted {
    /// The value of `authorization`.
    pub(super) value: HeaderValue,
    pub(super) lifetime: Duration,
}

#[derive(Deserialize)]
struct Success {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// Reads an answer.
pub(super) async fn granted(mut answer: Response) -> Result<Granted, NoToken> {
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| NoToken::of(&error.without_url()))? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(NoToken(format!("the answer has more than {ANSWER_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    if !status.is_success() {
        let code = answer_body::json::<Refused>(&body).map(|refused| excerpt(&refused.error));
        let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
        return Err(NoToken(format!("the token endpoint answered {}{code}", status.as_u16())));
    }
    read(&body)
}

fn read(body: &[u8]) -> Result<Granted, NoToken> {
    // The reader's own error could repeat a part of the token.
    let success = answer_body::json::<Success>(body)
        .ok_or_else(|| NoToken::new("the token endpoint's answer holds no access_token"))?;
    if success.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(NoToken::new("the token endpoint gave a token that is no bearer token"));
    }
    let value = HeaderValue::try_from(format!("Bearer {}", success.access_token));
    let mut value = value.map_err(|_| NoToken::new("the access token cannot stand in a header"))?;
    value.set_sensitive(true);
    let lifetime = success.expires_in.as_ref().and_then(seconds).unwrap_or(LIFETIME_UNKNOWN);
    Ok(Granted { value, lifetime: lifetime.clamp(LIFETIME_MIN, LIFETIME_MAX) })
}

/// A number of seconds; some servers write it as text.
fn seconds(value: &serde_json::Value) -> Option<Duration> {
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
    Duration::try_from_secs_f64(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_used_as_long_as_the_answer_says_and_never_shown() {
        let table = [
            (r#"{"access_token":"hunter2","token_type":"bearer","expires_in":300}"#, 300),
            (r#"{"access_token":"hunter2","token_type":"Bearer","expires_in":"299"}"#, 299),
            (r#"{"access_token":"hunter2"}"#, 3600),
            (r#"{"access_token":"hunter2","expires_in":1e9}"#, 86_400),
            (r#"{"access_token":"hunter2","expires_in":0}"#, 1),
            ("\u{feff}{\"access_token\":\"hunter2\",\"expires_in\":300}", 300),
        ];
        for (body, expected) in table {
            let granted = read(body.as_bytes()).unwrap();
            assert_eq!(
                (granted.value.to_str().unwrap(), granted.lifetime.as_secs()),
                ("Bearer hunter2", expected)
            );
            assert!(!format!("{granted:?}").contains("hunter2"));
        }
    }

    #[test]
    fn an_answer_that_grants_nothing_usable_says_why_without_the_token() {
        let bodies = [
            "{}",
            "<html>hunter2",
            r#"{"access_token":"hunter2","token_type":"mac"}"#,
            r#"{"access_token":"hunter2\n"}"#,
            r#"{"access_token":["hunter2"]}"#,
        ];
        for body in bodies {
            let error = read(body.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("no access token: ") && !error.contains("hunter2"), "{error}");
        }
    }
}
