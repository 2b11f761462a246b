//! The demo's receivers: twelve real HTTP servers on loopback, each behaving by its script, on a thread of their own.

use std::{net::SocketAddr, thread};

use tokio::sync::oneshot;

use super::DemoBroker;
use crate::receive::{Counts, KeyError, Keys, Receiver, SetupError, play};

/// Why the receivers could not be started.
#[derive(Debug, thiserror::Error)]
pub enum FleetFault {
    /// A secret cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A receiver cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The receivers' thread cannot be started, or has ended.
    #[error("the demo's receivers cannot run: {0}; raise the limits on threads and open files")]
    Thread(#[from] std::io::Error),
    /// The receivers' thread has ended without an answer.
    #[error("the demo's receivers ended unexpectedly")]
    Ended,
}

/// The demo's receivers at work.
#[derive(Debug)]
pub struct Fleet {
    /// Where each broker's receiver listens, in the brokers' order.
    pub addresses: Vec<SocketAddr>,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<Vec<Counts>>,
}

impl Fleet {
    /// Starts a receiver for each broker.
    ///
    /// # Errors
    /// [`FleetFault`], with nothing left running.
    pub fn start(brokers: &[DemoBroker]) -> Result<Self, FleetFault> {
        let brokers = brokers.to_vec();
        let (started, addresses) = std::sync::mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let body = move || {
            runtime.block_on(async {
                let receivers = match bind(&brokers) {
                    Ok(receivers) => receivers,
                    Err(fault) => {
                        // The starter waits for this; if it is gone there is nobody to tell.
                        let _gone = started.send(Err(fault));
                        return Vec::new();
                    }
                };
                let _gone = started.send(Ok(receivers.iter().map(Receiver::local_addr).collect()));
                serve(receivers, brokers, stopped).await
            })
        };
        let thread = thread::Builder::new().name("receivers".to_owned()).spawn(body)?;
        let addresses = addresses.recv().map_err(|_| FleetFault::Ended)??;
        Ok(Self { addresses, stop, thread })
    }

    /// Stops the receivers; gives what each has counted, in the brokers' order.
    ///
    /// # Errors
    /// [`FleetFault::Ended`] if they had ended before.
    pub fn stop(self) -> Result<Vec<Counts>, FleetFault> {
        // If they have ended already, the join tells.
        let _gone = self.stop.send(());
        self.thread.join().map_err(|_| FleetFault::Ended)
    }
}

fn bind(brokers: &[DemoBroker]) -> Result<Vec<Receiver>, FleetFault> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let seeded = brokers.iter().zip(0..);
    seeded
        .map(|(broker, seed)| {
            let behaviour = broker.script.first.behaviour.clone();
            Ok(Receiver::bind(any, behaviour, Keys::new([broker.secret()])?)?.with_seed(seed))
        })
        .collect()
}

async fn serve(
    receivers: Vec<Receiver>,
    brokers: Vec<DemoBroker>,
    stopped: oneshot::Receiver<()>,
) -> Vec<Counts> {
    let running: Vec<_> = receivers.into_iter().map(Receiver::spawn).collect();
    let scripts: Vec<_> = running
        .iter()
        .zip(brokers)
        .map(|(receiver, broker)| {
            let control = receiver.control().clone();
            tokio::spawn(async move { play(&broker.script, &control).await })
        })
        .collect();
    // A starter that is gone wants them stopped too.
    let _either = stopped.await;
    scripts.iter().for_each(tokio::task::JoinHandle::abort);
    let mut counts = Vec::with_capacity(running.len());
    for receiver in running {
        let before = receiver.control().counts();
        counts.push(receiver.stop().await.unwrap_or(before));
    }
    counts
}
