//! What was sent and what came of it, as text and as JSON. What comes from outside is made harmless for a terminal.

use std::{
    io::{self, Write},
    time::Duration,
};

use serde_json::{Value, json};
use stages::{
    Trial,
    models::{Failure, FailureKind},
};
use state::is_unprintable;

use super::{Prepared, SHOWN_MAX, certificate, prepared::Connection};
use crate::text_table::shown;

/// Prints a request.
///
/// # Errors
/// `out` cannot be written.
pub fn show_request(request: &Prepared, out: &mut impl Write) -> io::Result<()> {
    let Prepared { method, url, headers, body, connection } = request;
    for line in ways(connection) {
        writeln!(out, "{}", shown(&line))?;
    }
    writeln!(out, "{method} {url}")?;
    for (name, value) in headers {
        writeln!(out, "{name}: {}", value.as_deref().unwrap_or("(hidden)"))?;
    }
    let harmless = body.replace(|c: char| is_unprintable(c) && !matches!(c, '\n' | '\t'), "\u{fffd}");
    writeln!(out, "\n{harmless}\n")
}

/// What is not as usual about the connection, line by line.
fn ways(connection: &Connection) -> Vec<String> {
    let Connection { proxy, proxy_credentials, ca_file, own_files } = connection;
    let credentials = if *proxy_credentials { ", with credentials" } else { "" };
    let mut lines = Vec::new();
    lines.extend(proxy.iter().map(|url| format!("through the proxy {url}{credentials}")));
    lines.extend(ca_file.iter().map(|path| format!("trusting the authorities in {}, too", path.display())));
    lines
        .extend(own_files.iter().map(|(chain, _)| format!("showing the certificate in {}", chain.display())));
    lines
}

/// What an answer was, line by line, and as JSON.
#[must_use]
pub fn answered(trial: &Trial) -> (Vec<String>, Value) {
    let Trial {
        token_after,
        head_after,
        whole_after,
        version,
        remote,
        tls,
        status,
        headers,
        body,
        is_cut,
        failure,
    } = trial;
    let remote = remote.map_or_else(|| "an unknown address".to_owned(), |remote| remote.to_string());
    let seen = tls.as_ref().map(|tls| {
        let certificate = tls.certificate.as_deref().map(certificate::words);
        let version = tls.version.as_deref().unwrap_or("TLS");
        format!("{version}, {}", certificate.unwrap_or_default())
    });
    let is_cut = *is_cut || body.len() > SHOWN_MAX;
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN_MAX)]);
    let mut lines = vec![format!("{status} ({version:?}, from {remote})")];
    lines.push(seen.clone().unwrap_or_else(|| "without TLS".to_owned()));
    let value = |value: &http::HeaderValue| shown(&String::from_utf8_lossy(value.as_bytes()));
    lines.extend(headers.iter().map(|(name, found)| format!("{name}: {}", value(found))));
    if !text.is_empty() {
        lines.push(String::new());
        lines.extend(text.lines().map(shown));
        lines.extend(is_cut.then(|| "… (the answer goes on)".to_owned()));
    }
    lines.push(String::new());
    let token = token_after.map(|took| format!("access token after {}, ", ms(took))).unwrap_or_default();
    lines.push(format!(
        "{token}head of the answer after {}, all of it after {}",
        ms(*head_after),
        ms(*whole_after)
    ));
    let meaning = failure.as_ref().map_or("it would count as delivered", meaning);
    lines.push(format!("in a run {meaning}"));
    let headers: serde_json::Map<_, _> =
        headers.iter().map(|(name, found)| (name.to_string(), value(found).into())).collect();
    let told = json!({
        "status": status.as_u16(), "version": format!("{version:?}"), "from": remote, "tls": seen, "headers": headers,
        "body": text, "bodyGoesOn": is_cut, "inARun": meaning,
        "millis": { "token": token_after.map(millis), "head": millis(*head_after), "whole": millis(*whole_after) },
    });
    (lines, told)
}

/// The same where there was no answer.
#[must_use]
pub fn unanswered(failure: &Failure) -> (Vec<String>, Value) {
    let meaning = meaning(failure);
    let lines = vec![format!("no answer: {}", failure.cause), format!("in a run {meaning}")];
    (lines, json!({ "fault": failure.cause, "inARun": meaning }))
}

/// What becomes of the event in a run.
fn meaning(failure: &Failure) -> &'static str {
    match failure.kind {
        FailureKind::Transient | FailureKind::Unprocessed => "it would be tried again later",
        FailureKind::Throttled => "it would be tried again after the pause that was asked for",
        FailureKind::EndpointRefused => "the broker's events would wait, and be tried again",
        FailureKind::Conflict => "it would be a dead letter, unless an earlier attempt may have arrived",
        FailureKind::RefusedTogether => "it would be tried again at once, alone",
        FailureKind::Refused => "it would be a dead letter",
        FailureKind::Gone => "the broker would be disabled",
        FailureKind::AddressRefused => "it would be a dead letter: the address is not allowed",
        FailureKind::Unsendable => "it would be a dead letter: no request can be made of it",
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn ms(duration: Duration) -> String {
    format!("{} ms", millis(duration))
}
