//! Sorts more than memory holds: what fills its share of memory is sorted and written to a temporary file, and the files
//! are merged. The sorting is `ext-sort`'s; here is how much of it fits in memory.

use std::{cmp::Ordering, error::Error, mem::size_of, path::Path, vec};

use ext_sort::{
    BinaryHeapMerger, ChunkBuffer, ChunkBufferBuilder, ExternalChunk, ExternalSorter, RmpExternalChunk,
    SortError,
};
use rayon::slice::ParallelSliceMut;
use serde::{Serialize, de::DeserializeOwned};

use crate::fault::AuditFault;

/// How often an item itself is in memory at most: in the buffer, in the buffer that grows, and while it is sorted.
const COPIES_MAX: usize = 3;
/// How much of a temporary file is read or written at once.
const FILE_BUFFER: usize = 32 << 10;

/// What can be sorted.
pub(crate) trait Sorted: Serialize + DeserializeOwned + Send {
    /// Which of two comes first.
    fn order(&self, other: &Self) -> Ordering;
    /// The memory it takes beside its own size, in bytes.
    fn heap_bytes(&self) -> usize;
}

/// A sorter of one kind of items.
pub(crate) struct Sorter<'d, T: Sorted> {
    inner: ExternalSorter<T, AuditFault, Budget, RmpExternalChunk<T>>,
    directory: &'d Path,
}

impl<'d, T: Sorted> Sorter<'d, T> {
    /// A sorter that uses about `memory` bytes, and writes into `directory` what is more.
    pub(crate) fn new(memory: usize, directory: &'d Path) -> Result<Self, AuditFault> {
        let inner = ExternalSorter::new(Some(1), Some(directory), Budget(memory), Some(FILE_BUFFER));
        let inner = inner.map_err(|error| fault(directory, error))?;
        Ok(Self { inner, directory })
    }

    /// The items in order.
    pub(crate) fn sort(
        &self,
        items: impl Iterator<Item = Result<T, AuditFault>>,
    ) -> Result<Merged<'d, T>, AuditFault> {
        let directory = self.directory;
        let order: Order<T> = T::order;
        let parts = self.inner.sort_by(items, order).map_err(|error| fault(directory, error))?;
        Ok(Merged { parts, directory })
    }
}

type Chunk<T> = RmpExternalChunk<T>;
type Order<T> = fn(&T, &T) -> Ordering;
type Unreadable<T> = <Chunk<T> as ExternalChunk<T>>::DeserializationError;

/// Sorted items, as they are read back.
pub(crate) struct Merged<'d, T: Sorted> {
    parts: BinaryHeapMerger<T, Unreadable<T>, Order<T>, Chunk<T>>,
    directory: &'d Path,
}

impl<T: Sorted> Iterator for Merged<'_, T> {
    type Item = Result<T, AuditFault>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.parts.next()?.map_err(|error| temporary(self.directory, error.to_string())))
    }
}

fn fault<S: Error, D: Error>(directory: &Path, error: SortError<S, D, AuditFault>) -> AuditFault {
    match error {
        SortError::InputError(fault) => fault,
        other => temporary(directory, other.to_string()),
    }
}

fn temporary(directory: &Path, detail: String) -> AuditFault {
    AuditFault::Temporary { directory: directory.to_owned(), detail }
}

/// Makes buffers of so many bytes.
#[derive(Default)]
struct Budget(usize);

/// Items until they take their share of memory.
struct Buffer<T> {
    items: Vec<T>,
    used: usize,
    limit: usize,
}

impl<T: Sorted> ChunkBufferBuilder<T> for Budget {
    type Buffer = Buffer<T>;

    fn build(&self) -> Buffer<T> {
        Buffer { items: Vec::new(), used: 0, limit: self.0 }
    }
}

impl<T: Sorted> ChunkBuffer<T> for Buffer<T> {
    fn push(&mut self, item: T) {
        self.used += size_of::<T>() * COPIES_MAX + item.heap_bytes();
        self.items.push(item);
    }

    fn len(&self) -> usize {
        self.items.len()
    }

    fn is_full(&self) -> bool {
        self.used >= self.limit
    }
}

impl<T> IntoIterator for Buffer<T> {
    type Item = T;
    type IntoIter = vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<T: Send> ParallelSliceMut<T> for Buffer<T> {
    fn as_parallel_slice_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}
