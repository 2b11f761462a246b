//! What the unit tests begin with.

use std::time::Duration;

use bytes::Bytes;
use topics::RecordMark;

use crate::{
    consumer::LogRecord,
    headers::Headers,
    options::{
        ClusterOptions, FetchOptions, Framing, GroupOptions, GroupProtocol, Isolation, KafkaOptions, OnLoss,
        Reading, Start,
    },
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A group with a session of 10 s.
pub(crate) fn group(protocol: GroupProtocol) -> Reading {
    Reading::Group(GroupOptions {
        id: "g".to_owned(),
        protocol,
        instance_id: None,
        session_timeout: 10 * SECOND,
        max_poll_interval: 60 * SECOND,
    })
}

/// The topic `t`, read from its beginning.
pub(crate) fn options(reading: Reading) -> KafkaOptions {
    KafkaOptions {
        cluster: ClusterOptions {
            bootstrap: vec!["127.0.0.1:1".to_owned()],
            tls: None,
            sasl: None,
            timeout: 5 * SECOND,
            backoff_min: SECOND / 10,
            backoff_max: 5 * SECOND,
            properties: Default::default(),
        },
        topic: "t".to_owned(),
        reading,
        start: Start::Beginning,
        isolation: Isolation::Committed,
        on_loss: OnLoss::Stop,
        framing: Framing::None,
        id_header: None,
        fetch: FetchOptions { partition_max: 1 << 20, queue_max: 1 << 20, wait_max: SECOND / 2 },
        commit_every: SECOND,
        record_max: 1 << 10,
    }
}

/// A record whose value names its offset.
pub(crate) fn log_record(offset: u64) -> LogRecord {
    let value = format!("record {offset}");
    LogRecord {
        mark: RecordMark::new(offset, Some(1_000 + offset), value.as_bytes()),
        full_len: value.len() as u64,
        value: Some(Bytes::from(value)),
        headers: Headers::default(),
        key: None,
    }
}
