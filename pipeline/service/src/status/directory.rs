//! The status from a state directory while no process runs: how far its source is settled, what waits for each
//! broker, who is disabled or paused, and the dead letters. Reads everything that waits, so it is for tools only.

use std::{
    fs::File,
    io::{self, Read, Seek},
    path::Path,
    sync::Arc,
};

use state::{EmbeddedLog, StateFault, Store};

use super::{BrokerStatus, DeadStatus, FileStatus, MovedStatus, PartitionStatus, Status, Verdict, age};
use fluvio_engine::is_partition_count_name;
use sources::FileSource;

/// Dead letters counted in one step.
const STEP: usize = 4_096;
/// How many unread bytes of a file are sampled for the mean length of its records.
const SAMPLE: u64 = 256 << 10;
/// How many bytes of a file's beginning identify it.
const HEAD: u64 = 1 << 10;

/// The status of the line whose state is in `store`, with these brokers, and with `file` as its source if it reads one.
///
/// # Errors
/// A fault of the store.
pub fn status(store: &Store, file: Option<&Path>, brokers: &[String]) -> Result<Status, StateFault> {
    while !store.dead_letters().count_on(STEP)? {}
    let usage = store.spill().usage()?;
    let of_sources =
        store.sources().checkpoints()?.into_iter().filter(|(name, _)| !is_partition_count_name(name));
    let partitions = of_sources.map(|(name, checkpoint)| {
        let is_log = name == EmbeddedLog::SOURCE;
        let end = is_log.then(|| store.intake_end());
        let partition = PartitionStatus {
            unit: unit(&name).to_owned(),
            file: FileStatus::of(store, &name, None),
            settled_to: Some(checkpoint.offset),
            end,
            lag_events: end.map(|end| end.saturating_sub(checkpoint.offset)),
            ..PartitionStatus::default()
        };
        match file.filter(|file| *FileSource::name_of(file) == *name) {
            Some(file) => {
                let is_it = |head: &[u8]| FileSource::begins(&checkpoint.mark, head);
                PartitionStatus { name, ..rest_of(file, is_it, partition) }
            }
            None => PartitionStatus { name, ..partition },
        }
    });
    let mut partitions: Vec<_> = partitions.collect();
    in_order(&mut partitions);
    let mut status = Status {
        spilled: usage.values().map(|usage| usage.deliveries).sum(),
        partitions,
        moved: MovedStatus::of(store)?,
        dead_letters: Some(DeadStatus::of(store)),
        ..Status::default()
    };
    for id in brokers {
        let usage = usage.get(id.as_str()).copied().unwrap_or_default();
        let disabled = store.brokers().disabled(id)?;
        let state = match (&disabled, store.brokers().paused(id)?) {
            (Some(_), _) => "disabled",
            (None, Some(_)) => "paused",
            (None, None) => "idle",
        };
        status.brokers.push(BrokerStatus {
            id: id.clone(),
            state: state.to_owned(),
            spilled: usage.deliveries,
            spilled_bytes: usage.bytes,
            oldest_seconds: oldest_on_disk(store, &Arc::from(id.as_str()))?,
            disabled: disabled.map(|disabled| disabled.reason),
            ..BrokerStatus::default()
        });
    }
    let known = |id: &str| brokers.iter().any(|broker| broker == id);
    let stranded = usage.iter().filter(|(id, _)| !known(id));
    status.brokers.extend(stranded.map(|(id, usage)| BrokerStatus::stranded(id, *usage)));
    status.verdict = Some(Verdict::new(&status, false));
    Ok(status)
}

/// The unsettled rest of a file; unknown if the file cannot be read, is another one (by `is_it`, from its beginning),
/// or is shorter than what was settled.
fn rest_of(file: &Path, is_it: impl Fn(&[u8]) -> bool, partition: PartitionStatus) -> PartitionStatus {
    let from = partition.settled_to.unwrap_or(0);
    let rest = || -> io::Result<(u64, Vec<u8>)> {
        let mut file = File::open(file)?;
        let (mut head, mut sample) = (Vec::new(), Vec::new());
        (&mut file).take(HEAD).read_to_end(&mut head)?;
        if !is_it(&head) {
            return Err(io::ErrorKind::NotFound.into());
        }
        file.seek(io::SeekFrom::Start(from))?;
        (&mut file).take(SAMPLE).read_to_end(&mut sample)?;
        Ok((file.metadata()?.len(), sample))
    };
    let Ok((end, sample)) = rest() else { return partition };
    let Some(bytes) = end.checked_sub(from) else { return partition };
    let records = sample.iter().filter(|byte| **byte == b'\n').count() as u64;
    let (events, estimated) = match (sample.len() as u64, sample.last()) {
        // An incomplete last line.
        (read, last) if read >= bytes => {
            (records + u64::from(last.is_some_and(|last| *last != b'\n')), false)
        }
        (read, _) => (bytes / (read / records.max(1)).max(1), true),
    };
    PartitionStatus {
        end: Some(end),
        lag_bytes: Some(bytes),
        lag_events: Some(events),
        lag_estimated: estimated,
        ..partition
    }
}

/// How long the first delivery on disk for `broker` has waited since it was read, in seconds; none if there is none.
///
/// # Errors
/// A fault of the store.
pub(crate) fn oldest_on_disk(store: &Store, broker: &Arc<str>) -> Result<Option<f64>, StateFault> {
    let first = store.spill().read(broker, 0..u64::MAX, 1)?;
    Ok(first.first().map(|delivery| age(store.clock().monotonic(), delivery.event.read_at)))
}

/// The topic and the partition that a source of this name reads, whatever its cluster; none if it reads no topic.
fn partition_of_name(name: &str) -> Option<(&str, u32)> {
    let kafka = || {
        let (topic, partition) = kafka_engine::partition_of_name(name)?;
        Some((topic, u32::try_from(partition).ok()?))
    };
    fluvio_engine::partition_of_name(name).or_else(kafka)
}

/// The unit of a source's offsets.
pub(crate) fn unit(name: &str) -> &'static str {
    if name == EmbeddedLog::SOURCE || partition_of_name(name).is_some() { "records" } else { "bytes" }
}

/// Sorts by name; a topic's partitions come last, by number.
pub(crate) fn in_order(partitions: &mut [PartitionStatus]) {
    partitions.sort_by(|one, other| {
        let place = |name| (partition_of_name(name), name);
        place(&*one.name).cmp(&place(&*other.name))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topics_partitions_are_counted_in_records_and_a_file_in_bytes() {
        for (name, expected) in [
            (EmbeddedLog::SOURCE, "records"),
            ("fluvio:shipment-events/12", "records"),
            ("kafka:Shipment.Events/12", "records"),
            ("file:fluvio:x/1", "bytes"),
            ("stdin", "bytes"),
        ] {
            assert_eq!(unit(name), expected, "{name}");
        }
    }

    #[test]
    fn what_is_left_of_a_file_is_counted_and_of_a_long_one_estimated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.ndjson");
        let left = |content: &str, settled_to| {
            std::fs::write(&path, content).unwrap();
            let partition = PartitionStatus { settled_to: Some(settled_to), ..PartitionStatus::default() };
            let rest = rest_of(&path, |head| !head.starts_with(b"another"), partition);
            (rest.end, rest.lag_events, rest.lag_estimated, rest.lag_bytes)
        };
        assert_eq!(left("one\ntwo\nthree", 4), (Some(13), Some(2), false, Some(9)));
        assert_eq!(left("one\n", 4), (Some(4), Some(0), false, Some(0)));
        assert_eq!(left("on", 4), (None, None, false, None), "shorter");
        assert_eq!(left("another file", 4), (None, None, false, None));
        let long = "123456789\n".repeat(100_000);
        assert_eq!(left(&long, 0), (Some(1_000_000), Some(100_000), true, Some(1_000_000)));
    }

    #[test]
    fn partitions_come_by_their_numbers() {
        let names = ["fluvio:b/1", "fluvio:a/10", "fluvio:a/2", "fluvio:a-b/3", "intake", "file:x"];
        let mut partitions =
            names.map(|name| PartitionStatus { name: name.to_owned(), ..Default::default() });
        in_order(&mut partitions);
        let shown: Vec<_> = partitions.iter().map(|partition| &*partition.name).collect();
        assert_eq!(shown, ["file:x", "intake", "fluvio:a/2", "fluvio:a/10", "fluvio:a-b/3", "fluvio:b/1"]);
    }
}
