//! Which partitions count as this process's where a broker's limits are divided over the members of a group.
//!
//! Guarantee: a partition counts from when it is taken up until everything of it has come to its end and is committed, or it
//! is lost; the group is told only then, so that it counts at no two members that do what the group says.

use std::{collections::BTreeSet, sync::OnceLock};

use parking_lot::Mutex;

/// Called whenever they change, with the partitions' numbers and how many the topic has; must not wait.
pub type OnCounted = Box<dyn Fn(&BTreeSet<u32>, u32) + Send + Sync>;

/// The partitions.
#[derive(Default)]
pub(crate) struct CountedPartitions {
    counted: Mutex<(BTreeSet<u32>, u32)>,
    tell: OnceLock<OnCounted>,
}

impl CountedPartitions {
    /// Tells from now on, at once for the first time.
    pub(crate) fn tell(&self, tell: OnCounted) {
        let counted = self.counted.lock();
        tell(&counted.0, counted.1);
        let _first = self.tell.set(tell).is_ok();
    }

    /// These count.
    pub(crate) fn hold(&self, partitions: impl IntoIterator<Item = i32>) {
        self.change(|(held, _)| {
            held.extend(partitions.into_iter().filter_map(|held| u32::try_from(held).ok()));
        });
    }

    /// These count no more.
    pub(crate) fn give_up(&self, partitions: &[i32]) {
        let is_given_up = |held: &u32| partitions.iter().any(|given| u32::try_from(*given) == Ok(*held));
        self.change(|(held, _)| held.retain(|held| !is_given_up(held)));
    }

    /// The topic has so many.
    pub(crate) fn of(&self, count: i32) {
        self.change(|(_, of)| *of = u32::try_from(count).unwrap_or_default());
    }

    fn change(&self, change: impl FnOnce(&mut (BTreeSet<u32>, u32))) {
        let mut counted = self.counted.lock();
        let before = counted.clone();
        change(&mut counted);
        // Within the lock: whoever is told last is told what is so.
        if let Some(tell) = self.tell.get().filter(|_| *counted != before) {
            tell(&counted.0, counted.1);
        }
    }
}
