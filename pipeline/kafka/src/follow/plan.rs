//! What the state topics must be like, and what is to be done if they are not. Pure.

use std::time::Duration;

use super::options::FollowOptions;
use crate::fault::FollowFault;

/// What a waiting delivery has beside its body: names, and the history of its attempts.
pub(crate) const AROUND_A_BODY: usize = 128 << 10;

/// The longest summary of a member, in bytes.
pub const SUMMARY_MAX: usize = 64 << 10;
/// The largest batch of the control topic, in bytes: several summaries. No more than topics have by default.
const CONTROL_BATCH_MAX: u64 = 1 << 20;
/// How many partitions it has: one of brokers, one of members.
const CONTROL_PARTITIONS: i32 = 2;
/// How large a part of its log becomes before it is compacted, in bytes.
const CONTROL_SEGMENT: u64 = 16 << 20;

/// What the cluster says of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicFacts {
    pub(crate) partitions: i32,
    pub(crate) cleanup_policy: String,
    /// In milliseconds; none if there is no limit.
    pub(crate) retention: Option<u64>,
    /// In bytes; none if there is no limit.
    pub(crate) retention_bytes: Option<u64>,
    /// The largest batch, in bytes.
    pub(crate) message_max: u64,
}

/// A topic as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicPlan {
    pub(crate) topic: String,
    pub(crate) partitions: i32,
    pub(crate) replication: i32,
    pub(crate) settings: Vec<(&'static str, String)>,
    /// Whether records leave it by their age.
    is_ledger: bool,
    retention: u64,
    message_max: u64,
    bootstrap: String,
}

/// What is to be done about a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    Use,
    /// Look again: it was made a moment ago, and whoever was asked does not know all of it.
    Wait,
    /// Make it.
    Create,
    /// Add partitions.
    Grow,
}

impl TopicPlan {
    /// The ledger's topic, that of waiting deliveries, and the group's, for a source of so many partitions.
    pub(crate) fn all(options: &FollowOptions, partitions: i32) -> [Self; 3] {
        let retention = millis(options.dedupe_window.saturating_mul(3) / 2);
        let message_max = (options.record_max + AROUND_A_BODY) as u64;
        let plan = |is_ledger: bool| {
            let mut settings = vec![("min.insync.replicas", options.min_isr.to_string())];
            if is_ledger {
                settings.push(("cleanup.policy", "delete".to_owned()));
                settings.push(("retention.ms", retention.to_string()));
            } else {
                settings.push(("cleanup.policy", "compact".to_owned()));
            }
            settings.push(("max.message.bytes", message_max.to_string()));
            let topic = if is_ledger { &options.ledger_topic } else { &options.waiting_topic };
            let (topic, replication) = (topic.clone(), options.replication);
            let bootstrap = options.cluster.bootstrap.join(",");
            Self { topic, partitions, replication, settings, is_ledger, retention, message_max, bootstrap }
        };
        let control = Self {
            topic: options.control_topic.clone(),
            partitions: CONTROL_PARTITIONS,
            settings: vec![
                ("min.insync.replicas", options.min_isr.to_string()),
                ("cleanup.policy", "compact".to_owned()),
                ("segment.bytes", CONTROL_SEGMENT.to_string()),
                ("max.message.bytes", CONTROL_BATCH_MAX.to_string()),
            ],
            message_max: CONTROL_BATCH_MAX,
            ..plan(false)
        };
        [plan(true), plan(false), control]
    }

    /// What is to be done about a topic of which the cluster says `facts`, if this process may `change` it.
    ///
    /// # Errors
    /// [`FollowFault::Topic`]: somebody else must do it, with the command.
    pub(crate) fn step(&self, facts: Option<&TopicFacts>, change: bool) -> Result<Step, FollowFault> {
        let Some(facts) = facts else {
            return if change {
                Ok(Step::Create)
            } else {
                Err(self.fault("does not exist".to_owned(), self.create_command()))
            };
        };
        // Every topic has one.
        if facts.cleanup_policy.is_empty() {
            return Ok(Step::Wait);
        }
        let policy = if self.is_ledger { "delete" } else { "compact" };
        if facts.cleanup_policy != policy {
            return Err(self.wrong("cleanup.policy", &facts.cleanup_policy, policy));
        }
        if let Some(found) = facts.retention.filter(|found| self.is_ledger && *found < self.retention) {
            return Err(self.wrong("retention.ms", &found.to_string(), &self.retention.to_string()));
        }
        if let Some(found) = facts.retention_bytes.filter(|_| self.is_ledger) {
            return Err(self.wrong("retention.bytes", &found.to_string(), "-1"));
        }
        if facts.message_max < self.message_max {
            let (found, wanted) = (facts.message_max.to_string(), self.message_max.to_string());
            return Err(self.wrong("max.message.bytes", &found, &wanted));
        }
        if facts.partitions >= self.partitions {
            return Ok(Step::Use);
        }
        if change {
            return Ok(Step::Grow);
        }
        let problem = format!("has {} partitions, and needs {}", facts.partitions, self.partitions);
        let Self { bootstrap, topic, partitions, .. } = self;
        Err(self.fault(
            problem,
            format!("kafka-topics.sh --bootstrap-server {bootstrap} --alter --topic {topic} --partitions {partitions}"),
        ))
    }

    /// The fault that nobody says all of it.
    pub(crate) fn unknown(&self) -> FollowFault {
        let Self { bootstrap, topic, .. } = self;
        self.fault(
            "has settings that the cluster does not tell".to_owned(),
            format!(
                "kafka-configs.sh --bootstrap-server {bootstrap} --describe --all --entity-type topics --entity-name {topic}"
            ),
        )
    }

    fn wrong(&self, key: &str, found: &str, wanted: &str) -> FollowFault {
        let Self { bootstrap, topic, .. } = self;
        self.fault(
            format!("has {key}={found}, and state that follows its partition needs {wanted}"),
            format!(
                "kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type topics --entity-name {topic} --add-config {key}={wanted}"
            ),
        )
    }

    fn create_command(&self) -> String {
        let Self { bootstrap, topic, partitions, replication, .. } = self;
        let mut command = format!(
            "kafka-topics.sh --bootstrap-server {bootstrap} --create --topic {topic} --partitions {partitions} --replication-factor {replication}"
        );
        for (key, value) in &self.settings {
            command.push_str(&format!(" --config {key}={value}"));
        }
        command
    }

    fn fault(&self, problem: String, command: String) -> FollowFault {
        FollowFault::Topic { topic: self.topic.clone(), problem, command }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::follow::testing::options;

    const WINDOW: u64 = 7 * 24 * 3_600_000;

    fn fine(is_ledger: bool) -> TopicFacts {
        TopicFacts {
            partitions: 12,
            cleanup_policy: if is_ledger { "delete" } else { "compact" }.to_owned(),
            retention: Some(WINDOW * 3 / 2),
            retention_bytes: None,
            message_max: 4 << 20,
        }
    }

    #[test]
    fn topics_that_are_not_there_or_too_small_are_made_or_the_command_is_named() {
        let [ledger, waiting, control] = TopicPlan::all(&options(), 12);
        assert_eq!(ledger.step(None, true).unwrap(), Step::Create);
        let said = ledger.step(None, false).unwrap_err().to_string();
        for part in [
            "t-ledger",
            "--create",
            "--partitions 12",
            "--replication-factor 3",
            "retention.ms=907200000",
            "min.insync.replicas=2",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(waiting.step(None, false).unwrap_err().to_string().contains("cleanup.policy=compact"));
        let said = control.step(None, false).unwrap_err().to_string();
        for part in ["t-control", "--partitions 2", "cleanup.policy=compact", "segment.bytes=16777216"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let by_default = TopicFacts { partitions: 2, message_max: 1 << 20, retention: None, ..fine(false) };
        assert_eq!(control.step(Some(&by_default), false).unwrap(), Step::Use);
        let small = TopicFacts { partitions: 3, ..fine(true) };
        assert_eq!(ledger.step(Some(&small), true).unwrap(), Step::Grow);
        assert!(
            ledger
                .step(Some(&small), false)
                .unwrap_err()
                .to_string()
                .contains("--alter --topic t-ledger --partitions 12")
        );
        for (plan, is_ledger) in [(&ledger, true), (&waiting, false)] {
            assert_eq!(plan.step(Some(&fine(is_ledger)), false).unwrap(), Step::Use);
            let more = TopicFacts { partitions: 24, retention: None, ..fine(is_ledger) };
            assert_eq!(plan.step(Some(&more), false).unwrap(), Step::Use);
        }
    }

    #[test]
    fn topics_that_would_forget_too_early_are_refused_whoever_may_change_them() {
        let [ledger, waiting, _] = TopicPlan::all(&options(), 12);
        let wrong = [
            (TopicFacts { cleanup_policy: "compact".into(), ..fine(true) }, "cleanup.policy=delete"),
            (TopicFacts { cleanup_policy: "compact,delete".into(), ..fine(true) }, "cleanup.policy=delete"),
            (TopicFacts { retention: Some(WINDOW), ..fine(true) }, "retention.ms=907200000"),
            (TopicFacts { retention_bytes: Some(1), ..fine(true) }, "retention.bytes=-1"),
            (TopicFacts { message_max: 1 << 20, ..fine(true) }, "max.message.bytes="),
        ];
        for (facts, remedy) in wrong {
            let said = ledger.step(Some(&facts), true).unwrap_err().to_string();
            assert!(said.contains(remedy) && said.contains("kafka-configs.sh"), "{said}");
        }
        let deletes = TopicFacts { cleanup_policy: "delete".into(), ..fine(false) };
        assert!(waiting.step(Some(&deletes), true).is_err());
    }
}
