//! Renews a member's lease as often as it needs.

use std::future::pending;

use topics::Checkpoints;

use crate::{consumer::Consumer, member::Member};

impl<C: Consumer, K: Checkpoints> Member<C, K> {
    /// Renews the lease, if there is one, as often as it needs; never ends.
    pub(crate) async fn renew_on(&self) {
        let Some(lease) = &self.lease else { return pending().await };
        let mut ticks = lease.ticks();
        let mut is_told = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = lease.wanted() => {}
            }
            self.keep_alive().await;
            let has_ended = lease.has_ended() && !self.held.lock().is_empty();
            if has_ended && !is_told {
                tracing::warn!(
                    term = ?lease.term(),
                    "the lease has ended, because the group does not answer: nothing is sent until it does"
                );
            } else if is_told && !has_ended {
                tracing::info!("the group has answered: deliveries go on");
            }
            is_told = has_ended;
        }
    }
}
