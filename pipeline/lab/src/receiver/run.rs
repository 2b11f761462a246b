//! Runs the receiver of `loadline receive`, which prints what comes.

use std::{
    io::{self, Write},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use super::{
    Behaviour, BindError, Counts, KeyError, Keys, Limits, Receiver, SetupError, Style, lines::Lines,
};

/// What `loadline receive` is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 for any free port, which the first line names.
    pub listen: SocketAddr,
    /// The secrets, `whsec_…`; if there are none, signatures are not checked, and the first line says so.
    pub secrets: Vec<String>,
    /// How to answer.
    pub behaviour: Behaviour,
    /// What is allowed.
    pub limits: Limits,
    /// The seed of the rng.
    pub seed: u64,
    /// How long to run; for ever if none.
    pub run_for: Option<Duration>,
    /// How lines look.
    pub style: Style,
}

/// Why `loadline receive` could not start, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A secret cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The receiver cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The port was lost.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Its lines cannot be written.
    #[error("cannot write to the output: {0}; the receiver has stopped")]
    Output(#[from] io::Error),
}

/// Runs a receiver that prints to `out`, until `stop` is ready, `run_for` has passed, or the reader of `out` has
/// gone, which is not an error.
///
/// # Errors
/// See [`RunError`].
pub async fn run<W: Write + Send + 'static>(
    options: Options,
    out: W,
    stop: impl Future<Output = ()>,
) -> Result<Counts, RunError> {
    let Options { listen, secrets, behaviour, limits, seed, run_for, style } = options;
    let keys = if secrets.is_empty() { Keys::unchecked() } else { Keys::new(&secrets)? };
    let lines = Arc::new(Lines::new(out, style));
    let signatures = keys.check_signatures();
    let receiver = Receiver::bind(listen, behaviour, keys)?
        .with_limits(limits)
        .with_seed(seed)
        .with_recorder(Arc::<Lines<W>>::clone(&lines));
    let control = receiver.control();
    lines.listening(receiver.local_addr(), signatures);
    receiver
        .serve(async {
            tokio::select! {
                () = stop => {}
                () = passed(run_for) => {}
                () = lines.broken() => {}
            }
        })
        .await?;
    let counts = control.counts();
    lines.summary(&counts);
    match lines.error() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(counts),
    }
}

async fn passed(run_for: Option<Duration>) {
    match run_for {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
