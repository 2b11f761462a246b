//! Several receivers at once, each a real HTTP server on loopback, all on a thread of their own; each behaves by its script
//! from the moment it is told to begin.

use std::{fmt, net::SocketAddr, sync::Arc, thread, time::Duration};

use tokio::sync::oneshot;

use super::{Behaviour, Counts, KeyError, Keys, Limits, Receiver, Recorder, Script, SetupError, play};

/// Why the receivers could not be started.
#[derive(Debug, thiserror::Error)]
pub enum FleetFault {
    /// A secret cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A receiver cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The receivers' thread cannot be started.
    #[error("the receivers cannot run: {0}; raise the limits on threads and open files")]
    Thread(#[from] std::io::Error),
    /// The receivers' thread has ended.
    #[error("the receivers ended unexpectedly")]
    Ended,
}

/// How long requests under way get when a fleet stops: whoever sent them has been stopped before.
const GRACE: Duration = Duration::from_millis(200);

/// One receiver.
#[derive(Clone)]
pub struct ReceiverSpec {
    /// Where it listens; port 0 for any free one.
    pub listen: SocketAddr,
    /// The secrets it knows; none if it takes whatever comes, as the receivers of the legacy service did.
    pub secrets: Vec<String>,
    /// How it behaves from the beginning on.
    pub script: Script,
    /// Who is told of its requests.
    pub recorder: Arc<dyn Recorder>,
}

impl fmt::Debug for ReceiverSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secrets = self.secrets.len();
        write!(f, "ReceiverSpec({}, {secrets} secrets, {:?})", self.listen, self.script)
    }
}

/// Receivers that listen.
#[derive(Debug)]
pub struct Fleet {
    /// Where each listens, in the order of the parts.
    pub addresses: Vec<SocketAddr>,
    begin: oneshot::Sender<()>,
    running: RunningFleet,
}

impl Fleet {
    /// Starts a receiver for each part. They serve at once, each by its script's first phase; `seed` is for their rng.
    ///
    /// # Errors
    /// [`FleetFault`], with nothing left running.
    pub fn start(parts: Vec<ReceiverSpec>, seed: u64) -> Result<Self, FleetFault> {
        let (started, addresses) = std::sync::mpsc::sync_channel(1);
        let ((begin, begun), (stop, stopped)) = (oneshot::channel(), oneshot::channel());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let body = move || {
            runtime.block_on(async {
                let receivers = match bind(&parts, seed) {
                    Ok(receivers) => receivers,
                    Err(fault) => {
                        // The starter waits for this; if it is gone there is nobody to tell.
                        let _gone = started.send(Err(fault));
                        return Vec::new();
                    }
                };
                let _gone = started.send(Ok(receivers.iter().map(Receiver::local_addr).collect()));
                serve(receivers, parts, begun, stopped).await
            })
        };
        let thread = thread::Builder::new().name("receivers".to_owned()).spawn(body)?;
        let addresses = addresses.recv().map_err(|_| FleetFault::Ended)??;
        Ok(Self { addresses, begin, running: RunningFleet { stop, thread } })
    }

    /// From now on each goes on with its script.
    pub fn begin(self) -> RunningFleet {
        // If they have ended, stopping them tells.
        let _gone = self.begin.send(());
        self.running
    }
}

/// Receivers at work.
#[derive(Debug)]
pub struct RunningFleet {
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<Vec<Counts>>,
}

impl RunningFleet {
    /// Stops the receivers; gives what each has counted, in the order of the parts.
    ///
    /// # Errors
    /// [`FleetFault::Ended`] if they had come to grief.
    pub fn stop(self) -> Result<Vec<Counts>, FleetFault> {
        // If they have ended already, the join tells.
        let _gone = self.stop.send(());
        self.thread.join().map_err(|_| FleetFault::Ended)
    }
}

fn bind(parts: &[ReceiverSpec], seed: u64) -> Result<Vec<Receiver>, FleetFault> {
    let seeded = parts.iter().zip(seed..);
    seeded
        .map(|(part, seed)| {
            let first: Behaviour = part.script.first.behaviour.clone();
            let receiver = if part.secrets.is_empty() {
                Receiver::bind(part.listen, first, Keys::unchecked())?.with_ids_optional()
            } else {
                Receiver::bind(part.listen, first, Keys::new(&part.secrets)?)?
            };
            let limits = Limits { grace: GRACE, ..Limits::default() };
            Ok(receiver.with_limits(limits).with_recorder(Arc::clone(&part.recorder)).with_seed(seed))
        })
        .collect()
}

async fn serve(
    receivers: Vec<Receiver>,
    parts: Vec<ReceiverSpec>,
    begun: oneshot::Receiver<()>,
    stopped: oneshot::Receiver<()>,
) -> Vec<Counts> {
    let running: Vec<_> = receivers.into_iter().map(Receiver::spawn).collect();
    // A starter that is gone wants them stopped.
    if begun.await.is_ok() {
        let mut scripts = tokio::task::JoinSet::new();
        for (receiver, part) in running.iter().zip(parts) {
            let control = receiver.control().clone();
            scripts.spawn(async move { play(&part.script, &control).await });
        }
        let _either = stopped.await;
        scripts.shutdown().await;
    }
    let mut counts = Vec::with_capacity(running.len());
    for receiver in running {
        let before = receiver.control().counts();
        counts.push(receiver.stop().await.unwrap_or(before));
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(secret: &str) -> ReceiverSpec {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let script = Script::always(Behaviour::default());
        ReceiverSpec { listen, secrets: vec![secret.to_owned()], script, recorder: Arc::new(()) }
    }

    #[test]
    fn a_fleet_listens_where_it_says_and_stops_with_a_count_for_each() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let fleet = Fleet::start(vec![part(secret), part(secret)], 1).unwrap();
        for address in &fleet.addresses {
            assert!(std::net::TcpStream::connect(address).is_ok());
        }
        let debug = format!("{:?}", part(secret));
        assert!(!debug.contains("MfKQ9r8"), "{debug}");
        assert_eq!(fleet.begin().stop().unwrap().len(), 2);
    }

    #[test]
    fn a_secret_that_is_none_is_told_and_nothing_runs() {
        assert!(matches!(Fleet::start(vec![part("whsec_x")], 1), Err(FleetFault::Key(_))));
    }
}
