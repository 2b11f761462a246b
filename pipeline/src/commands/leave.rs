//! Leaving at once: the process ends with exit code 1 although something in it hangs, be it the disk or whoever should
//! read its log.
//!
//! Leaving without closing the state is safe at any moment: only what was flushed has been promised to anyone, and what
//! was not is read again by the next run.

use std::{
    process,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// How long the last words may take: a log that nobody reads takes none.
const WORDS: Duration = Duration::from_secs(1);

/// How long the system may take to end the process before it is aborted.
const EXIT: Duration = Duration::from_secs(5);

/// Ends the process with exit code 1, after `say`, if that can be said.
pub(super) fn leave(say: impl FnOnce() + Send + 'static) -> ! {
    aside(say);
    // Without a thread there is no second try.
    let _last_resort = thread::Builder::new().name("abort".to_owned()).spawn(|| {
        thread::park_timeout(EXIT);
        process::abort();
    });
    process::exit(1)
}

/// Says something on a thread of its own, and waits for that only so long.
pub(super) fn aside(say: impl FnOnce() + Send + 'static) {
    let (done, said) = mpsc::sync_channel::<()>(0);
    let spoken = thread::Builder::new().name("words".to_owned()).spawn(move || {
        say();
        drop(done);
    });
    if spoken.is_ok() {
        // Nothing is sent: the end of the channel is the end of the words.
        let _late = matches!(said.recv_timeout(WORDS), Err(RecvTimeoutError::Timeout));
    }
}
