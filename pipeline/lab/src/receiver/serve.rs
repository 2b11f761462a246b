//! The receiver as a server, which serves requests until it is told to stop. It has at most `connections_max` connections,
//! each bounded in headers, body and time.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};
use state::Clock;
use tokio::{
    sync::{oneshot, watch},
    task::{JoinHandle, JoinSet},
};

use super::{
    Behaviour, BehaviourError, Control, Counts, Keys, Recorder, Rule, connection,
    handler::Handler,
    seen_ids::SeenIds,
    toggle_listener::{BindError, ToggleListener},
};

/// What a receiver allows itself and its callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest body, in bytes. Default 1 MiB: a hundred times a usual event.
    pub body_max: usize,
    /// The longest a body may take to come. Default 30 s.
    pub body_timeout: Duration,
    /// Open connections; further ones wait to be accepted. Default 4,096, a quarter of what a process may often open.
    pub connections_max: usize,
    /// Concurrent requests on one HTTP/2 connection. Default 256.
    pub streams_max: u32,
    /// The longest a connection may be idle, or take for its headers. Default 120 s: longer than HTTP clients keep
    /// idle connections, so that the client is the one who closes and no request meets a closing connection.
    pub idle_max: Duration,
    /// The longest a caller is left hanging. Default 10 min: longer than any client waits.
    pub hang_max: Duration,
    /// Webhook ids remembered, about 200 bytes each. Default 1,000,000.
    pub ids_max: usize,
    /// The time requests under way get when the receiver stops. Default 5 s.
    pub grace: Duration,
}

/// A bound receiver that does not serve yet.
pub struct Receiver {
    listener: ToggleListener,
    control: Control,
    keys: Keys,
    limits: Limits,
    clock: Clock,
    recorder: Arc<dyn Recorder>,
    seed: u64,
    ids_optional: bool,
    rule: Option<Arc<Rule>>,
}

/// A receiver that serves in a task of its own. Dropping this stops it too, without waiting.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    control: Control,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), BindError>>,
}

/// The receiver cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// It cannot listen.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// It cannot behave like that.
    #[error(transparent)]
    Behaviour(#[from] BehaviourError),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_max: 1 << 20,
            body_timeout: Duration::from_secs(30),
            connections_max: 4_096,
            streams_max: 256,
            idle_max: Duration::from_secs(120),
            hang_max: Duration::from_secs(600),
            ids_max: 1_000_000,
            grace: Duration::from_secs(5),
        }
    }
}

impl Receiver {
    /// Binds to `addr` (port 0: any free port). Must be called inside a tokio runtime. Connections wait until
    /// [`serve`](Self::serve) or [`spawn`](Self::spawn).
    ///
    /// # Errors
    /// The address cannot be listened on, or the behaviour cannot be had.
    pub fn bind(addr: SocketAddr, behaviour: Behaviour, keys: Keys) -> Result<Self, SetupError> {
        behaviour.check()?;
        Ok(Self {
            listener: ToggleListener::open(addr)?,
            control: Control::new(behaviour),
            keys,
            limits: Limits::default(),
            clock: Clock::System,
            recorder: Arc::new(()),
            seed: 0,
            ids_optional: false,
            rule: None,
        })
    }

    /// With other limits than the default ones.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// With someone who is told of every request.
    #[must_use]
    pub fn with_recorder(mut self, recorder: Arc<dyn Recorder>) -> Self {
        self.recorder = recorder;
        self
    }

    /// With another seed for its rng than 0.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// With another clock for what it records. Signatures are checked against the machine's clock all the same.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Taking requests without a `webhook-id` too, as senders that know no Standard Webhooks make them; such a request
    /// is known again by its bytes, so [`Times::Conflict`] is never said of it. Whether signatures are checked is up to
    /// the keys: see [`Keys::unchecked`].
    ///
    /// [`Times::Conflict`]: crate::receiver::Times::Conflict
    #[must_use]
    pub fn with_ids_optional(mut self) -> Self {
        self.ids_optional = true;
        self
    }

    /// Answering by `rule` instead of by its behaviour, as long as its behaviour has it listen.
    #[must_use]
    pub fn with_rule(mut self, rule: Arc<Rule>) -> Self {
        self.rule = Some(rule);
        self
    }

    /// The address it listens on, with the port the system chose.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.addr()
    }

    /// The handle that changes its behaviour and reads its counts.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Serves in a task of its own.
    #[must_use]
    pub fn spawn(self) -> Running {
        let (stop, stopped) = oneshot::channel();
        let (addr, control) = (self.local_addr(), self.control());
        let task = tokio::spawn(self.serve(async move {
            // a dropped handle stops the receiver as well
            let _dropped = stopped.await.is_err();
        }));
        Running { addr, control, stop, task }
    }

    /// Serves until `shutdown` is ready; then requests under way get `grace` to end.
    ///
    /// # Errors
    /// The behaviour had the port closed, and it could not be opened again.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), BindError> {
        let Self { mut listener, control, keys, limits, clock, recorder, seed, ids_optional, rule } = self;
        let mut behaviour = control.watch();
        let (stop, stopping) = watch::channel(false);
        let handler = Arc::new(Handler {
            seen: Mutex::new(SeenIds::new(limits.ids_max)),
            rng: Mutex::new(Xoshiro256PlusPlus::seed_from_u64(seed)),
            bucket: Mutex::default(),
            ids_optional,
            rule,
            control,
            keys,
            limits,
            clock,
            recorder,
            stopping,
        });
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let room = connections.len() < handler.limits.connections_max;
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                stream = listener.next(&mut behaviour), if room => {
                    connections.spawn(connection::serve(stream?, Arc::clone(&handler)));
                }
            }
        }
        drop(listener);
        stop.send_replace(true);
        while connections.join_next().await.is_some() {}
        Ok(())
    }
}

impl Running {
    /// The address it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The handle that changes its behaviour and reads its counts.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Stops it, waits for its last requests, and gives the final counts.
    ///
    /// # Errors
    /// It had stopped before because its port could not be opened again.
    pub async fn stop(self) -> Result<Counts, BindError> {
        let Self { addr, control, stop, task } = self;
        // if it is gone already, the task says why
        let _gone = stop.send(()).is_err();
        match task.await {
            Ok(served) => served.map(|()| control.counts()),
            Err(join) => Err(BindError { addr, source: io::Error::other(join) }),
        }
    }
}
