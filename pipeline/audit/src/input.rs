//! The logs as lines: from files, also compressed with gzip, or from standard input. A line has a bound; of a longer one
//! only the beginning is kept.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    rc::Rc,
};

use flate2::bufread::MultiGzDecoder;

use crate::fault::AuditFault;

/// The longest line that is read, in bytes: the largest record a log takes by default, and what stands around it.
const LINE_MAX: u64 = 2 << 20;
/// How much of a file is read at once.
const BUFFER: usize = 256 << 10;
/// How a text may begin that is UTF-8 (Unicode 16.0, section 23.8): it is no part of the text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How a file begins that is compressed with gzip (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its path; none for standard input.
    pub path: Option<PathBuf>,
    /// The broker whose log it is, if it was named.
    pub broker: Option<String>,
}

impl Input {
    /// A log by its path, `-` for standard input, or by `BROKER=PATH`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        // A file may have this sign in its name.
        let (broker, path) = match text.split_once('=') {
            Some((broker, path))
                if !broker.is_empty() && !broker.contains('/') && !Path::new(text).exists() =>
            {
                (Some(broker.to_owned()), path)
            }
            _ => (None, text),
        };
        Self { path: (path != "-").then(|| path.into()), broker }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.as_ref().map_or_else(|| "standard input".to_owned(), |path| path.display().to_string())
    }

    /// Whose log it is if nothing else says so: its file's name up to the first dot.
    pub(crate) fn broker_by_name(&self) -> String {
        let name =
            self.path.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_else(|| "stdin".to_owned());
        name.split('.').find(|part| !part.is_empty()).unwrap_or("log").to_owned()
    }

    /// Its size in bytes, as far as it is known.
    pub(crate) fn size(&self) -> u64 {
        self.path.as_ref().and_then(|path| path.metadata().ok()).map_or(0, |metadata| metadata.len())
    }

    /// Its lines; `bytes` counts what is read of the file.
    pub(crate) fn open(&self, bytes: &Rc<Cell<u64>>) -> Result<Lines, AuditFault> {
        let fault = |source| AuditFault::Input { name: self.name(), source };
        let inner: Box<dyn Read> = match &self.path {
            Some(path) => Box::new(File::open(path).map_err(fault)?),
            None => Box::new(io::stdin()),
        };
        let mut plain = BufReader::with_capacity(BUFFER, Counted { inner, bytes: Rc::clone(bytes) });
        let reader: Box<dyn BufRead> = if plain.fill_buf().map_err(fault)?.starts_with(&GZIP) {
            Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(plain)))
        } else {
            Box::new(plain)
        };
        Ok(Lines { reader, number: 0, line: Vec::new() })
    }
}

/// Counts what is read.
struct Counted {
    inner: Box<dyn Read>,
    bytes: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.set(self.bytes.get() + read as u64);
        Ok(read)
    }
}

/// The lines of a log.
pub(crate) struct Lines {
    reader: Box<dyn BufRead>,
    number: u64,
    line: Vec<u8>,
}

/// One line.
pub(crate) struct Line<'l> {
    /// Its number, from 1.
    pub(crate) number: u64,
    /// Without a byte order mark and without its ending.
    pub(crate) bytes: &'l [u8],
    /// Whether it is longer than a line may be.
    pub(crate) is_cut: bool,
}

impl Lines {
    /// The next line that is not blank.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            self.line.clear();
            let read = (&mut *self.reader).take(LINE_MAX).read_until(b'\n', &mut self.line)?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            let is_cut = read as u64 == LINE_MAX && !self.line.ends_with(b"\n");
            if is_cut {
                self.reader.skip_until(b'\n')?;
            }
            // Not only of the first line: logs that were appended to each other have one in between.
            if self.line.starts_with(BYTE_ORDER_MARK) {
                self.line.drain(..BYTE_ORDER_MARK.len());
            }
            if is_cut || !self.line.trim_ascii().is_empty() {
                return Ok(Some(Line { number: self.number, bytes: self.line.trim_ascii_end(), is_cut }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn lines(bytes: &[u8]) -> Vec<(u64, usize, bool)> {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().write_all(bytes).unwrap();
        let input = Input { path: Some(file.path().to_owned()), broker: None };
        let mut lines = input.open(&Rc::default()).unwrap();
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push((line.number, line.bytes.len(), line.is_cut));
        }
        all
    }

    #[test]
    fn lines_are_numbered_blank_ones_left_out_and_long_ones_cut() {
        let long = vec![b'x'; LINE_MAX as usize + 5];
        let all = [b"ab\r\n\n \nc\n".as_slice(), &long, b"\nlast"].concat();
        let wanted = [(1, 2, false), (4, 1, false), (5, LINE_MAX as usize, true), (6, 4, false)];
        assert_eq!(lines(&all), wanted);
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&all).unwrap();
        // As logrotate appends them.
        let two = [packed.finish().unwrap(), {
            let mut more = GzEncoder::new(Vec::new(), Compression::fast());
            more.write_all(b"\nmore\n").unwrap();
            more.finish().unwrap()
        }];
        assert_eq!(lines(&two.concat()), [wanted.as_slice(), &[(7, 4, false)]].concat());
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_line() {
        assert_eq!(lines("\u{feff}ab\n\u{feff}\n\u{feff}c".as_bytes()), [(1, 2, false), (3, 1, false)]);
    }

    #[test]
    fn a_log_is_named_by_its_path_and_perhaps_its_broker() {
        let of = |text| {
            let input = Input::parse(text);
            (input.name(), input.broker.clone(), input.broker_by_name())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("-"), ("standard input".into(), None, "stdin".into()));
        assert_eq!(
            of("logs/bolt.access.log.2.gz"),
            ("logs/bolt.access.log.2.gz".into(), None, "bolt".into())
        );
        assert_eq!(of("bolt=a.log"), ("a.log".into(), some("bolt"), "a".into()));
        assert_eq!(of("logs/a=b"), ("logs/a=b".into(), None, "a=b".into()));
        assert_eq!(of("bolt=-"), ("standard input".into(), some("bolt"), "stdin".into()));
    }
}
