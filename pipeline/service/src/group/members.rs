//! Which members of the group have told of themselves, and when this one heard of it last. Pure.
//!
//! What is held: at most [`MEMBERS_MAX`] summaries.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::status::{MemberStatus, MemberSummary};

/// How often a member tells of itself.
pub(super) const TELL_EVERY: Duration = Duration::from_secs(3);
/// After which silence a member counts as one that does not answer.
const SILENT_AFTER: Duration = Duration::from_secs(10);
/// For how long a member that is silent is shown.
const SHOWN_FOR: Duration = Duration::from_secs(600);
/// The most members that are shown.
const MEMBERS_MAX: usize = 1_000;

/// The members, this one among them.
#[derive(Debug, Default)]
pub(super) struct Members(BTreeMap<Arc<str>, Heard>);

#[derive(Debug)]
struct Heard {
    summary: MemberSummary,
    /// As old as the summary is known to be.
    at: Instant,
    age: Duration,
}

impl Members {
    /// A member has told of itself, `age` ago.
    pub(super) fn told(&mut self, member: Arc<str>, summary: MemberSummary, age: Duration, now: Instant) {
        if age < SHOWN_FOR {
            let _before = self.0.insert(member, Heard { summary, at: now, age });
        }
        self.0.retain(|_, heard| heard.age_at(now) < SHOWN_FOR);
        while self.0.len() > MEMBERS_MAX {
            let oldest =
                self.0.iter().max_by_key(|(_, heard)| heard.age_at(now)).map(|(name, _)| Arc::clone(name));
            let _oldest = oldest.and_then(|name| self.0.remove(&name));
        }
    }

    /// A member has left in good order.
    pub(super) fn left(&mut self, member: &str) {
        let _there = self.0.remove(member);
    }

    /// All that are to be shown, by name.
    pub(super) fn shown(&self, now: Instant) -> Vec<MemberStatus> {
        let shown = self.0.iter().filter(|(_, heard)| heard.age_at(now) < SHOWN_FOR);
        shown
            .map(|(member, heard)| {
                let age = heard.age_at(now);
                MemberStatus::new(member, &heard.summary, age, age >= SILENT_AFTER)
            })
            .collect()
    }
}

impl Heard {
    fn age_at(&self, now: Instant) -> Duration {
        self.age + now.saturating_duration_since(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_member_that_is_silent_is_shown_as_such_for_a_while_and_one_that_has_left_is_not() {
        let (mut members, start) = (Members::default(), Instant::now());
        let silent = |members: &Members, at: Instant| -> Vec<(String, bool)> {
            members.shown(at).into_iter().map(|member| (member.name, member.silent)).collect()
        };
        members.told("one".into(), MemberSummary::default(), Duration::ZERO, start);
        members.told("two".into(), MemberSummary::default(), 60 * SECOND, start);
        members.told("old".into(), MemberSummary::default(), 3_600 * SECOND, start);
        let expected = [("one".to_owned(), false), ("two".to_owned(), true)];
        assert_eq!(silent(&members, start + 9 * SECOND), expected);
        assert_eq!(silent(&members, start + 10 * SECOND)[0], ("one".to_owned(), true));
        members.told("one".into(), MemberSummary::default(), Duration::ZERO, start + 540 * SECOND);
        assert_eq!(silent(&members, start + 541 * SECOND), [("one".to_owned(), false)]);
        members.left("one");
        assert_eq!(silent(&members, start), []);
    }

    #[test]
    fn there_is_a_bound_and_the_one_that_is_silent_for_longest_gives_way() {
        let (mut members, start) = (Members::default(), Instant::now());
        members.told("quiet".into(), MemberSummary::default(), SECOND, start);
        for number in 0..MEMBERS_MAX {
            members.told(format!("m{number}").into(), MemberSummary::default(), Duration::ZERO, start);
        }
        let shown = members.shown(start);
        assert_eq!((shown.len(), shown.iter().any(|member| member.name == "quiet")), (MEMBERS_MAX, false));
    }
}
