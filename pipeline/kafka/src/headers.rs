//! The headers of a record that Loadline uses. Only those are kept, within a bound.

use bytes::Bytes;

/// How many headers of one record are kept.
const COUNT_MAX: usize = 32;
/// How many bytes of one record's headers are kept, names included.
const BYTES_MAX: usize = 8 * 1024;

/// A record's place in a distributed trace (W3C Trace Context).
pub(crate) const TRACE_PARENT: &str = "traceparent";
/// How the value is compressed.
pub(crate) const CONTENT_ENCODING: &str = "content-encoding";
/// What the value is, by the Kafka binding of CloudEvents the event's `datacontenttype`.
pub(crate) const CONTENT_TYPE: &str = "content-type";
/// What the names of a CloudEvent's attributes begin with in binary mode.
pub(crate) const CLOUD_EVENT: &str = "ce_";

/// The headers of one record; empty for most. The first of two with the same name counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Headers(Vec<(Box<str>, Bytes)>);

impl Headers {
    /// Keeps what is used of `all`, and the header `id`.
    pub(crate) fn of<'h>(all: impl IntoIterator<Item = (&'h str, &'h [u8])>, id: Option<&str>) -> Self {
        let mut kept = Self::default();
        let mut bytes = 0;
        for (name, value) in all {
            let name = name.to_ascii_lowercase();
            let is_used = matches!(&*name, TRACE_PARENT | CONTENT_ENCODING | CONTENT_TYPE)
                || name.starts_with(CLOUD_EVENT)
                || id == Some(&*name);
            bytes += if is_used { name.len() + value.len() } else { 0 };
            if bytes > BYTES_MAX || kept.0.len() == COUNT_MAX {
                break;
            }
            if is_used && kept.get(&name).is_none() {
                kept.0.push((name.into(), Bytes::copy_from_slice(value)));
            }
        }
        kept
    }

    /// The value of the header `name`, in small letters.
    pub(crate) fn get(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().find(|(found, _)| **found == *name).map(|(_, value)| value)
    }

    /// The value as text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.get(name)?).ok()
    }

    /// The attributes of a CloudEvent that are text, each without what its name begins with.
    pub(crate) fn cloud_event(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(CLOUD_EVENT)?, str::from_utf8(value).ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_used_is_kept_once_and_within_a_bound() {
        let long = vec![b'x'; BYTES_MAX];
        let headers = Headers::of(
            [
                ("Content-Encoding", &b"gzip"[..]),
                ("content-encoding", b"br"),
                ("x-other", &long),
                ("ce_id", b"e-1"),
                ("ce_time", b"\xff"),
                ("ce_source", &long),
                ("ce_type", b"beyond the bound"),
            ],
            None,
        );
        assert_eq!(headers.text(CONTENT_ENCODING), Some("gzip"));
        assert_eq!((headers.get("x-other"), headers.text("ce_time")), (None, None));
        let attributes: Vec<_> = headers.cloud_event().map(|(name, _)| name).collect();
        assert_eq!(attributes, ["id"], "one that is no text is none");
    }

    #[test]
    fn no_more_than_so_many_are_kept() {
        let names: Vec<_> = (0..100).map(|number| format!("ce_x{number}")).collect();
        let headers = Headers::of(names.iter().map(|name| (&**name, &b"1"[..])), None);
        let named = Headers::of([("X-Event-Id", &b"e-1"[..])], Some("x-event-id"));
        assert_eq!(named.text("x-event-id"), Some("e-1"));
        assert_eq!(headers.cloud_event().count(), COUNT_MAX);
    }
}
