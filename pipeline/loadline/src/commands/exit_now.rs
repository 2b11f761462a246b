//! Exits at once with code 1, even if the disk or the log's reader hangs.
//!
//! Exiting without closing the state is safe at any time: only flushed records have been promised, and the rest is
//! read again by the next run.

use std::{
    process,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// How long the last log line may take: nobody may be reading the log.
const LOG_TIME: Duration = Duration::from_secs(1);

/// How long the system may take to end the process before it is aborted.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Ends the process with exit code 1, after `say` or its timeout.
pub(super) fn exit_now(say: impl FnOnce() + Send + 'static) -> ! {
    run_with_limit(say);
    // Without a thread the process is not aborted after the timeout.
    let _last_resort = thread::Builder::new().name("abort".to_owned()).spawn(|| {
        thread::park_timeout(EXIT_TIMEOUT);
        process::abort();
    });
    process::exit(1)
}

/// Calls `say` on a thread of its own, and waits for it for a limited time.
pub(super) fn run_with_limit(say: impl FnOnce() + Send + 'static) {
    let (done, said) = mpsc::sync_channel::<()>(0);
    let spoken = thread::Builder::new().name("log".to_owned()).spawn(move || {
        say();
        drop(done);
    });
    if spoken.is_ok() {
        // Nothing is sent: the thread drops its end of the channel when it is done.
        let _late = matches!(said.recv_timeout(LOG_TIME), Err(RecvTimeoutError::Timeout));
    }
}
