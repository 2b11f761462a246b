//! What a check of a state directory found, in words.

use std::collections::BTreeMap;

use crate::{dangling::MissingDelivery, fault::StateFault};

/// The result of a check: what is in a state directory, what is damaged, and what is missing.
#[derive(Clone, Debug, Default)]
pub struct StateCheck {
    /// What is damaged, in words; empty if nothing is.
    pub damage: Vec<String>,
    /// What a loss of power has cost, where a run opens the directory all the same; in words.
    pub lost: Vec<String>,
    /// Deliveries that wait according to the ledger, but are not there.
    pub missing: Vec<MissingDelivery>,
    /// Whether anything could be read at all.
    pub readable: bool,
    /// Deliveries that wait on disk, by broker.
    pub waiting: BTreeMap<String, u64>,
    /// Dead letters.
    pub dead_letters: u64,
    /// Entries of the ledger.
    pub ledger_entries: u64,
    /// Posted records that are not settled.
    pub posted: u64,
}

impl StateCheck {
    /// Whether nothing is damaged.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty() && self.missing.is_empty()
    }

    pub(super) fn note(&mut self, fault: &StateFault) {
        self.say(match fault {
            StateFault::Damaged { detail, .. } => detail.clone(),
            StateFault::Undecodable { tree, detail } => format!("a value in {tree} cannot be read: {detail}"),
            other => other.to_string(),
        });
    }

    /// Reports what could not be read of the tree that holds `what`.
    pub(super) fn note_all(&mut self, what: &str, faults: &[StateFault]) {
        for fault in faults {
            match fault {
                StateFault::Damaged { detail, .. } => {
                    self.say(format!("a part of the {what} cannot be read: {detail}"));
                }
                other => self.note(other),
            }
        }
    }

    pub(super) fn say(&mut self, damage: String) {
        // The same page may be met twice.
        if !self.damage.contains(&damage) {
            self.damage.push(damage);
        }
    }

    /// The value of `found`; a fault is reported.
    pub(super) fn noted<T: Default>(&mut self, found: Result<T, StateFault>) -> T {
        found.unwrap_or_else(|fault| {
            self.note(&fault);
            T::default()
        })
    }
}
