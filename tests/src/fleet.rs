//! Brokers' TMSs on real sockets, which keep what they took in the order in which they took it, with its time. A post whose
//! signature the `standardwebhooks` crate does not accept is never taken.

use std::{net::TcpStream, sync::Arc};

use bytes::Bytes;
use lab::receiver::{
    Availability, Behaviour, Control, Counts, Keys, Limits, Receiver, Recorder, Running, Taken,
};
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::time::Instant;

use crate::runtime::{PATIENCE, now, runtime, until};

/// Something a receiver has taken.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When.
    pub at: Instant,
    /// The path it was posted to.
    pub path: String,
    /// The `webhook-id`.
    pub webhook_id: String,
    /// The body.
    pub body: Bytes,
    /// Whether Loadline has said that it may have been sent before.
    pub may_repeat: bool,
}

/// Several receivers, numbered from zero.
#[derive(Debug)]
pub struct Fleet {
    receivers: Vec<Tms>,
}

/// One broker's receiver.
#[derive(Debug)]
pub struct Tms {
    running: Running,
    secret: String,
    keys: Keys,
    log: Arc<ArrivalLog>,
}

/// What one receiver has taken.
#[derive(Debug, Default)]
struct ArrivalLog {
    arrivals: Mutex<Vec<Arrival>>,
    more: Condvar,
}

impl Recorder for ArrivalLog {
    fn taken(&self, taken: &Taken<'_>) {
        let arrival = Arrival {
            at: now(),
            path: taken.path.to_owned(),
            webhook_id: taken.webhook_id.to_owned(),
            body: taken.body.clone(),
            may_repeat: taken.may_repeat,
        };
        self.arrivals.lock().push(arrival);
        self.more.notify_all();
    }
}

impl Fleet {
    /// Starts `count` receivers that take everything at once.
    #[must_use]
    pub fn start(count: usize) -> Self {
        Self { receivers: (0..count).map(|index| Tms::start(index, true)).collect() }
    }

    /// The same, and they check no signatures, which hold a time: for a sender whose clock is off.
    #[must_use]
    pub fn start_unchecked(count: usize) -> Self {
        Self { receivers: (0..count).map(|index| Tms::start(index, false)).collect() }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.receivers.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.receivers.is_empty()
    }

    /// One of them.
    #[must_use]
    pub fn tms(&self, index: usize) -> &Tms {
        &self.receivers[index]
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Tms> {
        self.receivers.iter()
    }

    /// What all have taken together, repeats included.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.iter().map(Tms::taken).sum()
    }
}

impl Tms {
    fn start(index: usize, checked: bool) -> Self {
        // 32 letters of base64 are 24 bytes, the least the specification allows.
        let secret = format!("whsec_{index:A>32}");
        let keys = if checked { Keys::new([&secret]).expect("a good secret") } else { Keys::unchecked() };
        let log = Arc::new(ArrivalLog::default());
        let _context = runtime().enter();
        let limits = Limits { ids_max: 1, ..Limits::default() };
        let running = Receiver::bind(([127, 0, 0, 1], 0).into(), Behaviour::default(), keys.clone())
            .expect("a free port")
            .with_limits(limits)
            .with_recorder(log.clone())
            .with_seed(index as u64)
            .spawn();
        Self { running, secret, keys, log }
    }

    /// Where it is posted to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.running.addr())
    }

    /// The secret it shares with Loadline.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Knows these secrets and no others from the next request on.
    ///
    /// # Panics
    /// If one of them is none.
    pub fn know(&self, secrets: &[&str]) {
        self.keys.replace(secrets).expect("good secrets");
    }

    /// Behaves like this from the next request on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.control().set(behaviour).expect("a behaviour that can be had");
    }

    /// Lets nobody in; returns once that is so.
    ///
    /// # Panics
    /// After [`PATIENCE`].
    pub fn refuse(&self) {
        self.behave(Behaviour { availability: Availability::Refusing, ..Behaviour::default() });
        until("the receiver refuses", || TcpStream::connect(self.running.addr()).is_err());
    }

    /// The receiver's own counts. Its count of repeats means nothing here: the oracle's does.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.control().counts()
    }

    /// How much it has taken, repeats included.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.log.arrivals.lock().len()
    }

    /// What it has taken so far, in order.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.log.arrivals.lock().clone()
    }

    /// Waits until it has taken `count`, repeats included.
    ///
    /// # Panics
    /// After [`PATIENCE`].
    pub fn wait_for(&self, count: usize) {
        let end = now() + PATIENCE;
        let mut arrivals: MutexGuard<'_, Vec<Arrival>> = self.log.arrivals.lock();
        while arrivals.len() < count {
            let left = end.saturating_duration_since(now());
            let taken = arrivals.len();
            assert!(!left.is_zero(), "waited {PATIENCE:?} in vain for {count} arrivals: {taken} came");
            let _timeout = self.log.more.wait_for(&mut arrivals, left);
        }
    }

    fn control(&self) -> &Control {
        self.running.control()
    }
}
