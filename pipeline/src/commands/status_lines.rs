//! The status of a run as lines of JSON on stdout, for a program that started it.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::{
    engine::View,
    status::Status,
    stop::{Level, Stopper},
};

/// The shortest time between two lines: a pipe is no place for more than a hundred a second.
const EVERY_MIN: Duration = Duration::from_millis(10);

/// Prints a line at once and then every so often, until the task is dropped; asks to stop when nobody reads.
pub(super) async fn print(view: View, every: Duration, stopper: Stopper) {
    let mut ticks = tokio::time::interval(every.max(EVERY_MIN));
    // Written from a thread of its own: a reader that is slow must not hold up the intake.
    let mut out = tokio::io::stdout();
    loop {
        ticks.tick().await;
        let line = format!("{}\n", json!({ "status": Status::from(&view) }));
        if out.write_all(line.as_bytes()).await.is_err() || out.flush().await.is_err() {
            stopper.ask(Level::Drain);
            return;
        }
    }
}
