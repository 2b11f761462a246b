//! The content of a compressed file: a file enters, its plain bytes leave in order, as far as somebody reads. Memory is
//! bounded by the decoder's window, at most 128 MiB and for gzip 32 KiB. All calls block.

use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Read},
};

use super::names::Packing;

/// The largest window of a zstd frame, as a power of two: zstd's own bound.
const WINDOW_MAX: u32 = 27;
/// How much is passed over in one step.
const SCRATCH: usize = 64 * 1024;

/// A compressed file, open, and how far its plain bytes have been read.
pub(super) struct Packed {
    plain: Box<dyn Read + Send>,
    at: u64,
    /// What a read met behind bytes it could still give.
    fault: Option<io::Error>,
}

impl Packed {
    /// The content of `file`, from its beginning; none if `packing` is not known here.
    pub(super) fn new(file: File, packing: Packing) -> io::Result<Option<Self>> {
        let plain: Box<dyn Read + Send> = match packing {
            Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file))),
            Packing::Zstd => {
                let mut decoder = zstd::Decoder::new(file)?;
                decoder.window_log_max(WINDOW_MAX)?;
                Box::new(decoder)
            }
            Packing::Plain | Packing::Other => return Ok(None),
        };
        Ok(Some(Self { plain, at: 0, fault: None }))
    }

    /// Fills `block` as far as the content reaches.
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

    /// Goes on to `offset`; false if the content is shorter, or the offset lies behind.
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

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed").field("at", &self.at).finish_non_exhaustive()
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

    fn all(packed: &mut Packed) -> Vec<u8> {
        let (mut content, mut block) = (Vec::new(), [0; 7]);
        loop {
            match packed.read(&mut block).unwrap() {
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
        for (file, packing) in [(gzipped(&[b"first ", b"second"]), Packing::Gzip), (zst, Packing::Zstd)] {
            let mut packed = Packed::new(file, packing).unwrap().unwrap();
            assert!(packed.reach(4).unwrap());
            assert_eq!(all(&mut packed), b"t second");
            assert!(!packed.reach(99).unwrap() && !packed.reach(0).unwrap());
        }
    }

    #[test]
    fn of_a_file_that_is_cut_the_good_part_is_given_and_then_the_fault() {
        let mut file = gzipped(&[&b"0123456789".repeat(10_000)]);
        let len = file.metadata().unwrap().len();
        file.set_len(len - 20).unwrap();
        file.rewind().unwrap();
        let mut packed = Packed::new(file, Packing::Gzip).unwrap().unwrap();
        let (mut read, mut block) = (0, [0; 4096]);
        let fault = loop {
            match packed.read(&mut block) {
                Ok(more) => read += more,
                Err(fault) => break fault,
            }
        };
        assert!(read > 1_000 && fault.kind() == io::ErrorKind::UnexpectedEof, "{read} {fault}");
    }
}
