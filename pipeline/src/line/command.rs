//! What a running line is told besides what its source brings: dead letters' deliveries that are to be sent again, and
//! brokers that are to be served from now on.
//!
//! Guarantees: a delivery that is `Placed` is durable on its broker's disk queue, behind what waits there, and its letter
//! is gone; every other one is as it was. It then goes the way of all deliveries: in its turn, within the quota, through
//! dedupe.

use std::collections::BTreeMap;

use rustc_hash::FxHashSet;
use stages::models::{Delivery, Fault};
use state::{DeadLetter, Recorded, SpillSeq};
use tokio::sync::{mpsc, oneshot};

use super::{admit::Newcomer, fault::LineFault, run::Watch, shard::Shard};

/// Commands that may wait for one shard; whoever sends more waits.
pub(super) const COMMANDS_MAX: usize = 16;

/// A dead letter's delivery that is to be sent again.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The delivery; see [`Delivery::from_letter`].
    pub delivery: Delivery,
    /// The letter it comes from, which goes with it; none if the letter stands for other deliveries too.
    pub letter: Option<DeadLetter>,
}

/// What became of a [`Replay`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// It waits on disk for its turn.
    Placed,
    /// There is no room on disk for it, or for one before it of the same broker: try again when some has drained.
    Full,
    /// The line is stopping.
    Stopping,
}

/// What a shard is told.
#[derive(Debug)]
pub(super) enum Command {
    /// Put these on disk, in this order.
    Replay { replays: Vec<Replay>, reply: oneshot::Sender<Vec<Replayed>> },
    /// Serve this broker too; the answer is whether it is.
    Admit { newcomer: Newcomer, reply: oneshot::Sender<bool> },
}

/// Deliveries of letters on their way to disk, and who waits for them.
#[derive(Debug)]
pub(super) struct Replaying {
    /// Their slots and numbers.
    placed: Vec<(usize, SpillSeq)>,
    outcomes: Vec<Replayed>,
    reply: oneshot::Sender<Vec<Replayed>>,
}

impl Watch {
    /// Puts dead letters' deliveries on their brokers' disk queues; the outcomes come in the order of `replays`. Those
    /// of one broker keep their order. They are in memory meanwhile, so give a few hundred at most, and one call at a
    /// time.
    ///
    /// # Errors
    /// [`LineFault::ShardLost`] if a shard has ended with a fault.
    pub async fn replay(&self, replays: Vec<Replay>) -> Result<Vec<Replayed>, LineFault> {
        let mut outcomes = vec![Replayed::Stopping; replays.len()];
        let mut by_shard: BTreeMap<usize, (Vec<usize>, Vec<Replay>)> = BTreeMap::new();
        for (place, replay) in replays.into_iter().enumerate() {
            let (places, of_shard) = by_shard.entry(replay.delivery.broker.shard).or_default();
            places.push(place);
            of_shard.push(replay);
        }
        for (shard, (places, replays)) in by_shard {
            let (reply, told) = oneshot::channel();
            let commands = self.commands(shard).ok_or(LineFault::ShardLost { shard })?;
            // A shard that has ended answers nothing: the line is stopping, or its fault is about to be told.
            if commands.send(Command::Replay { replays, reply }).await.is_err() {
                continue;
            }
            let told = told.await.unwrap_or_default();
            for (place, outcome) in places.into_iter().zip(told) {
                outcomes[place] = outcome;
            }
        }
        Ok(outcomes)
    }
}

impl<Stages> Shard<Stages> {
    /// Carries out a command; gives the place of a slot that is to be looked at at once.
    pub(super) fn obey(&mut self, command: Command) -> Option<usize> {
        match command {
            Command::Replay { replays, reply } => {
                self.replay(replays, reply);
                None
            }
            Command::Admit { newcomer, reply } => self.admit(newcomer, reply),
        }
    }

    fn replay(&mut self, replays: Vec<Replay>, reply: oneshot::Sender<Vec<Replayed>>) {
        let mut replaying = Replaying { placed: Vec::new(), outcomes: Vec::new(), reply };
        let (mut full, mut deliveries) = (FxHashSet::default(), Vec::new());
        for Replay { delivery, letter } in replays {
            let place = self.place_of(&delivery.broker).filter(|_| !self.is_stopping());
            let Some(index) = place else {
                replaying.outcomes.push(Replayed::Stopping);
                continue;
            };
            let room = if full.contains(&index) { None } else { self.slot_mut(index).take_back(delivery) };
            replaying.outcomes.push(if room.is_some() { Replayed::Placed } else { Replayed::Full });
            match room {
                Some(delivery) => {
                    replaying.placed.push((index, delivery.seq));
                    deliveries.push((delivery, letter));
                }
                None => drop(full.insert(index)),
            }
        }
        self.put_back(replaying, deliveries);
    }

    /// What has been put back is durable: it may be read, and whoever waits is told.
    pub(super) fn on_replayed(
        &mut self,
        replaying: Replaying,
        proofs: Result<Vec<Recorded>, Fault>,
    ) -> Result<Vec<usize>, Fault> {
        let _proofs = proofs?;
        let Replaying { placed, outcomes, reply } = replaying;
        for (index, seq) in &placed {
            self.slot_mut(*index).account.written(*seq);
        }
        // Whoever asked may have gone away; the deliveries are where they belong either way.
        let _gone = reply.send(outcomes).is_err();
        Ok(placed.into_iter().map(|(index, _)| index).collect())
    }
}

/// The two ends of a shard's commands.
pub(super) fn commands() -> (mpsc::Sender<Command>, mpsc::Receiver<Command>) {
    mpsc::channel(COMMANDS_MAX)
}
