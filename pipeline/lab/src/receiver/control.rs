//! The handle on a running receiver: it sets the behaviour and reads the counts. Clones control the same receiver.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Behaviour, BehaviourError, Counts, counts::Tally};

/// Changes a receiver's behaviour while it runs, and reads its counts.
#[derive(Clone, Debug)]
pub struct Control {
    behaviour: watch::Sender<Arc<Behaviour>>,
    tally: Arc<Tally>,
}

impl Control {
    pub(crate) fn new(behaviour: Behaviour) -> Self {
        Self { behaviour: watch::Sender::new(Arc::new(behaviour)), tally: Arc::default() }
    }

    /// Behaves like this from the next request on; requests under way end as they were planned.
    ///
    /// # Errors
    /// A behaviour that cannot be had; the old one stays.
    pub fn set(&self, behaviour: Behaviour) -> Result<(), BehaviourError> {
        behaviour.check()?;
        self.behaviour.send_replace(Arc::new(behaviour));
        Ok(())
    }

    /// The behaviour now.
    #[must_use]
    pub fn behaviour(&self) -> Arc<Behaviour> {
        Arc::clone(&self.behaviour.borrow())
    }

    /// What the receiver has seen so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.tally.counts()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Behaviour>> {
        self.behaviour.subscribe()
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }
}
