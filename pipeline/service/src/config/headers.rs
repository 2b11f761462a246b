//! A broker's own headers: literal values, or references for secret ones.

use http::{HeaderMap, HeaderName, HeaderValue};
use stages::{EXTRA_HEADERS_MAX, is_reserved_header};

use super::{
    fetch_secret::secret,
    problem::Refusal,
    section::{Item, Section},
};

/// The longest literal value, in bytes.
const VALUE_MAX: usize = 1024;

/// Headers whose value grants something: it may not stand in the config.
const SECRET: [&str; 5] = ["authorization", "cookie", "x-api-key", "api-key", "x-auth-token"];

pub(super) fn read(s: &mut Section<'_, '_>) -> HeaderMap {
    s.know("headers", None, None);
    let mut headers = HeaderMap::new();
    let Some(item) = s.item("headers") else { return headers };
    let entries = s.entries(&item).unwrap_or_default();
    if entries.len() > EXTRA_HEADERS_MAX {
        let refusal = Refusal::new(
            format!("has {} headers", entries.len()),
            format!("send at most {EXTRA_HEADERS_MAX}"),
        );
        s.report_hidden(&item, refusal);
    }
    for (name, item) in &entries {
        let Some(name) = header_name(s, name, item) else { continue };
        let Some(value) = header_value(s, &name, item) else { continue };
        if headers.insert(name, value).is_some() {
            let refusal = Refusal::new("is there twice: case makes no difference", "keep one of the two");
            s.report_hidden(item, refusal);
        }
    }
    headers
}

fn header_name(s: &mut Section<'_, '_>, name: &str, item: &Item<'_>) -> Option<HeaderName> {
    let refusal = match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) if is_reserved_header(&name) => {
            Refusal::new("is a header Loadline sets itself", "leave it out")
        }
        Ok(name) => return Some(name),
        Err(_) => Refusal::new("is not the name of a header", "use letters, digits and -"),
    };
    s.report_hidden(item, refusal);
    None
}

fn header_value(s: &mut Section<'_, '_>, name: &HeaderName, item: &Item<'_>) -> Option<HeaderValue> {
    let text = item.value.as_str().filter(|text| text.len() <= VALUE_MAX);
    let refers = text.is_some_and(|text| text.starts_with("env:") || text.starts_with("file:"));
    if text.is_some_and(|text| !refers && text.contains("{{")) {
        let remedy = "headers have no places; for a signature use signatures = [{ header = …, value = … }]";
        s.report_hidden(item, Refusal::new("has `{{`, which would be sent as it stands", remedy));
        return None;
    }
    let value = if refers || SECRET.contains(&name.as_str()) {
        let secret = secret(s, item)?;
        HeaderValue::from_str(secret.expose()).map(|mut value| {
            value.set_sensitive(true);
            value
        })
    } else {
        HeaderValue::from_str(text.unwrap_or("\0"))
    };
    value
        .map_err(|_| {
            let problem = format!("is not a header value of at most {VALUE_MAX} bytes");
            s.report_hidden(item, Refusal::new(problem, "give one line of printable text, in quotes"));
        })
        .ok()
}
