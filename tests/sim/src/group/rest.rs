//! Whether a group has come to rest, and whether what is there then is what had to come of the log: by what the topics
//! give to whoever claims the partitions next, and by the letters on the members' disks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering,
};

use futures::{FutureExt, StreamExt};
use kafka_engine::simulated::TOPIC;
use simulation::START;
use state::{Outcome, Restored};
use tokio::time::timeout;

use super::Group;
use crate::{
    chain::open,
    checks::rest::repeats_are_counted,
    log::Entry,
    process::STOP_MAX,
    violation::Promise,
    world::{Broken, numbers, state_fault},
};

/// What the topics say of each (broker, event).
type Outcomes = BTreeMap<(usize, usize), Outcome>;
/// Letters by broker and the entry's number, with their causes.
type Letters = BTreeMap<(Option<usize>, usize), BTreeSet<String>>;

/// The numbers of the broker and the event that are called so.
fn key_of(broker: &str, event: &str) -> Option<(usize, usize)> {
    Some((broker.strip_prefix('b')?.parse().ok()?, event.strip_prefix('e')?.parse().ok()?))
}

impl Group {
    /// What is still to come, for a message; empty if nothing is.
    pub(super) fn owed(&self) -> String {
        let plan = self.world.plan();
        let mut done = BTreeSet::new();
        for partition in 0..plan.log.partitions() {
            let outcomes = self.cluster.outcomes(partition as i32).into_iter();
            let ended = outcomes.filter(|written| written.outcome != Outcome::Spilled);
            done.extend(ended.filter_map(|written| numbers(&written)));
        }
        let wanted = self.wanted();
        let owed: Vec<_> = wanted.into_iter().filter(|wanted| !done.contains(wanted)).collect();
        let members = self.members.lock().clone();
        let busy = members.iter().flatten().filter(|member| !member.is_idle());
        let busy: Vec<_> = busy.map(|member| member.at).collect();
        let has: Vec<_> = members.iter().flatten().map(|of| (of.at, of.partitions())).collect();
        let unread: Vec<_> = (0..plan.log.partitions())
            .filter(|partition| {
                let len =
                    plan.log.entries().filter(|(number, _)| plan.log.place(*number).0 == *partition).count();
                self.cluster.committed(*partition as i32) != Some(len as u64) && len > 0
            })
            .collect();
        if owed.is_empty() && busy.is_empty() && unread.is_empty() {
            return String::new();
        }
        format!(
            "(broker, event) {owed:?}, busy members {busy:?}, partitions with unsettled records {unread:?}, members have {has:?}"
        )
    }

    /// Each (broker, event) that has to come to an end.
    fn wanted(&self) -> Vec<(usize, usize)> {
        let plan = self.world.plan();
        let new = plan.log.entries().filter(|(_, entry)| matches!(entry, Entry::New { .. }));
        let each = new.flat_map(|(number, _)| (0..plan.brokers.len()).map(move |broker| (broker, number)));
        each.filter(|(broker, number)| plan.wants(*broker, *number)).collect()
    }

    /// Compares what is left with what had to come.
    pub(super) async fn check_rest(&self) -> Result<(), Broken> {
        let (outcomes, letters) = (self.claim_all().await?, self.letters()?);
        let plan = self.world.plan();
        for (broker, number) in self.wanted() {
            let taken = self.world.state().wire.has_taken(broker, number);
            let refuses = plan.brokers[broker].refuses_one_in;
            let refused = refuses.is_some_and(|of| (number as u64).is_multiple_of(of));
            let is_right = match outcomes.get(&(broker, number)) {
                Some(Outcome::Delivered) => taken,
                Some(Outcome::DeadLettered) => refused,
                _ => false,
            };
            if !is_right {
                let found = outcomes.get(&(broker, number));
                let detail = format!("event {number} at broker {broker}: {found:?}, taken: {taken}");
                return Err((Promise::NothingLost, detail));
            }
        }
        self.check_letters(&letters)?;
        repeats_are_counted(&self.world)
    }

    /// What the next one to claim the partitions is given.
    async fn claim_all(&self) -> Result<Outcomes, Broken> {
        let mut outcomes = Outcomes::new();
        let client = self.cluster.client("inspector.0".into(), u64::MAX);
        let plan = self.world.plan();
        for partition in 0..plan.log.partitions() {
            let restored = client.claim(partition as i32).collect::<Vec<_>>();
            let restored = async {
                tokio::select! {
                    restored = restored => restored,
                    () = client.pump(|_| Some(std::time::Duration::ZERO)) => Vec::new(),
                }
            };
            let late = |_| (Promise::GoesOn, format!("{TOPIC}/{partition} is not restored"));
            for item in timeout(STOP_MAX, restored.boxed_local()).await.map_err(late)? {
                match item.map_err(|fault| (Promise::NoFault, fault.to_string()))? {
                    Restored::Outcome { broker, event_id, entry } => {
                        // What was delivered was: nothing later changes that.
                        if let Some(key) = key_of(&broker, &event_id)
                            && outcomes.get(&key) != Some(&Outcome::Delivered)
                        {
                            outcomes.insert(key, entry.outcome);
                        }
                    }
                    Restored::Waiting(waiting) => {
                        let (event, broker) = (&waiting.event.event_id, &waiting.broker);
                        // A member that was expelled may have put it back when it had ended: whoever claims it next knows.
                        let key = key_of(broker, event);
                        let has_ended = key.and_then(|key| outcomes.get(&key));
                        if has_ended.is_some_and(|outcome| *outcome != Outcome::Spilled) {
                            continue;
                        }
                        return Err((Promise::NothingLost, format!("{event} still waits for {broker}")));
                    }
                    Restored::Left(_) => {}
                }
            }
        }
        Ok(outcomes)
    }

    fn letters(&self) -> Result<Letters, Broken> {
        let mut letters = Letters::new();
        let members: Vec<_> = self.members.lock().iter().flatten().cloned().collect();
        for disk in members.iter().map(|member| member.disk()) {
            let store = open(&self.world, &disk, START + self.world.state().now())?;
            for letter in store.dead_letters().iter() {
                let letter = letter.map_err(|fault| state_fault(&fault))?;
                let broker = letter.broker.and_then(|id| id.strip_prefix('b')?.parse().ok());
                let partition = letter.position.source.rsplit_once('/').and_then(|(_, at)| at.parse().ok());
                let number = partition.and_then(|at| self.world.plan().log.at(at, letter.position.offset));
                letters.entry((broker, number.unwrap_or(usize::MAX))).or_default().insert(letter.cause);
            }
        }
        Ok(letters)
    }

    /// Letters are where they were made, unless the disk was lost.
    fn check_letters(&self, letters: &Letters) -> Result<(), Broken> {
        let plan = self.world.plan();
        for (number, entry) in plan.log.entries() {
            let expected: Vec<_> = match entry {
                _ if self.lost_letters.load(Ordering::Relaxed) => continue,
                Entry::Garbage { .. } => vec![(None, "not-json")],
                Entry::Conflict { .. } => {
                    let brokers = (0..plan.brokers.len()).filter(|broker| plan.wants(*broker, number));
                    brokers.map(|broker| (Some(broker), "conflict")).collect()
                }
                Entry::New { .. } | Entry::Again { .. } => continue,
            };
            for (broker, cause) in expected {
                if !letters.get(&(broker, number)).is_some_and(|causes| causes.contains(cause)) {
                    let detail = format!("entry {number}, broker {broker:?}: no letter of {cause}");
                    return Err((Promise::NothingLost, detail));
                }
            }
        }
        for ((broker, number), causes) in letters {
            let has_reason = |cause: &String| match (cause.as_str(), broker) {
                _ if *number >= plan.log.len() => false,
                ("not-json", None) => matches!(plan.log.entry(*number), Entry::Garbage { .. }),
                ("conflict", Some(_)) => matches!(plan.log.entry(*number), Entry::Conflict { .. }),
                ("refused", Some(broker)) => {
                    plan.brokers[*broker].refuses_one_in.is_some_and(|of| (*number as u64).is_multiple_of(of))
                }
                _ => false,
            };
            if let Some(cause) = causes.iter().find(|cause| !has_reason(cause)) {
                let detail =
                    format!("entry {number}, broker {broker:?}: a dead letter of {cause}, for no reason");
                return Err((Promise::NothingLost, detail));
            }
        }
        Ok(())
    }
}
