//! The progress line on a terminal: what has been read and delivered, what is in memory and on disk.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use service::view::View;

/// The interval of the progress line.
const EVERY: Duration = Duration::from_millis(200);

/// Shows `view` until the task is dropped or aborted.
pub(super) async fn show(view: View) {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    let (mut before, mut at) = (0, Instant::now());
    loop {
        tokio::time::sleep(EVERY).await;
        let delivered: u64 = view.brokers.all().iter().map(|broker| broker.tally.delivered.get()).sum();
        let rate = (delivered - before) as f64 / at.elapsed().as_secs_f64();
        (before, at) = (delivered, Instant::now());
        let read = view.line.partitions().issued();
        let (in_flight, spilled) = (view.line.in_flight(), view.line.spilled());
        let held = if view.line.is_held() { ", intake held" } else { "" };
        bar.set_message(format!(
            "read {read}, delivered {delivered} ({rate:.0}/s), in memory {in_flight}, on disk {spilled}{held}"
        ));
        bar.tick();
    }
}
