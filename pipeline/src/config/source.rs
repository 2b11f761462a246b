//! `[source]`: where records come from.

use std::{path::PathBuf, time::Duration};

use super::{
    problem::Refusal,
    section::Section,
    units::{DURATION, size},
};

const MILLI: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Where records come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceConfig {
    /// The source and what it alone needs.
    pub kind: SourceKind,
    /// The longest record that is read whole, in bytes (default 1 MiB, 1 KiB to 16 MiB). A longer one is a dead
    /// letter with its beginning. Every delivery in flight holds its record: this times `limits.in_flight_max`
    /// bounds their memory.
    pub record_max: usize,
}

/// The source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// NDJSON in a file, resumed by byte offset.
    File {
        /// The file.
        path: PathBuf,
        /// Whether to wait for more at the file's end, and for its successor when it is rotated (default no).
        follow: bool,
        /// How often to look for more (default 250 ms, 10 ms to 1 min); only with `follow`.
        poll: Duration,
    },
    /// NDJSON on standard input; cannot be resumed.
    Stdin,
}

impl SourceConfig {
    /// None if the file's path is missing, which has been reported then.
    pub(super) fn read(s: &mut Section<'_, '_>) -> Option<Self> {
        let is_file = s.choice("kind", ("file", true), &[("stdin", false)]);
        s.know("path", None, None);
        let path = s.item("path");
        let path = match &path {
            Some(item) => s.path_of(item),
            None if is_file => {
                s.report_missing("path", "a file source needs the path of its file");
                None
            }
            None => None,
        };
        let follow = s.flag("follow", false);
        let poll = s.ranged("poll", 250 * MILLI, 10 * MILLI..=MINUTE, &DURATION);
        let record_max = s.ranged("record_max", 1 << 20, 1 << 10..=16 << 20, &size());
        let kind = if is_file {
            SourceKind::File { path: path?, follow, poll }
        } else {
            for key in ["path", "follow", "poll"] {
                only_for_files(s, key);
            }
            SourceKind::Stdin
        };
        Some(Self { kind, record_max })
    }
}

fn only_for_files(s: &mut Section<'_, '_>, key: &'static str) {
    if let Some(item) = s.item(key) {
        s.report(
            &item,
            Refusal::new("has no meaning for kind \"stdin\"", "leave it out, or set kind = \"file\""),
        );
    }
}
