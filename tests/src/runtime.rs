//! The runtime behind the blocking scenarios: receivers and processes live on it, and waiting is done through it.

use std::{
    io::{self, Write},
    sync::OnceLock,
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    time::{self, Instant},
};

/// How long a scenario waits for something that is bound to come: far longer than it takes on a busy machine, so that
/// only what never comes fails.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// The pause between two looks at something that cannot call back.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The one runtime of this test process; it is never shut down.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
    })
}

/// Says that a test is skipped, and why, past the test harness, which keeps what macros print to itself.
///
/// # Panics
/// If standard error cannot be written.
pub fn skipped(why: &str) {
    say(&format!("SKIPPED: {why}"));
}

/// Says something past the test harness.
pub(crate) fn say(what: &str) {
    io::stderr().write_all(format!("{what}\n").as_bytes()).expect("standard error");
}

/// The moment, on the clock receivers stamp arrivals with.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Lets time pass.
pub fn pause(time: Duration) {
    runtime().block_on(async { time::sleep(time).await });
}

/// Waits until `done` says so.
///
/// # Panics
/// After [`PATIENCE`], naming `what` was waited for.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = now() + PATIENCE;
    while !done() {
        assert!(now() < end, "waited {PATIENCE:?} in vain until {what}");
        pause(LOOK_AGAIN);
    }
}
