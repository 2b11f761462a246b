//! The client of a cluster: the controller names a partition's leader ([`cluster`]), the leader sends its records
//! ([`leader`], [`records`]; [`decode`] takes a response's batches, [`batch`] a batch's records, [`inflate`] bounds
//! their size), over plain or encrypted connections ([`connector`]). [`errors`] explains failures.
//!
//! Fluvio's own client is used for the controller; requests to the leader use its protocol types directly.

mod batch;
mod batch_fault;
mod close_on_drop;
mod cluster;
mod connector;
mod decode;
mod encode;
mod errors;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod inflate;
mod leader;
mod records;
mod tls_errors;

use std::sync::Arc;

use futures::stream::BoxStream;
use parking_lot::Mutex;

use super::{
    options::{ClusterOptions, FluvioOptions, Isolation, TlsOptions},
    partition::{Bounds, Cluster, ClusterFault, LogRecord, Partition},
};
use crate::TopicFault;
pub use cluster::Controller;
use connector::Connector;
use errors::Protection;
pub use leader::Leader;

/// A cluster.
#[derive(Clone)]
pub struct ClusterClient {
    controller: Controller,
    topic: String,
    fetch: FetchOptions,
}

/// The options of a stream.
#[derive(Clone, Debug)]
struct FetchOptions {
    isolation: Isolation,
    max_bytes: usize,
    consumer: Option<String>,
}

/// The controller of the cluster at `options`; reads the certificates, and connects to no one yet.
///
/// # Errors
/// [`TopicFault::Tls`] if a certificate or a key cannot be used.
pub fn controller(options: &ClusterOptions) -> Result<Controller, TopicFault> {
    let connector = Connector::new(options.tls.as_ref())?;
    let protection = match &options.tls {
        None => Protection::Plain,
        Some(TlsOptions { client: None, .. }) => Protection::Anonymous,
        Some(TlsOptions { client: Some(_), .. }) => Protection::Known,
    };
    Ok(Controller::new(options.endpoint.clone(), connector, protection))
}

impl ClusterClient {
    /// A client of the cluster that `options` name; reads the certificates, and connects to no one yet.
    ///
    /// # Errors
    /// [`TopicFault::Tls`] if a certificate or a key cannot be used.
    pub fn new(options: &FluvioOptions) -> Result<Self, TopicFault> {
        let controller = controller(&options.cluster)?;
        let FluvioOptions { topic, isolation, max_bytes, mirror, .. } = options;
        let fetch = FetchOptions { isolation: *isolation, max_bytes: *max_bytes, consumer: mirror.clone() };
        Ok(Self { controller, topic: topic.clone(), fetch })
    }
}

impl Cluster for ClusterClient {
    type Partition = PartitionClient;

    async fn count(&self, topic: &str) -> Result<u32, ClusterFault> {
        self.controller.count(topic).await
    }

    fn partition(&self, number: u32) -> PartitionClient {
        PartitionClient {
            controller: self.controller.clone(),
            topic: self.topic.clone(),
            number,
            fetch: self.fetch.clone(),
            leader: Mutex::new(None),
        }
    }
}

/// A partition of a cluster: at any time at most one connection, to its leader.
pub struct PartitionClient {
    controller: Controller,
    topic: String,
    number: u32,
    fetch: FetchOptions,
    leader: Mutex<Option<Arc<Leader>>>,
}

impl PartitionClient {
    fn leader(&self) -> Result<Arc<Leader>, ClusterFault> {
        self.leader.lock().clone().ok_or(ClusterFault::Ended)
    }
}

impl Partition for PartitionClient {
    type Records = BoxStream<'static, Result<LogRecord, ClusterFault>>;

    async fn connect(&self) -> Result<Bounds, ClusterFault> {
        // The previous connection is closed first, without waiting for it.
        self.leader.lock().take();
        let leader = self.controller.leader_of(&self.topic, self.number).await?;
        let bounds = leader.bounds().await?;
        *self.leader.lock() = Some(Arc::new(leader));
        Ok(bounds)
    }

    async fn open(&self, at: u64) -> Result<Self::Records, ClusterFault> {
        records::open(self.leader()?, at, &self.fetch).await
    }

    async fn bounds(&self) -> Result<Bounds, ClusterFault> {
        self.leader()?.bounds().await
    }

    async fn mirror(&self, settled: u64) -> Result<bool, ClusterFault> {
        self.leader()?.mirror(settled).await
    }
}
