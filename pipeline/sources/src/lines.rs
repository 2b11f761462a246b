//! Splits bytes into lines with their offsets. The lines are the same however the input is cut into pieces, and of a
//! line in progress no more than the limit is held.
//!
//! A line ends with LF; a CR before it belongs to the ending. Empty lines are skipped, and their bytes count.
//! Everything else is content, including NUL, byte order marks and broken UTF-8.

use bytes::Bytes;
use memchr::memchr;

/// A line that is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The offset of its first byte.
    pub start: u64,
    /// The offset of the first byte after its ending.
    pub end: u64,
    /// Its content without the ending, cut at the limit. The bytes are the line's own, so that a queued record does
    /// not hold the block it was read in.
    pub bytes: Bytes,
    /// The length of the content in the input, in bytes.
    pub full_len: u64,
}

/// Splits a sequence of byte pieces into lines.
#[derive(Debug)]
pub struct Lines {
    /// The most bytes of one line that are kept.
    record_bytes_max: usize,
    /// The offset of the line in progress.
    start: u64,
    /// How many of its bytes were seen.
    seen: u64,
    /// The last byte of it, if any.
    last: Option<u8>,
    /// Its first `min(seen, record_bytes_max)` bytes.
    held: Vec<u8>,
}

impl Lines {
    /// A splitter for input that begins at `offset`, keeping at most `record_bytes_max` (at least 1) bytes of a line.
    #[must_use]
    pub fn new(record_bytes_max: usize, offset: u64) -> Self {
        Self {
            record_bytes_max: record_bytes_max.max(1),
            start: offset,
            seen: 0,
            last: None,
            held: Vec::new(),
        }
    }

    /// Takes the next line from `piece` and advances it; `None` once all of `piece` is taken.
    pub fn next_in(&mut self, piece: &mut &[u8]) -> Option<Line> {
        while let Some(at) = memchr(b'\n', piece) {
            let tail = &piece[..at];
            *piece = &piece[at + 1..];
            if let Some(line) = self.close(tail) {
                return Some(line);
            }
        }
        self.hold(piece);
        *piece = &[];
        None
    }

    /// The line in progress, at the end of the input. A CR at its end is content, unless it is all of it.
    pub fn finish(&mut self) -> Option<Line> {
        let only_cr = self.seen == 1 && self.last == Some(b'\r');
        let full_len = if only_cr { 0 } else { self.seen };
        self.give(full_len, 0)
    }

    /// Drops the line in progress and continues at `offset` of another input.
    pub fn restart(&mut self, offset: u64) {
        self.clear(offset);
    }

    /// The memory held for the line in progress, in bytes: never more than the limit given to [`Lines::new`].
    #[must_use]
    pub fn held_capacity(&self) -> usize {
        self.held.capacity()
    }

    /// Ends the line in progress with `tail`, whose LF has been taken.
    fn close(&mut self, tail: &[u8]) -> Option<Line> {
        if self.seen > 0 {
            self.hold(tail);
            let cr = u64::from(self.last == Some(b'\r'));
            return self.give(self.seen - cr, 1);
        }
        // The common case, a line within one piece, is copied once and never held.
        let content = tail.strip_suffix(b"\r").unwrap_or(tail);
        let start = self.start;
        self.start += tail.len() as u64 + 1;
        let kept = &content[..content.len().min(self.record_bytes_max)];
        (!content.is_empty()).then(|| Line {
            start,
            end: self.start,
            bytes: Bytes::copy_from_slice(kept),
            full_len: content.len() as u64,
        })
    }

    /// The held line, if its content is not empty; `ending` is the length of its LF.
    fn give(&mut self, full_len: u64, ending: u64) -> Option<Line> {
        let (start, end) = (self.start, self.start + self.seen + ending);
        let line = (full_len > 0).then(|| {
            let kept = usize::try_from(full_len).map_or(self.held.len(), |len| len.min(self.held.len()));
            Line { start, end, bytes: Bytes::copy_from_slice(&self.held[..kept]), full_len }
        });
        self.clear(end);
        line
    }

    fn clear(&mut self, start: u64) {
        (self.start, self.seen, self.last) = (start, 0, None);
        self.held.clear();
    }

    /// Adds to the line in progress; bytes over the limit are counted and dropped.
    fn hold(&mut self, piece: &[u8]) {
        let room = self.record_bytes_max - self.held.len();
        let kept = &piece[..piece.len().min(room)];
        let need = self.held.len() + kept.len();
        if need > self.held.capacity() {
            // Doubling as `Vec` does, but never over the limit.
            let target = need.max(self.held.capacity() * 2).min(self.record_bytes_max);
            self.held.reserve_exact(target - self.held.len());
        }
        self.held.extend_from_slice(kept);
        self.seen += piece.len() as u64;
        self.last = piece.last().copied().or(self.last);
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn split<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, record_bytes_max: usize) -> Vec<Line> {
        let mut splitter = Lines::new(record_bytes_max, 0);
        let mut lines = Vec::new();
        for mut piece in pieces {
            while let Some(line) = splitter.next_in(&mut piece) {
                lines.push(line);
            }
            assert!(piece.is_empty());
            assert!(splitter.held_capacity() <= record_bytes_max);
        }
        lines.extend(splitter.finish());
        lines
    }

    fn texts(input: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
        split([input], 100).into_iter().map(|line| (line.start, line.end, line.bytes.to_vec())).collect()
    }

    #[test]
    fn crlf_is_an_ending_and_a_lone_cr_is_content() {
        assert_eq!(
            texts(b"a\r\nb\rc\nd\r\r\ne\r"),
            [
                (0, 3, b"a".to_vec()),
                (3, 7, b"b\rc".to_vec()),
                (7, 11, b"d\r".to_vec()),
                (11, 13, b"e\r".to_vec())
            ]
        );
    }

    #[test]
    fn empty_lines_are_passed_over_and_counted() {
        assert_eq!(texts(b"\n\r\n\na\n\n\r"), [(4, 6, b"a".to_vec())]);
        assert_eq!(texts(b"\r"), []);
        assert_eq!(texts(b""), []);
    }

    #[test]
    fn nul_byte_order_mark_and_broken_utf8_pass_untouched() {
        let input = b"\xef\xbb\xbf{}\n\0\0\n\xff\xfe\n";
        let lines: Vec<_> = texts(input).into_iter().map(|(_, _, text)| text).collect();
        assert_eq!(lines, [b"\xef\xbb\xbf{}".to_vec(), b"\0\0".to_vec(), b"\xff\xfe".to_vec()]);
    }

    #[test]
    fn a_line_over_the_limit_is_cut_and_its_length_kept() {
        for ending in ["\n", "\r\n"] {
            let input = format!("{}{ending}next\n", "x".repeat(5_000));
            for piece in [1, 7, 64, 10_000] {
                let lines = split(input.as_bytes().chunks(piece), 64);
                assert_eq!((lines[0].bytes.len(), lines[0].full_len), (64, 5_000));
                assert_eq!((&lines[1].bytes[..], lines[1].start), (&b"next"[..], lines[0].end));
            }
        }
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole_whatever_its_ending() {
        for ending in ["\n", "\r\n", ""] {
            let input = format!("abcd{ending}");
            for piece in 1..=input.len() {
                let lines = split(input.as_bytes().chunks(piece), 4);
                assert_eq!((&lines[0].bytes[..], lines[0].full_len), (&b"abcd"[..], 4), "{ending:?} {piece}");
            }
        }
    }

    proptest! {
        #[test]
        fn however_the_input_is_cut_the_lines_are_the_same_and_give_it_back(
            input in vec(select(b"ab\r\n\0\xff".to_vec()), 0..200),
            cuts in vec(0usize..200, 0..20),
            limit in 1usize..12,
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
            cuts.extend([0, input.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &input[pair[0]..pair[1]]);
            let whole = split([&input[..]], limit);
            prop_assert_eq!(&split(pieces, limit), &whole);

            let mut at = 0;
            for line in &whole {
                let (start, end) = (line.start as usize, line.end as usize);
                prop_assert!(input[at..start].iter().all(|byte| b"\r\n".contains(byte)), "only empty lines are left out");
                let content = &input[start..start + line.full_len as usize];
                prop_assert!(!content.contains(&b'\n'));
                prop_assert_eq!(&line.bytes[..], &content[..content.len().min(limit)]);
                let ending = &input[start + content.len()..end];
                prop_assert!(matches!(ending, b"\n" | b"\r\n") || (ending.is_empty() && end == input.len()));
                at = end;
            }
            prop_assert!(input[at..].iter().all(|byte| b"\r\n".contains(byte)));
        }
    }
}
