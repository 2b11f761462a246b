//! A post in CloudEvents' binary mode: its headers and its data become the event in structured mode, as which it is
//! stored (CloudEvents 1.0, HTTP protocol binding, section 3.1).

use bytes::Bytes;
use http::{HeaderMap, header};
use percent_encoding::percent_decode;
use stages::BinaryEvent;

use super::body::BodyFault;

/// What the names of attributes begin with.
const PREFIX: &str = "ce-";
/// What a content type that says structured mode or a batch begins with.
const STRUCTURED: &str = "application/cloudevents";

/// The records of a post with these headers: in binary mode its data, which must be one record, with its attributes.
pub(super) fn structured(
    headers: &HeaderMap,
    records: Vec<Bytes>,
    record_max: usize,
) -> Result<Vec<Bytes>, BodyFault> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with(STRUCTURED)) {
        return Ok(records);
    }
    let attributes: Vec<(&str, String)> = headers
        .iter()
        .filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix(PREFIX)?;
            Some((name, percent_decode(value.as_bytes()).decode_utf8().ok()?.into_owned()))
        })
        .collect();
    let attributes: Vec<(&str, &str)> = attributes.iter().map(|(name, value)| (*name, &**value)).collect();
    let event = BinaryEvent {
        attributes: &attributes,
        content_type,
        traceparent: headers.get("traceparent").and_then(|value| value.to_str().ok()),
    };
    // In binary mode an empty array is the event's data.
    let data = records.first().map_or(&b"[]"[..], |data| data);
    let Some(whole) = event.structured(data) else { return Ok(records) };
    if records.len() > 1 {
        return Err(BodyFault::SeveralOfOne { records: records.len() });
    }
    if whole.len() > record_max {
        return Err(BodyFault::TooLong { number: 1, len: whole.len(), max: record_max });
    }
    Ok(vec![whole])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &'static str)], records: &[&'static str]) -> Result<Vec<String>, String> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let records = records.iter().map(|record| Bytes::from_static(record.as_bytes())).collect();
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        match structured(&headers.collect(), records, 150) {
            Ok(records) => Ok(records.into_iter().map(text).collect()),
            Err(fault) => Err(fault.to_string()),
        }
    }

    const BINARY: [(&str, &str); 4] = [
        ("ce-specversion", "1.0"),
        ("ce-id", "4%20%C3%BC"),
        ("ce-source", "/a"),
        ("content-type", "application/json"),
    ];

    #[test]
    fn a_post_in_binary_mode_is_one_structured_event() {
        let expected = "{\"specversion\":\"1.0\",\"id\":\"4 ü\",\"source\":\"/a\",\
            \"datacontenttype\":\"application/json\",\"data\":{\"loadId\": 1}}";
        assert_eq!(of(&BINARY, &["{\"loadId\": 1}"]).unwrap(), [expected]);
        assert!(of(&BINARY, &[]).unwrap()[0].ends_with("\"data\":[]}"));
        assert!(of(&[("content-type", "application/cloudevents-batch+json")], &[]).unwrap().is_empty());
    }

    #[test]
    fn other_posts_stay_as_they_are() {
        let structured = [("ce-specversion", "1.0"), ("content-type", "Application/CloudEvents+json; x=1")];
        for headers in [&structured[..], &[("ce-id", "1")], &[]] {
            assert_eq!(of(headers, &["{}", "{}"]).unwrap(), ["{}", "{}"]);
        }
    }

    #[test]
    fn one_event_has_one_record_and_is_no_longer_than_it_may_be() {
        assert!(of(&BINARY, &["{}", "{}"]).unwrap_err().contains("2 records"));
        let long = Box::leak(format!("\"{}\"", "x".repeat(120)).into_boxed_str());
        assert!(of(&BINARY, &[long]).unwrap_err().contains("150 is the limit"));
    }
}
