//! The file format of an exported source: writes its header and frames, reads them back in the same order, and
//! refuses a damaged file.
//!
//! Layout: [`MAGIC`]; the format's number, four bytes; frames; the SHA-256 of everything before it. A frame is a kind
//! byte, the length of its value in four bytes, and a value as the state directory encodes it. First the header, then
//! deliveries, ledger entries, unresolved deliveries if there are any, and last the numbers of deliveries and
//! entries. Numbers are big-endian.
//!
//! Neither side holds more than one frame in memory. Nothing is compressed: most of the file is event ids and
//! digests, which are mostly random, and a compressor would take longer than the disk.

use std::{
    fs::{File, OpenOptions},
    io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bincode::{Decode, Encode};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use super::TransferFault;
use crate::{
    checkpoint::{Checkpoint, Horizon},
    clock::UnixMillis,
    codec,
    fault::StateFault,
    outcome::LedgerEntry,
    unresolved::KeyDigest,
};

/// The first bytes of a file.
const MAGIC: &[u8; 16] = b"LOADLINE-HANDOVR";
/// The format of a file without unresolved deliveries, which every version reads.
const FORMAT: u32 = 1;
/// The format of a file with some, and the newest that is read.
const WITH_UNRESOLVED: u32 = 2;
/// The longest frame, in bytes: the longest value of a state directory, and some margin.
const FRAME_MAX: u32 = (64 << 20) + (64 << 10);
/// Bytes of a SHA-256.
const DIGEST: usize = 32;
/// The name of values in faults.
const NAME: &str = "hand-over";

const HEADER: u8 = 1;
const DELIVERY: u8 = 2;
const ENTRY: u8 = 3;
const END: u8 = 4;
const UNRESOLVED: u8 = 5;

/// The order of frame kinds.
fn rank(kind: u8) -> u8 {
    if kind == END { u8::MAX } else { kind }
}

/// The source that is moved.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Header {
    pub(super) source: Arc<str>,
    pub(super) generation: u64,
    pub(super) exported_at: UnixMillis,
    pub(super) checkpoint: Checkpoint,
    pub(super) horizon: Option<Horizon>,
}

/// A delivery in the file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct MovedDelivery {
    pub(super) broker: Arc<str>,
    /// As the spill encodes it.
    pub(super) value: Vec<u8>,
    /// The ledger entry that says it waits; none if the ledger has another outcome of its event.
    pub(super) entry: Option<LedgerEntry>,
}

/// An entry of the ledger with its key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct KeptEntry {
    pub(super) key: Vec<u8>,
    pub(super) entry: LedgerEntry,
}

/// The number of deliveries and entries in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Counts {
    pub(super) deliveries: u64,
    pub(super) entries: u64,
}

/// A part of the file.
#[derive(Debug)]
pub(super) enum Frame {
    Delivery(MovedDelivery),
    Entry(KeptEntry),
    /// Digests of the ledger keys of deliveries that may have been sent.
    Unresolved(Vec<KeyDigest>),
}

/// Writes a file.
pub(super) struct Writer {
    out: BufWriter<File>,
    path: PathBuf,
    digest: Sha256,
    counts: Counts,
    bytes: u64,
}

impl Writer {
    /// Begins a file; `path` is its name in faults.
    pub(super) fn begin(
        file: File,
        path: &Path,
        header: &Header,
        unresolved: bool,
    ) -> Result<Self, TransferFault> {
        let format = if unresolved { WITH_UNRESOLVED } else { FORMAT };
        let (out, path) = (BufWriter::with_capacity(256 << 10, file), path.to_owned());
        let mut writer = Self { out, path, digest: Sha256::new(), counts: Counts::default(), bytes: 0 };
        writer.write(MAGIC)?;
        writer.write(&format.to_be_bytes())?;
        writer.frame(HEADER, header)?;
        Ok(writer)
    }

    pub(super) fn delivery(&mut self, delivery: &MovedDelivery) -> Result<(), TransferFault> {
        self.counts.deliveries += 1;
        self.frame(DELIVERY, delivery)
    }

    pub(super) fn entry(&mut self, entry: &KeptEntry) -> Result<(), TransferFault> {
        self.counts.entries += 1;
        self.frame(ENTRY, entry)
    }

    pub(super) fn unresolved(&mut self, digests: &Vec<KeyDigest>) -> Result<(), TransferFault> {
        self.frame(UNRESOLVED, digests)
    }

    /// Ends the file and returns, once it survives a loss of power, its counts and its length in bytes.
    pub(super) fn finish(mut self) -> Result<(Counts, u64), TransferFault> {
        let counts = self.counts;
        self.frame(END, &counts)?;
        let digest: [u8; DIGEST] = self.digest.clone().finalize().into();
        self.write(&digest)?;
        let Self { out, path, bytes, .. } = self;
        let synced = out.into_inner().map_err(std::io::IntoInnerError::into_error);
        synced.and_then(|file| file.sync_all()).map_err(|error| TransferFault::file(&path, &error))?;
        Ok((counts, bytes))
    }

    fn frame<T: Encode>(&mut self, kind: u8, value: &T) -> Result<(), TransferFault> {
        let value = codec::encode(NAME, value)?;
        let length = u32::try_from(value.len()).ok().filter(|length| *length <= FRAME_MAX);
        let length = length.ok_or_else(|| StateFault::Undecodable {
            tree: NAME,
            detail: format!("{} bytes are too long for a frame", value.len()),
        })?;
        self.write(&[kind])?;
        self.write(&length.to_be_bytes())?;
        self.write(&value)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), TransferFault> {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes).map_err(|error| TransferFault::file(&self.path, &error))
    }
}

/// Reads a file.
pub(super) struct Reader {
    input: BufReader<File>,
    path: PathBuf,
    digest: Sha256,
    /// The kind of the last frame.
    last: u8,
    counts: Counts,
    bytes: u64,
    checksum: Option<[u8; DIGEST]>,
}

impl Reader {
    /// Opens a file and reads its header.
    pub(super) fn open(path: &Path) -> Result<(Self, Header), TransferFault> {
        // Only a regular file can be read twice, and opening a pipe could block for ever.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file = opened.map_err(|error| TransferFault::file(path, &error))?;
        let found = file.metadata().map_err(|error| TransferFault::file(path, &error))?;
        if found.is_file() {
            Self::begin(file, path)
        } else {
            Err(TransferFault::NoFile { path: path.to_owned() })
        }
    }

    /// Reads the same open file from its beginning, whatever its name refers to now.
    pub(super) fn again(self) -> Result<(Self, Header), TransferFault> {
        let Self { input, path, .. } = self;
        let mut file = input.into_inner();
        file.seek(SeekFrom::Start(0)).map_err(|error| TransferFault::file(&path, &error))?;
        Self::begin(file, &path)
    }

    fn begin(file: File, path: &Path) -> Result<(Self, Header), TransferFault> {
        let (input, path) = (BufReader::with_capacity(256 << 10, file), path.to_owned());
        let (digest, counts) = (Sha256::new(), Counts::default());
        let mut reader = Self { input, path, digest, last: 0, counts, bytes: 0, checksum: None };
        let foreign = |reader: &Self| TransferFault::Foreign { path: reader.path.clone() };
        let mut magic = [0; MAGIC.len()];
        if !reader.fill(&mut magic)? || magic != *MAGIC {
            return Err(foreign(&reader));
        }
        let format = u32::from_be_bytes(reader.exactly()?);
        match format {
            FORMAT | WITH_UNRESOLVED => {}
            0 => return Err(foreign(&reader)),
            found => return Err(TransferFault::TooNew { path: reader.path, found, known: WITH_UNRESOLVED }),
        }
        let header = match reader.frame()? {
            (HEADER, value) => reader.decode(&value)?,
            (kind, _) => return Err(reader.damaged(format!("it begins with a frame of kind {kind}"))),
        };
        Ok((reader, header))
    }

    /// The next frame; none at the end, after the checksum was verified and nothing follows it.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, TransferFault> {
        let (kind, value) = self.frame()?;
        match kind {
            DELIVERY => {
                self.counts.deliveries += 1;
                Ok(Some(Frame::Delivery(self.decode(&value)?)))
            }
            ENTRY => {
                self.counts.entries += 1;
                Ok(Some(Frame::Entry(self.decode(&value)?)))
            }
            UNRESOLVED => Ok(Some(Frame::Unresolved(self.decode(&value)?))),
            END => {
                let counts: Counts = self.decode(&value)?;
                if counts != self.counts {
                    return Err(self.damaged(format!("{counts:?} were written, {:?} are there", self.counts)));
                }
                self.end().map(|()| None)
            }
            kind => Err(self.damaged(format!("a frame of kind {kind} at byte {}", self.bytes))),
        }
    }

    /// The checksum; none until the end was reached.
    pub(super) fn checksum(&self) -> Option<[u8; DIGEST]> {
        self.checksum
    }

    /// What was read so far.
    pub(super) fn counts(&self) -> (Counts, u64) {
        (self.counts, self.bytes)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn end(&mut self) -> Result<(), TransferFault> {
        let expected: [u8; DIGEST] = self.digest.clone().finalize().into();
        if self.exactly()? != expected {
            return Err(self.damaged("its checksum differs".to_owned()));
        }
        let mut behind = [0];
        match self.input.read(&mut behind).map_err(|error| TransferFault::file(&self.path, &error))? {
            0 => {
                self.checksum = Some(expected);
                Ok(())
            }
            _ => Err(self.damaged(format!("something follows behind its end at byte {}", self.bytes))),
        }
    }

    fn frame(&mut self) -> Result<(u8, Vec<u8>), TransferFault> {
        let [kind] = self.exactly()?;
        let length = u32::from_be_bytes(self.exactly()?);
        if rank(kind) < rank(self.last)
            || (kind == self.last && [HEADER, END].contains(&kind))
            || length > FRAME_MAX
        {
            return Err(
                self.damaged(format!("a frame of kind {kind} and {length} bytes before byte {}", self.bytes))
            );
        }
        self.last = kind;
        let mut value = Vec::new();
        // Grows as bytes are read, so that a damaged length takes no memory.
        let read = (&mut self.input).take(u64::from(length)).read_to_end(&mut value);
        let read = read.map_err(|error| TransferFault::file(&self.path, &error))?;
        self.digest.update(&value);
        self.bytes += read as u64;
        if read as u64 != u64::from(length) {
            return Err(self.cut());
        }
        Ok((kind, value))
    }

    fn exactly<const N: usize>(&mut self) -> Result<[u8; N], TransferFault> {
        let mut bytes = [0; N];
        if self.fill(&mut bytes)? { Ok(bytes) } else { Err(self.cut()) }
    }

    /// False if the file ends first.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<bool, TransferFault> {
        match self.input.read_exact(bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(TransferFault::file(&self.path, &error)),
        }
        self.digest.update(&*bytes);
        self.bytes += bytes.len() as u64;
        Ok(true)
    }

    fn decode<T: Decode<()>>(&self, value: &[u8]) -> Result<T, TransferFault> {
        codec::decode(NAME, value).map_err(|fault| self.unreadable(fault))
    }

    /// A value that cannot be decoded: a fault of the file, not of the state directory.
    pub(super) fn unreadable(&self, fault: StateFault) -> TransferFault {
        match fault {
            StateFault::Undecodable { detail, .. } => {
                self.damaged(format!("a value in it cannot be read: {detail}"))
            }
            other => other.into(),
        }
    }

    fn cut(&self) -> TransferFault {
        self.damaged(format!("it ends at byte {}, in the middle of something", self.bytes))
    }

    pub(super) fn damaged(&self, detail: String) -> TransferFault {
        TransferFault::Damaged { path: self.path.clone(), detail }
    }
}
