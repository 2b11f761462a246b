//! The lines `loadline receive` prints, one for each request, for a person or for a machine. Text from outside cannot steer
//! a terminal; a reader that went away is noticed, not ignored.

use std::{
    env,
    io::{self, IsTerminal, Write},
    net::SocketAddr,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;
use state::{UnixMillis, is_unprintable};
use tokio::sync::Notify;

use super::{Counts, Recorder, Refusal, Taken, Times};

/// The longest a field may be in a line for a person, in characters.
const FIELD_MAX: usize = 64;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Aligned text.
    #[default]
    Plain,
    /// Aligned text; what is not as usual stands out in colour.
    Colour,
    /// Nothing but where it listens, and the counts at its end.
    Brief,
    /// One JSON object a line, told apart by `kind`: `listening`, `event`, `refused`, `summary`.
    Json,
}

impl Style {
    /// The style that suits the process's standard output: colour on a terminal, unless `NO_COLOR` is set.
    #[must_use]
    pub fn for_stdout(json: bool) -> Self {
        if json {
            Self::Json
        } else if io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) {
            Self::Colour
        } else {
            Self::Plain
        }
    }
}

/// A recorder that prints. A reader slower than the requests slows the receiver: nothing is skipped or queued.
pub(crate) struct Lines<W> {
    style: Style,
    out: Mutex<Out<W>>,
    broken: Notify,
}

struct Out<W> {
    writer: W,
    error: Option<io::Error>,
}

impl<W: Write> Lines<W> {
    pub(crate) fn new(writer: W, style: Style) -> Self {
        Self { style, out: Mutex::new(Out { writer, error: None }), broken: Notify::new() }
    }

    /// Ready once a line could not be written.
    pub(crate) async fn broken(&self) {
        self.broken.notified().await;
    }

    /// The first failure to write, if there was one.
    pub(crate) fn error(&self) -> Option<io::Error> {
        self.out.lock().error.take()
    }

    pub(crate) fn listening(&self, addr: SocketAddr, signatures: bool) {
        self.line(&match (self.style, signatures) {
            (Style::Json, _) => {
                json!({"kind": "listening", "addr": addr, "checksSignatures": signatures}).to_string()
            }
            (_, true) => format!("listening on http://{addr}"),
            (_, false) => format!("listening on http://{addr}, signatures are not checked"),
        });
    }

    pub(crate) fn summary(&self, counts: &Counts) {
        self.line(&match self.style {
            Style::Json => summary_json(counts),
            Style::Plain | Style::Colour | Style::Brief => summary_text(counts),
        });
    }

    fn line(&self, line: &str) {
        let mut out = self.out.lock();
        if out.error.is_some() {
            return;
        }
        if let Err(error) = writeln!(out.writer, "{line}").and_then(|()| out.writer.flush()) {
            out.error = Some(error);
            self.broken.notify_one();
        }
    }

    fn paint(&self, line: &str, colour: &str) -> String {
        if self.style == Style::Colour { format!("\x1b[{colour}m{line}\x1b[0m") } else { line.to_owned() }
    }
}

impl<W: Write + Send> Recorder for Lines<W> {
    fn taken(&self, taken: &Taken<'_>) {
        if self.style == Style::Brief {
            return;
        }
        let (at, peek, times) = (timestamp(taken.at), taken.peek(), taken.times.as_str());
        if self.style == Style::Json {
            let event = json!({
                "kind": "event", "at": at.to_string(), "path": taken.path, "webhookId": taken.webhook_id,
                "eventId": peek.event_id, "loadId": peek.load_id, "status": peek.status, "times": times,
                "bytes": taken.body.len(),
            });
            return self.line(&event.to_string());
        }
        let (load, status) = (field(&peek.load_id), field(&peek.status));
        let mut line = format!("{}  {load:<12}  {status:<14}  {}", clock_time(at), field(&peek.event_id));
        line = match taken.times {
            Times::First => line,
            Times::Repeat => self.paint(&format!("{line}  {times}"), "33"),
            Times::Conflict => self.paint(&format!("{line}  {times}: another body than before"), "31"),
        };
        self.line(&line);
    }

    fn turned_away(&self, at: UnixMillis, path: &str, why: Refusal) {
        if self.style == Style::Brief {
            return;
        }
        let (at, status) = (timestamp(at), why.status().map(|status| status.as_u16()));
        if self.style == Style::Json {
            let refused = json!({
                "kind": "refused", "at": at.to_string(), "path": path, "why": why.as_str(), "status": status,
            });
            return self.line(&refused.to_string());
        }
        let answer = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        let line = format!("{}  {answer}: {}", clock_time(at), why.as_str());
        self.line(&self.paint(&line, "31"));
    }
}

fn summary_text(counts: &Counts) -> String {
    let mut text = format!(
        "received {}, repeats {}, conflicts {}, refused signatures {}",
        counts.received(),
        counts.repeats,
        counts.conflicts,
        counts.refused_signatures
    );
    let others = [
        ("malformed", counts.malformed),
        ("throttled", counts.throttled),
        ("failed", counts.failed),
        ("answered otherwise", counts.answered_otherwise),
        ("unanswered", counts.unanswered),
        ("lost answers", counts.lost_answers),
        ("ids forgotten", counts.forgotten_ids),
    ];
    for (name, count) in others.into_iter().filter(|(_, count)| *count > 0) {
        text.push_str(&format!(", {name} {count}"));
    }
    text
}

fn summary_json(counts: &Counts) -> String {
    json!({
        "kind": "summary", "requests": counts.requests, "received": counts.received(),
        "repeats": counts.repeats, "conflicts": counts.conflicts, "lostAnswers": counts.lost_answers,
        "forgottenIds": counts.forgotten_ids, "refusedSignatures": counts.refused_signatures,
        "malformed": counts.malformed, "throttled": counts.throttled, "failed": counts.failed,
        "answeredOtherwise": counts.answered_otherwise, "unanswered": counts.unanswered,
    })
    .to_string()
}

fn timestamp(at: UnixMillis) -> Timestamp {
    // past the year 9999 the time no longer matters
    i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or(Timestamp::MAX)
}

fn clock_time(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%H:%M:%S%.3fZ")
}

/// A field from outside, fit for a terminal.
fn field(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    let mut shown: String = text.chars().take(FIELD_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.replace(is_unprintable, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use crate::BodyDigest;
    use bytes::Bytes;

    use super::*;

    fn printed(style: Style, body: &str, times: Times) -> String {
        let lines = Lines::new(Vec::new(), style);
        let body = Bytes::copy_from_slice(body.as_bytes());
        let (at, digest) = (1_795_000_000_123, BodyDigest::of(&body));
        let (body, may_repeat) = (&body, false);
        lines.taken(&Taken { at, path: "/hook", webhook_id: "evt_1", body, digest, may_repeat, times });
        lines.turned_away(at, "/hook", Refusal::WrongSignature);
        lines.turned_away(at, "/hook", Refusal::Unanswered);
        String::from_utf8(lines.out.into_inner().writer).unwrap()
    }

    const BODY: &str = r#"{"eventId":"e1","loadId":"CHI-1","status":"delivered"}"#;

    #[test]
    fn a_person_reads_aligned_columns() {
        assert_eq!(
            printed(Style::Plain, BODY, Times::Repeat),
            "11:06:40.123Z  CHI-1         delivered       e1  repeat\n\
             11:06:40.123Z  401: wrong signature\n\
             11:06:40.123Z  no answer: left unanswered\n"
        );
    }

    #[test]
    fn a_machine_reads_one_object_a_line() {
        let text = printed(Style::Json, BODY, Times::First);
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(
            first,
            json!({
                "kind": "event", "at": "2026-11-18T11:06:40.123Z", "path": "/hook", "webhookId": "evt_1",
                "eventId": "e1", "loadId": "CHI-1", "status": "delivered", "times": "first", "bytes": 54,
            })
        );
        assert!(text.lines().all(|line| line.starts_with(r#"{"#) && line.ends_with('}')));
    }

    #[test]
    fn who_wants_it_brief_reads_nothing_of_a_request() {
        assert_eq!(printed(Style::Brief, BODY, Times::First), "");
    }

    #[test]
    fn an_event_cannot_steer_the_terminal() {
        let text = printed(Style::Plain, r#"{"loadId":"\u001b[2Jx\n","status":""}"#, Times::First);
        assert!(text.starts_with("11:06:40.123Z  \u{fffd}[2Jx\u{fffd}"), "{text:?}");
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn the_summary_names_what_happened_and_only_that() {
        let counts = Counts { taken: 7, repeats: 2, conflicts: 1, throttled: 3, ..Counts::default() };
        assert_eq!(
            summary_text(&counts),
            "received 4, repeats 2, conflicts 1, refused signatures 0, throttled 3"
        );
    }

    #[tokio::test]
    async fn a_reader_that_went_away_is_noticed() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::new(Closed, Style::Plain);
        lines.turned_away(0, "/", Refusal::Stale);
        lines.broken().await;
        assert_eq!(lines.error().unwrap().kind(), io::ErrorKind::BrokenPipe);
    }
}
