//! Lines of access logs in the combined form of Apache and nginx, and what a request line says.
//!
//! `host ident user [time] "request" status bytes "referer" "agent"`, and perhaps more fields at the end, such as nginx's
//! `"$http_webhook_id"`; with `vhost_combined` the virtual host comes first. In quoted fields Apache and nginx write what
//! would end them as `\"` or `\x22` (Apache, mod_log_config, "Custom Log Formats"; nginx, `log_format`, `escape=default`).

use jiff::fmt::strtime;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use state::UnixMillis;

use crate::times::rfc3339;

/// How the time of an access log is written.
const TIME: &str = "%d/%b/%Y:%H:%M:%S %z";

/// A line as an object of its fields, or why it is none.
pub(crate) fn row(line: &str) -> Result<Value, String> {
    let fields = fields(line).ok_or("a quote or a bracket is not closed")?;
    let bracket = fields.iter().position(|field| field.kind == Kind::Bracket);
    let at =
        bracket.filter(|at| *at > 0).ok_or("it has no time in brackets: it is not in the combined form")?;
    let [time, request, answer, rest @ ..] = &fields[at..] else {
        return Err("it ends before the status: it is not in the combined form".to_owned());
    };
    let at = time_local(&time.text).ok_or_else(|| format!("its time {:?} cannot be read", time.text))?;
    let mut row = Map::new();
    row.insert("host".to_owned(), json!(fields[0].text));
    row.insert("time".to_owned(), json!(rfc3339(at)));
    row.insert("answer".to_owned(), json!(answer.text));
    for (name, field) in ["bytes", "referer", "agent"].into_iter().zip(rest) {
        row.insert(name.to_owned(), json!(field.text));
    }
    let extra: Vec<&str> = rest.iter().skip(3).map(|field| &*field.text).collect();
    row.insert("extra".to_owned(), json!(extra));
    add_request(&mut row, &request.text);
    Ok(Value::Object(row))
}

/// Whether a line may be in the combined form.
pub(crate) fn is_like(line: &str) -> bool {
    row(line).is_ok()
}

/// A time such as `10/Oct/2000:13:55:36 -0700`.
pub(crate) fn time_local(text: &str) -> Option<UnixMillis> {
    let time = strtime::parse(TIME, text).ok()?.to_timestamp().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

/// Adds what a request line such as `POST /hooks/bolt?event=e-1 HTTP/1.1`, or a target alone, says: `method`, `path`, its
/// `segments`, and the `query`, both decoded.
pub(crate) fn add_request(row: &mut Map<String, Value>, request: &str) {
    let mut words = request.split(' ');
    let (method, target) = match (words.next(), words.next()) {
        (Some(method), Some(target)) => (Some(method), target),
        (Some(target), None) if target.starts_with('/') => (None, target),
        _ => return,
    };
    let target =
        target.split_once("://").map_or(target, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let segments: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
    let query: Map<String, Value> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(&name.replace('+', " ")), json!(decoded(&value.replace('+', " ")))))
        .collect();
    if let Some(method) = method {
        row.insert("method".to_owned(), json!(method));
    }
    row.insert("path".to_owned(), json!(path));
    row.insert("segments".to_owned(), json!(segments));
    row.insert("query".to_owned(), Value::Object(query));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Bracket,
    Quoted,
}

struct Field {
    kind: Kind,
    text: String,
}

/// The fields of a line; none if one is not closed.
fn fields(line: &str) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let (kind, text, after) = match first {
            '[' => {
                let (text, after) = rest[1..].split_once(']')?;
                (Kind::Bracket, text.to_owned(), after)
            }
            '"' => {
                let end = closing_quote(&rest[1..])?;
                (Kind::Quoted, unescaped(&rest[1..=end]), &rest[end + 2..])
            }
            _ => {
                let (text, after) = rest.split_once(' ').unwrap_or((rest, ""));
                (Kind::Plain, text.to_owned(), after)
            }
        };
        fields.push(Field { kind, text });
        rest = after.trim_start();
    }
    Some(fields)
}

/// Where the quote is that closes a text.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// A text without its escapes; what is no escape stays as it is.
fn unescaped(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, after @ ..] = rest {
        rest = after;
        match (*first, after) {
            (b'\\', [b'x', high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
                bytes.push(digit(*high) << 4 | digit(*low));
                rest = &after[3..];
            }
            (b'\\', [quoted @ (b'"' | b'\\'), ..]) => {
                bytes.push(*quoted);
                rest = &after[1..];
            }
            (byte, _) => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_apache_or_nginx_becomes_its_fields() {
        let line = r#"10.0.0.7 - frank [05/Jan/2026:01:02:03 -0600] "POST /hooks/bolt/evt%201?load=CHI-7&s=in+transit HTTP/1.1" 200 12 "-" "agent \"x\" \x41\\" "evt_9" 0.004"#;
        let row = row(line).unwrap();
        assert_eq!(
            row,
            json!({
                "host": "10.0.0.7", "time": "2026-01-05T07:02:03Z", "answer": "200", "bytes": "12",
                "referer": "-", "agent": "agent \"x\" A\\", "extra": ["evt_9", "0.004"],
                "method": "POST", "path": "/hooks/bolt/evt%201", "segments": ["hooks", "bolt", "evt 1"],
                "query": {"load": "CHI-7", "s": "in transit"},
            })
        );
    }

    #[test]
    fn the_common_form_and_a_virtual_host_before_are_read_too() {
        let common = row(r#"::1 - - [05/Jan/2026:01:02:03 +0000] "POST / HTTP/1.1" 204 -"#).unwrap();
        assert_eq!((&common["answer"], &common["extra"]), (&json!("204"), &json!([])));
        let host =
            row(r#"tms.example:443 10.0.0.7 - - [05/Jan/2026:01:02:03 +0000] "-" 408 0 "-" "-""#).unwrap();
        assert_eq!((&host["host"], &host["answer"]), (&json!("tms.example:443"), &json!("408")));
    }

    #[test]
    fn what_is_not_in_this_form_is_told_why() {
        for (line, why) in [
            ("eventId,loadId,status", "no time"),
            (r#"1 - - [05/Jan/2026:01:02:03 +0000] "POST / HTTP/1.1 200"#, "not closed"),
            (r#"1 - - [05/Jan/2026:01:02:03 +0000] "POST / HTTP/1.1""#, "before the status"),
            (r#"1 - - [yesterday] "POST / HTTP/1.1" 200 1"#, "yesterday"),
        ] {
            let told = row(line).unwrap_err();
            assert!(told.contains(why), "{line}: {told}");
        }
    }
}
