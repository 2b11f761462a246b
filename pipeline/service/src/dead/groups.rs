//! Groups dead letters by stage and cause: how many, the first and the last, and their brokers. Letters are added in
//! order, all at once or a page at a time.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use crate::text_table::{shown, write_rows};
use serde::{Deserialize, Serialize};
use state::{DeadLetter, UnixMillis, timestamp};

/// Brokers named in one row of the table; the others are counted.
const BROKERS_SHOWN: usize = 4;

/// All letters of one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// The stage that failed.
    pub stage: String,
    /// Why.
    pub cause: String,
    /// How many.
    pub count: u64,
    /// The position of the first, in the order of sources and of places in them.
    pub first: String,
    /// That of the last.
    pub last: String,
    /// When the earliest became a dead letter.
    #[serde(with = "timestamp")]
    pub first_at: UnixMillis,
    /// When the latest did.
    #[serde(with = "timestamp")]
    pub last_at: UnixMillis,
    /// Their brokers; none if they never became events. Bounded by the brokers that configs have named.
    pub brokers: BTreeSet<String>,
}

/// The groups of the letters added so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Groups(Vec<Group>);

impl Groups {
    /// Adds a letter that comes after all that were added before.
    pub fn add(&mut self, letter: &DeadLetter) {
        let position = letter.position.to_string();
        self.join(Group {
            stage: letter.stage.as_str().to_owned(),
            cause: letter.cause.clone(),
            count: 1,
            first: position.clone(),
            last: position,
            first_at: letter.at,
            last_at: letter.at,
            brokers: letter.broker.iter().map(ToString::to_string).collect(),
        });
    }

    /// Adds groups of letters that come after all that were added before.
    pub fn merge(&mut self, behind: Self) {
        behind.0.into_iter().for_each(|group| self.join(group));
    }

    fn join(&mut self, behind: Group) {
        let same = |group: &&mut Group| group.stage == behind.stage && group.cause == behind.cause;
        match self.0.iter_mut().find(same) {
            None => self.0.push(behind),
            Some(group) => {
                group.count += behind.count;
                group.last = behind.last;
                group.first_at = group.first_at.min(behind.first_at);
                group.last_at = group.last_at.max(behind.last_at);
                group.brokers.extend(behind.brokers);
            }
        }
    }

    /// The number of letters added.
    #[must_use]
    pub fn letters(&self) -> u64 {
        self.0.iter().map(|group| group.count).sum()
    }

    /// The groups, the largest first.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Group> {
        self.0.sort_by(|one, other| {
            let name = |group: &Group| (group.stage.clone(), group.cause.clone());
            other.count.cmp(&one.count).then_with(|| name(one).cmp(&name(other)))
        });
        self.0
    }
}

/// Writes the groups as a table.
///
/// # Errors
/// `out` cannot be written.
pub fn write_groups(out: &mut impl Write, groups: &[Group]) -> io::Result<()> {
    let heads = ["letters", "stage", "cause", "first", "last", "from", "to", "brokers"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for group in groups {
        let mut brokers: Vec<_> = group.brokers.iter().take(BROKERS_SHOWN).map(String::as_str).collect();
        let more = group.brokers.len().saturating_sub(BROKERS_SHOWN);
        let others = format!("and {more} more");
        if more > 0 {
            brokers.push(&others);
        }
        rows.push(vec![
            group.count.to_string(),
            group.stage.clone(),
            shown(&group.cause),
            shown(&group.first),
            shown(&group.last),
            timestamp::text(group.first_at),
            timestamp::text(group.last_at),
            if brokers.is_empty() { "-".to_owned() } else { brokers.join(", ") },
        ]);
    }
    write_rows(out, &rows, &[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead::testing::letter;

    #[test]
    fn a_group_knows_its_first_and_last_and_does_not_depend_on_pages() {
        let brokers = [Some("acme"), None, Some("birch"), Some("acme")];
        let mut letters: Vec<_> = (0..8).map(|at| letter(at, brokers[at as usize % 4])).collect();
        // Replayed and failed again: its time is the latest, its place the first.
        letters[0].at = 99_000_000;
        let mut whole = Groups::default();
        letters.iter().for_each(|letter| whole.add(letter));
        let mut paged = Groups::default();
        for page in letters.chunks(3) {
            let mut groups = Groups::default();
            page.iter().for_each(|letter| groups.add(letter));
            let wire = serde_json::to_string(&groups).unwrap();
            paged.merge(serde_json::from_str(&wire).unwrap());
        }
        assert_eq!(paged, whole);
        let groups = whole.into_sorted();
        let refused = Group {
            stage: "deliver".to_owned(),
            cause: "refused".to_owned(),
            count: 6,
            first: "test@0:0".to_owned(),
            last: "test@0:7".to_owned(),
            first_at: 86_400_002,
            last_at: 99_000_000,
            brokers: ["acme", "birch"].map(str::to_owned).into(),
        };
        assert_eq!(groups[0], refused);
        assert_eq!(
            (groups[1].cause.as_str(), groups[1].count, groups[1].brokers.len()),
            ("unknown-status", 2, 0)
        );
        let mut out = Vec::new();
        write_groups(&mut out, &groups).unwrap();
        let table = String::from_utf8(out).unwrap();
        assert!(
            table
                .lines()
                .nth(1)
                .unwrap()
                .starts_with("      6  deliver   refused         test@0:0  test@0:7"),
            "{table}"
        );
    }
}
