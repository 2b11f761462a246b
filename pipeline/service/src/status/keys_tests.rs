//! docs/status.md documents exactly the keys of the JSON of `status` and `run`.

use std::collections::BTreeSet;

use serde::{
    Deserialize, Deserializer, de,
    de::{Visitor, value::Error},
    forward_to_deserialize_any,
};

use super::*;
use crate::summary::{BrokerSummary, PossibleRepeats, Summary};

/// Takes the names of a struct's fields from what its `Deserialize` asks for.
#[derive(Default)]
struct Keys(&'static [&'static str]);

impl<'de> Deserializer<'de> for &mut Keys {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0 = fields;
        Err(de::Error::custom("the names are enough"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn keys<'de, T: Deserialize<'de>>(prefix: &str) -> Vec<String> {
    let mut keys = Keys::default();
    let _names_only = T::deserialize(&mut keys).is_err();
    assert!(!keys.0.is_empty(), "{prefix} has no keys");
    keys.0.iter().map(|key| format!("{prefix}{key}")).collect()
}

/// What stands between backquotes in the first column of the tables under a heading.
fn documented(heading: &str) -> BTreeSet<String> {
    let text = include_str!("../../../../docs/status.md");
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n#").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.flat_map(|row| {
        let column = format!("`{}", row.split(" | ").next().unwrap());
        column.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    })
    .collect()
}

fn assert_same(there: Vec<String>, documented: &BTreeSet<String>) {
    let there: BTreeSet<String> = there.into_iter().collect();
    let missing: Vec<_> = there.difference(documented).collect();
    let unknown: Vec<_> = documented.difference(&there).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "docs/status.md lacks {missing:?}, and there is no {unknown:?}"
    );
}

#[test]
fn every_key_of_the_status_is_documented_and_no_other() {
    let mut there = vec!["answeredBy".to_owned()];
    there.extend(keys::<Status>(""));
    there.extend(keys::<Verdict>("verdict."));
    there.extend(keys::<RecentRecords>("recent."));
    there.extend(keys::<PartitionStatus>("partitions[]."));
    there.extend(keys::<ReadingStatus>("partitions[].reading."));
    there.extend(keys::<GroupStatus>("group."));
    there.extend(keys::<SubscriptionsStatus>("subscriptions."));
    there.extend(keys::<RejectedBroker>("subscriptions.rejected[]."));
    there.extend(keys::<FileStatus>("partitions[].file."));
    there.extend(keys::<MovedStatus>("moved[]."));
    there.extend(keys::<BrokerStatus>("brokers[]."));
    there.extend(keys::<RecentBroker>("brokers[].recent."));
    there.extend(keys::<ErrorStatus>("brokers[].lastError."));
    there.extend(keys::<DeadStatus>("deadLetters."));
    there.extend(keys::<DeadCause>("deadLetters.byCause[]."));
    there.extend(keys::<DeadTopicStatus>("deadTopic."));
    there.extend(keys::<LedgerStatus>("ledger."));
    assert_same(there, &documented("The status in JSON"));
}

#[test]
fn every_key_of_the_groups_picture_is_documented_and_no_other() {
    let mut there = keys::<GroupPicture>("");
    // What a member tells of itself stands beside its name.
    there.extend(["name", "ageSeconds", "silent"].map(|key| format!("members[].{key}")));
    there.extend(keys::<MemberSummary>("members[]."));
    there.extend(keys::<MemberBroker>("members[].brokers[]."));
    there.extend(keys::<GroupBroker>("brokers[]."));
    assert_same(there, &documented("The group in JSON"));
}

#[test]
fn every_key_of_a_runs_summary_is_documented_and_no_other() {
    let mut there = keys::<Summary>("");
    there.extend(keys::<PossibleRepeats>("possible_repeats."));
    there.extend(keys::<BrokerSummary>("brokers[]."));
    assert_same(there, &documented("The end of a run in JSON"));
}
