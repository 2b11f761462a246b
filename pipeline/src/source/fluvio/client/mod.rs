//! The half that talks to a cluster: the controller says where a partition is led ([`cluster`]), the leader gives its
//! records ([`leader`], [`records`]: [`decode`] takes a response's batches, [`batch`] a batch's records, within the bound
//! that [`inflate`] keeps), over connections that are plain or encrypted ([`connector`]); [`trouble`] says what was wrong
//! with one.
//!
//! Fluvio's own client answers for the controller; the leader is spoken to in its protocol's types directly.

mod batch;
mod cluster;
mod connector;
mod decode;
mod hangup;
mod inflate;
mod leader;
mod records;
mod trouble;

use std::sync::Arc;

use fluvio_protocol::record::ReplicaKey;
use futures::stream::BoxStream;
use parking_lot::Mutex;

use super::{
    options::{ClusterOptions, FluvioOptions, Isolation, TlsOptions},
    partition::{Bounds, Cluster, ClusterFault, LogRecord, Partition},
};
use crate::source::SourceFault;
pub(crate) use cluster::Controller;
use connector::Connector;
pub(crate) use leader::Leader;
use trouble::Protection;

/// A cluster.
#[derive(Clone)]
pub struct ClusterClient {
    controller: Controller,
    topic: String,
    wants: Wants,
}

/// What is asked of a leader.
#[derive(Clone, Debug)]
struct Wants {
    isolation: Isolation,
    max_bytes: usize,
    consumer: Option<String>,
}

/// The controller of the cluster at `options`; reads the certificates, and connects to no one yet.
///
/// # Errors
/// [`SourceFault::Tls`] if a certificate or a key cannot be used.
pub(crate) fn controller(options: &ClusterOptions) -> Result<Controller, SourceFault> {
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
    /// [`SourceFault::Tls`] if a certificate or a key cannot be used.
    pub fn new(options: &FluvioOptions) -> Result<Self, SourceFault> {
        let controller = controller(&options.cluster)?;
        let FluvioOptions { isolation, max_bytes, mirror, .. } = options;
        let wants = Wants { isolation: *isolation, max_bytes: *max_bytes, consumer: mirror.clone() };
        Ok(Self { controller, topic: options.topic.clone(), wants })
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
            replica: ReplicaKey::new(self.topic.clone(), number),
            wants: self.wants.clone(),
            leader: Mutex::new(None),
        }
    }
}

/// A partition of a cluster: at any time at most one connection, to its leader.
pub struct PartitionClient {
    controller: Controller,
    replica: ReplicaKey,
    wants: Wants,
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
        // The one before is closed first: a connection that hangs is not to be waited for.
        self.leader.lock().take();
        let leader = self.controller.leader_of(self.replica.clone()).await?;
        let bounds = leader.bounds().await?;
        *self.leader.lock() = Some(Arc::new(leader));
        Ok(bounds)
    }

    async fn open(&self, at: u64) -> Result<Self::Records, ClusterFault> {
        records::open(self.leader()?, at, &self.wants).await
    }

    async fn bounds(&self) -> Result<Bounds, ClusterFault> {
        self.leader()?.bounds().await
    }

    async fn mirror(&self, settled: u64) -> Result<bool, ClusterFault> {
        self.leader()?.mirror(settled).await
    }
}
