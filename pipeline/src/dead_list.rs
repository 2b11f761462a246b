//! Dead letters as a person or a machine reads them: one line each.

use std::io::{self, Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use state::{DeadLetter, FailedAttempt, UnixMillis};

/// The longest text of one letter's line that comes from outside, in characters.
const SHOWN_MAX: usize = 120;

/// `letter` as one JSON object; bytes that are not UTF-8 are under `bodyBase64` instead of `body`.
#[must_use]
pub fn to_json(letter: &DeadLetter) -> Value {
    let (key, body) = match std::str::from_utf8(&letter.body) {
        Ok(text) => ("body", text.to_owned()),
        Err(_) => ("bodyBase64", STANDARD.encode(&letter.body)),
    };
    let attempts: Vec<Value> = letter.history.last.iter().map(attempt).collect();
    json!({
        "position": letter.position.to_string(),
        "source": &*letter.position.source,
        "epoch": letter.position.epoch,
        "offset": letter.position.offset,
        "broker": letter.broker.as_deref(),
        "stage": letter.stage.as_str(),
        "cause": letter.cause,
        "detail": letter.detail,
        "at": time(letter.at),
        "attempts": letter.history.attempts,
        "lastAttempts": attempts,
        "eventId": letter.event_id,
        "loadId": letter.load_id,
        "status": letter.status,
        "bytes": letter.body_len,
        key: body,
    })
}

/// Writes `letter` as one line.
///
/// # Errors
/// `out` cannot be written.
pub fn write_line(out: &mut impl Write, letter: &DeadLetter) -> io::Result<()> {
    let broker = letter.broker.as_deref().unwrap_or("-");
    let event = letter.event_id.as_deref().unwrap_or("-");
    let DeadLetter { position, stage, cause, detail, history, .. } = letter;
    write!(
        out,
        "{position}  {broker}  {}/{cause}  event {}: {}",
        stage.as_str(),
        shown(event),
        shown(detail)
    )?;
    if let Some(last) = history.last.last() {
        write!(out, "; {} attempts, the last: {}", history.attempts, shown(&last.cause))?;
    }
    writeln!(out)
}

fn attempt(attempt: &FailedAttempt) -> Value {
    let FailedAttempt { at, status, cause, may_have_arrived } = attempt;
    json!({ "at": time(*at), "status": status, "cause": cause, "mayHaveArrived": may_have_arrived })
}

fn time(at: UnixMillis) -> Option<String> {
    jiff::Timestamp::from_millisecond(i64::try_from(at).ok()?).ok().map(|at| at.to_string())
}

/// Text that comes from outside, fit for a terminal and for a line.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use state::{History, Position, StageName};

    use super::*;

    fn letter() -> DeadLetter {
        let mut history = History::default();
        let cause = "503 service unavailable".to_owned();
        history.push(FailedAttempt { at: 1_000, status: Some(503), cause, may_have_arrived: true }, true);
        DeadLetter {
            position: Position::new(Arc::from("file:e"), 1, 42),
            broker: Some(Arc::from("acme")),
            stage: StageName::Deliver,
            cause: "attempts-exhausted".to_owned(),
            detail: "the last attempt allowed has failed".to_owned(),
            at: 86_400_000,
            history,
            event_id: Some("e\u{1b}1".to_owned()),
            load_id: Some("L-1".to_owned()),
            status: Some("matched".to_owned()),
            body: vec![b'{', 0xff],
            body_len: 2,
        }
    }

    #[test]
    fn a_line_says_where_who_why_and_cannot_steer_a_terminal() {
        let mut out = Vec::new();
        write_line(&mut out, &letter()).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "file:e@1:42  acme  deliver/attempts-exhausted  event e\u{fffd}1: the last attempt allowed has failed; \
             1 attempts, the last: 503 service unavailable\n"
        );
    }

    #[test]
    fn json_keeps_bytes_that_are_not_text() {
        let json = to_json(&letter());
        assert_eq!(
            (&json["bodyBase64"], &json["at"], &json["body"]),
            (&json!("e/8="), &json!("1970-01-02T00:00:00Z"), &Value::Null)
        );
        assert_eq!(json["lastAttempts"][0]["status"], 503);
    }
}
