//! Reads the plain bytes of a compressed file, in order. Memory is bounded by the decoder's window: at most 128 MiB,
//! for gzip 32 KiB. All calls block.

use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Read},
};

use super::names::Compression;

/// The largest window of a zstd frame, as a power of two: zstd's own bound.
const WINDOW_MAX: u32 = 27;
/// How many bytes are skipped in one step.
const SCRATCH: usize = 64 * 1024;

/// An open compressed file and the position in its plain bytes.
pub(super) struct Compressed {
    plain: Box<dyn Read + Send>,
    at: u64,
    /// An error behind bytes that were still returned.
    fault: Option<io::Error>,
}

impl Compressed {
    /// The content of `file`, from its beginning; none if the compression is not supported.
    pub(super) fn new(file: File, compression: Compression) -> io::Result<Option<Self>> {
        let plain: Box<dyn Read + Send> = match compression {
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file))),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::new(file)?;
                decoder.window_log_max(WINDOW_MAX)?;
                Box::new(decoder)
            }
            Compression::Plain | Compression::Other => return Ok(None),
        };
        Ok(Some(Self { plain, at: 0, fault: None }))
    }

    /// Fills `block`, or less at the end of the content.
    pub(super) fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let mut filled = 0;
        while filled < block.len() {
            match self.plain.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if filled == 0 => return Err(error),
                Err(error) => {
                    self.fault = Some(error);
                    break;
                }
            }
        }
        self.at += filled as u64;
        Ok(filled)
    }

    /// Skips to `offset`; false if the content is shorter or the position is past it.
    pub(super) fn reach(&mut self, offset: u64) -> io::Result<bool> {
        let mut scratch = vec![0; SCRATCH];
        while self.at < offset {
            let most = usize::try_from(offset - self.at).unwrap_or(SCRATCH).min(SCRATCH);
            if self.read(&mut scratch[..most])? == 0 {
                return Ok(false);
            }
        }
        Ok(self.at == offset)
    }
}

impl fmt::Debug for Compressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressed").field("at", &self.at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    fn gzipped(parts: &[&[u8]]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        for part in parts {
            let mut encoder = flate2::write::GzEncoder::new(&mut file, flate2::Compression::fast());
            encoder.write_all(part).unwrap();
            encoder.finish().unwrap();
        }
        file.rewind().unwrap();
        file
    }

    fn all(compressed: &mut Compressed) -> Vec<u8> {
        let (mut content, mut block) = (Vec::new(), [0; 7]);
        loop {
            match compressed.read(&mut block).unwrap() {
                0 => return content,
                read => content.extend_from_slice(&block[..read]),
            }
        }
    }

    #[test]
    fn the_content_is_read_from_any_place_through_all_its_parts() {
        let mut zst = tempfile::tempfile().unwrap();
        zst.write_all(&zstd::encode_all(&b"first second"[..], 3).unwrap()).unwrap();
        zst.rewind().unwrap();
        for (file, compression) in
            [(gzipped(&[b"first ", b"second"]), Compression::Gzip), (zst, Compression::Zstd)]
        {
            let mut compressed = Compressed::new(file, compression).unwrap().unwrap();
            assert!(compressed.reach(4).unwrap());
            assert_eq!(all(&mut compressed), b"t second");
            assert!(!compressed.reach(99).unwrap() && !compressed.reach(0).unwrap());
        }
    }

    #[test]
    fn of_a_file_that_is_cut_the_good_part_is_given_and_then_the_fault() {
        let mut file = gzipped(&[&b"0123456789".repeat(10_000)]);
        let len = file.metadata().unwrap().len();
        file.set_len(len - 20).unwrap();
        file.rewind().unwrap();
        let mut compressed = Compressed::new(file, Compression::Gzip).unwrap().unwrap();
        let (mut read, mut block) = (0, [0; 4096]);
        let fault = loop {
            match compressed.read(&mut block) {
                Ok(more) => read += more,
                Err(fault) => break fault,
            }
        };
        assert!(read > 1_000 && fault.kind() == io::ErrorKind::UnexpectedEof, "{read} {fault}");
    }
}
