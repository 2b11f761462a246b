//! Prints dead letters for people: one line each, or one in full. Text from outside cannot control the terminal.

use state::timestamp;
use std::io::{self, Write};

use super::{DeadLetterJson, PassedByJson};
use crate::text_table::{is_unprintable, shown_in};

/// The longest text of one letter's line that comes from outside, in characters.
const SHOWN_MAX: usize = 120;
/// The longest body that is shown whole, in characters: about a hundred screens.
const BODY_MAX: usize = 256 << 10;

/// Writes `letter` as one line.
///
/// # Errors
/// `out` cannot be written.
pub fn write_line(out: &mut impl Write, letter: &DeadLetterJson) -> io::Result<()> {
    let event = letter.event_id.as_deref().unwrap_or("-");
    let DeadLetterJson { id, stage, cause, detail, .. } = letter;
    // A letter is asked for by its whole name.
    write!(
        out,
        "{}  {stage}/{}  event {}: {}",
        fit(id),
        fit(cause),
        shown_in(event, SHOWN_MAX),
        shown_in(detail, SHOWN_MAX)
    )?;
    if let Some(last) = letter.last_attempts.last() {
        write!(out, "; {} attempts, the last: {}", letter.attempts, shown_in(&last.cause, SHOWN_MAX))?;
    }
    writeln!(out)
}

/// Writes everything that is known of `letter`.
///
/// # Errors
/// `out` cannot be written.
pub fn write_whole(out: &mut impl Write, letter: &DeadLetterJson) -> io::Result<()> {
    let or_none = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), fit);
    writeln!(out, "letter    {}", fit(&letter.id))?;
    writeln!(out, "broker    {}", or_none(&letter.broker))?;
    writeln!(out, "stage     {}", letter.stage)?;
    writeln!(out, "cause     {}", fit(&letter.cause))?;
    writeln!(out, "detail    {}", fit(&letter.detail))?;
    writeln!(out, "since     {}", timestamp::text(letter.at))?;
    writeln!(out, "event     {}", or_none(&letter.event_id))?;
    writeln!(out, "load      {}", or_none(&letter.load_id))?;
    writeln!(out, "status    {}", or_none(&letter.status))?;
    if let Some(row) = letter.subscription_row {
        writeln!(out, "row       {row} of the subscriptions in the database")?;
    }
    if let Some(PassedByJson { event_id, position, at }) = &letter.passed_by {
        let (event, at) = (fit(event_id), timestamp::text(*at));
        writeln!(out, "passed by {event} of the same load, at {}, delivered {at}", fit(position))?;
    }
    let counted = letter.counted_attempts;
    writeln!(out, "attempts  {} failed, {counted} of them count toward retry.attempts_max", letter.attempts)?;
    if letter.may_have_arrived {
        writeln!(out, "          one of them may have reached the receiver")?;
    }
    for attempt in &letter.last_attempts {
        let maybe = if attempt.may_have_arrived { "; it may have arrived" } else { "" };
        writeln!(out, "  {}  {}{maybe}", timestamp::text(attempt.at), fit(&attempt.cause))?;
        if let Some(answer) = attempt.answer.as_deref().filter(|answer| !answer.is_empty()) {
            writeln!(out, "    answer: {}", fit(answer))?;
        }
    }
    let cut = if letter.cut { ", of which only the beginning was kept" } else { "" };
    let (encoding, body) = match (&letter.body, &letter.body_base64) {
        (Some(text), _) => ("", text.as_str()),
        (None, base64) => (", not UTF-8, here in base64", base64.as_deref().unwrap_or_default()),
    };
    writeln!(out, "body      {} bytes{cut}{encoding}", letter.bytes)?;
    write_body(out, body)
}

fn write_body(out: &mut impl Write, body: &str) -> io::Result<()> {
    let end = body.char_indices().nth(BODY_MAX).map_or(body.len(), |(at, _)| at);
    let (shown, rest) = body.split_at(end);
    // Line ends may stay: the body is the last thing shown.
    for line in shown.split('\n') {
        writeln!(out, "{}", fit(line))?;
    }
    if !rest.is_empty() {
        writeln!(out, "… and {} bytes more; --json shows them all", rest.len())?;
    }
    Ok(())
}

/// Text from outside at its full length, fit for a terminal.
fn fit(text: &str) -> String {
    text.replace(is_unprintable, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead::testing::letter;

    #[test]
    fn a_line_says_where_who_why_and_cannot_steer_a_terminal() {
        let mut json = DeadLetterJson::from(letter(42, Some("acme")));
        json.event_id = Some("e\u{1b}1".to_owned());
        let mut out = Vec::new();
        write_line(&mut out, &json).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "test@0:42/acme  deliver/refused  event e\u{fffd}1: as it was; 1 attempts, the last: 403 forbidden\n"
        );
    }

    #[test]
    fn a_letter_is_shown_with_its_history_and_its_body_and_cannot_steer_a_terminal() {
        let mut json = DeadLetterJson::from(letter(42, Some("acme")));
        json.body = Some("{\u{1b}[2J\n\u{9b}\u{202e}}".to_owned());
        json.detail = "no\r\nline".to_owned();
        json.subscription_row = Some(4_711);
        json.last_attempts[0].answer = Some("{\"error\":\"no \u{1b}load\"}".to_owned());
        let mut out = Vec::new();
        write_whole(&mut out, &json).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains(|c| is_unprintable(c) && c != '\n'), "{text:?}");
        for part in [
            "letter    test@0:42/acme\n",
            "1970-01-01T00:00:01Z  403 forbidden; it may have arrived\n    answer: {\"error\":\"no \u{fffd}load\"}\n",
            "no\u{fffd}\u{fffd}line",
            "status    matched\nrow       4711 of the subscriptions in the database\nattempts",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(text.ends_with("bytes\n{\u{fffd}[2J\n\u{fffd}\u{fffd}}\n"), "{text}");
    }
}
