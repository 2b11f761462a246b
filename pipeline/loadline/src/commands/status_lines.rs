//! The status of a run as lines of JSON on stdout, for the program that started it.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;

use line::stop::{Level, Stopper};
use service::{status::Status, view::View};

/// The shortest time between two lines: at most a hundred a second.
const EVERY_MIN: Duration = Duration::from_millis(10);

/// Prints a line at once and then in intervals, until the task is dropped. Asks the run to stop when nobody reads.
pub(super) async fn print(view: View, every: Duration, stopper: Stopper) {
    let mut ticks = tokio::time::interval(every.max(EVERY_MIN));
    // Written from a thread of its own, because a slow reader must not block the intake.
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
