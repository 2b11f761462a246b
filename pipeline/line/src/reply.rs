//! The answer to a command that has no result but that it is done.

use tokio::sync::oneshot;

/// To be sent when it is done.
#[derive(Debug)]
pub(super) struct Reply(oneshot::Sender<()>);

/// A reply, and what waits for it: an error if it never comes.
pub(super) fn reply() -> (Reply, oneshot::Receiver<()>) {
    let (reply, waits) = oneshot::channel();
    (Reply(reply), waits)
}

impl Reply {
    /// It is done.
    pub(super) fn send(self) {
        // Nobody may wait any more.
        let _gone = self.0.send(());
    }
}
