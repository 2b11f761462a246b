//! The next page of letters, split into batches by partition, each load in one. Batches are kept until the cluster
//! has accepted them.

use std::collections::VecDeque;

use state::{StateFault, Store};

use super::value::Value;
use fluvio_engine::produce::BatchBuilder;

/// What a page takes at most: enough letters that one commit is shared by many, few enough to hold in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageBounds {
    /// Letters.
    pub(super) letters_max: usize,
    /// Bytes of their values; the last one may go beyond, so that one always fits.
    pub(super) bytes_max: usize,
    /// Bytes of one value.
    pub(super) value_max: usize,
}

/// The next letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// In the order in which they were recorded.
    pub(super) values: Vec<Value>,
    /// The place up to which there are no others.
    pub(super) to: u64,
}

impl Page {
    /// The letters behind `after`, up to `to` at most.
    ///
    /// # Errors
    /// A fault of the store, or [`StateFault::Undecodable`].
    pub(super) fn read(store: &Store, after: u64, to: u64, bounds: PageBounds) -> Result<Self, StateFault> {
        let (mut values, mut bytes) = (Vec::new(), 0);
        for recorded in store.dead_letters().recorded(after, to) {
            let recorded = recorded?;
            // One that was purged or replayed is passed over.
            let Some(letter) = recorded.letter else { continue };
            let value = Value::new(letter, bounds.value_max);
            bytes += value.line.len();
            values.push(value);
            if values.len() >= bounds.letters_max || bytes >= bounds.bytes_max {
                return Ok(Self { values, to: recorded.place });
            }
        }
        Ok(Self { values, to })
    }
}

/// What has to reach one partition, first what comes first.
pub(super) type Batches = VecDeque<BatchBuilder>;

/// The batches of `values` for each of `count` partitions; `partition_of` says where a load goes.
pub(super) fn spread(values: &[Value], count: u32, partition_of: impl Fn(&str, u32) -> u32) -> Vec<Batches> {
    let mut all: Vec<Batches> = (0..count.max(1)).map(|_| Batches::new()).collect();
    for Value { key, line } in values {
        let partition = key.as_deref().map_or(0, |key| partition_of(key, count));
        let Some(batches) = all.get_mut(partition as usize) else { continue };
        if batches.back().is_none_or(|last| last.is_too_full_for(line.len())) {
            batches.push_back(BatchBuilder::default());
        }
        if let Some(last) = batches.back_mut() {
            last.push(key.clone(), line);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::dead::testing::{ledger, letter, put};
    use fluvio_engine::produce::{BATCH_BYTES, partition_of};

    #[tokio::test]
    async fn a_page_ends_at_its_bounds_and_the_next_goes_on_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = ledger(dir.path());
        put(&ledger, (0..10).map(|offset| letter(offset, None))).await;
        let bytes = Value::new(letter(0, None), 16 << 10).line.len();
        let wide = PageBounds { letters_max: 100, bytes_max: 1 << 20, value_max: 16 << 10 };
        for (bounds, pages) in [
            (wide, 1),
            (PageBounds { letters_max: 3, ..wide }, 4),
            (PageBounds { bytes_max: 1, ..wide }, 10),
            (PageBounds { bytes_max: 3 * bytes, ..wide }, 4),
        ] {
            let (mut at, mut count, mut letters) = (0, 0, 0);
            while at < 10 {
                let page = Page::read(ledger.store(), at, 10, bounds).unwrap();
                (at, count, letters) = (page.to, count + 1, letters + page.values.len());
            }
            assert_eq!((count, letters, at), (pages, 10, 10), "{bounds:?}");
        }
        assert_eq!(Page::read(ledger.store(), 2, 4, wide).unwrap().values.len(), 2, "only what is durable");
    }

    #[test]
    fn a_load_stays_in_one_partition_in_order_and_no_batch_is_longer_than_its_bound_or_one_value() {
        let value = |load: Option<usize>, number: usize, bytes: usize| Value {
            key: load.map(|load| format!("LD-{load}")),
            line: Bytes::from(" ".repeat(bytes) + &number.to_string()),
        };
        let mut values: Vec<Value> = (0..1_000).map(|number| value(Some(number % 7), number, 500)).collect();
        values.push(value(None, 1_000, 3 * BATCH_BYTES));
        values.push(value(None, 1_001, 10));
        let spread = spread(&values, 4, |key, count| partition_of(key.as_bytes(), count));
        let mut seen = vec![Vec::new(); 4];
        for (partition, batches) in spread.iter().enumerate() {
            for batch in batches {
                let records = batch.records();
                let bytes: usize = records.iter().map(|(_, value)| value.len()).sum();
                assert!(
                    bytes <= BATCH_BYTES || records.len() == 1,
                    "{bytes} bytes, {} records",
                    records.len()
                );
                for (_, value) in records {
                    let number: usize = String::from_utf8_lossy(value).trim().parse().unwrap();
                    seen[partition].push(number);
                }
            }
        }
        assert!(seen.iter().all(|numbers| numbers.is_sorted()));
        assert_eq!(seen.iter().map(Vec::len).sum::<usize>(), values.len());
        for load in 0..7 {
            let of_load = |numbers: &&Vec<usize>| numbers.iter().any(|n| *n < 1_000 && n % 7 == load);
            assert_eq!(seen.iter().filter(of_load).count(), 1, "load {load}");
        }
        assert!(seen[0].ends_with(&[1_000, 1_001]), "without a load");
    }
}
