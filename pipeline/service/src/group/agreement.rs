//! What the group says of brokers, as far as this member has read it, and what it has said itself that has not come back
//! yet. Pure.
//!
//! The last record counts, by the order of the log. What is found here only counts if the group has never said anything of
//! it, or if the broker's own answer (410) has disabled it since: both are then to be said to the group.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use kafka_engine::follow::control::{BrokerSaid, BrokerSet};

/// One of the two things that are said of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Flag {
    /// Whether it is paused.
    Paused,
    /// Whether it is disabled.
    Disabled,
}

/// What is to be done about a broker whose state here is not the group's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Leave,
    /// Do here what the group says.
    Follow(bool),
    /// Say to the group what is so here.
    Say,
}

/// What is said and what is on its way.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    said: BTreeMap<(Arc<str>, Flag), bool>,
    /// How many records of this member's are on their way, of each.
    own: HashMap<u64, (Arc<str>, Flag)>,
}

impl Agreement {
    /// A record was read.
    pub(super) fn hear(&mut self, said: &BrokerSaid) {
        let (flag, is_set) = of(&said.set);
        let _before = self.said.insert((Arc::clone(&said.broker), flag), is_set);
        self.answered(said.nonce);
    }

    /// This member has said something.
    pub(super) fn on_its_way(&mut self, said: &BrokerSaid) {
        let _new = self.own.insert(said.nonce, (Arc::clone(&said.broker), of(&said.set).0));
    }

    /// It has come back, or will not.
    pub(super) fn answered(&mut self, nonce: u64) {
        let _own = self.own.remove(&nonce);
    }

    /// What is to be done about `broker`, of which `here` is so.
    pub(super) fn step(&self, broker: &Arc<str>, flag: Flag, here: bool) -> Step {
        if self.own.values().any(|(of, own)| *own == flag && of == broker) {
            return Step::Leave;
        }
        match (self.said.get(&(Arc::clone(broker), flag)), here, flag) {
            (Some(said), _, _) if *said == here => Step::Leave,
            (None, false, _) => Step::Leave,
            // Its own answer has disabled it.
            (None, true, _) | (Some(false), true, Flag::Disabled) => Step::Say,
            (Some(said), _, _) => Step::Follow(*said),
        }
    }
}

/// Which of both `set` is, and whether it is so.
pub(super) fn of(set: &BrokerSet) -> (Flag, bool) {
    match set {
        BrokerSet::Paused(paused) => (Flag::Paused, paused.is_some()),
        BrokerSet::Disabled(disabled) => (Flag::Disabled, disabled.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use state::{Disabled, Paused};

    use super::*;

    fn said(set: BrokerSet, nonce: u64) -> BrokerSaid {
        BrokerSaid { broker: "acme".into(), set, by: "one".into(), nonce }
    }

    fn paused() -> BrokerSet {
        BrokerSet::Paused(Some(Paused { since: 1 }))
    }

    fn disabled() -> BrokerSet {
        BrokerSet::Disabled(Some(Disabled { since: 1, reason: "gone".to_owned() }))
    }

    #[test]
    fn what_the_group_says_is_followed_and_what_it_never_spoke_of_is_said() {
        let (mut agreement, acme) = (Agreement::default(), Arc::from("acme"));
        let step = |agreement: &Agreement, flag, here| agreement.step(&acme, flag, here);
        assert_eq!(step(&agreement, Flag::Paused, false), Step::Leave);
        assert_eq!(step(&agreement, Flag::Paused, true), Step::Say, "from before there was a group");
        agreement.hear(&said(paused(), 1));
        assert_eq!(step(&agreement, Flag::Paused, true), Step::Leave);
        assert_eq!(step(&agreement, Flag::Paused, false), Step::Follow(true));
        assert_eq!(step(&agreement, Flag::Disabled, false), Step::Leave, "another matter");
        agreement.hear(&said(BrokerSet::Paused(None), 2));
        assert_eq!(step(&agreement, Flag::Paused, true), Step::Follow(false));
        agreement.hear(&said(disabled(), 3));
        assert_eq!(step(&agreement, Flag::Disabled, false), Step::Follow(true));
        agreement.hear(&said(BrokerSet::Disabled(None), 4));
        assert_eq!(step(&agreement, Flag::Disabled, true), Step::Say, "it has answered 410 again");
    }

    #[test]
    fn what_is_on_its_way_is_not_said_again_and_whoever_is_last_in_the_log_is_right() {
        let (mut agreement, acme) = (Agreement::default(), Arc::from("acme"));
        let (own, others) = (said(paused(), 7), said(BrokerSet::Paused(None), 8));
        agreement.on_its_way(&own);
        assert_eq!(agreement.step(&acme, Flag::Paused, true), Step::Leave);
        agreement.hear(&others);
        assert_eq!(agreement.step(&acme, Flag::Paused, false), Step::Leave, "its own is still to come");
        agreement.hear(&own);
        assert_eq!(agreement.step(&acme, Flag::Paused, false), Step::Follow(true));
        // One that was refused never comes.
        let enabled = said(disabled(), 9);
        agreement.on_its_way(&enabled);
        agreement.answered(9);
        assert_eq!(agreement.step(&acme, Flag::Disabled, true), Step::Say);
    }
}
