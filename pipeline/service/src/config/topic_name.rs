//! What a topic may be called: each kind of cluster has its own rule.

use super::problem::Refusal;

/// The rule for topics' names, in bytes: the clusters' own limits.
const FLUVIO_MAX: usize = 63;
const KAFKA_MAX: usize = 249;

/// Whether a Fluvio cluster takes this as a topic's name.
#[must_use]
pub fn is_fluvio_topic(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=FLUVIO_MAX).contains(&text.len())
        && text.bytes().all(is_letter)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether a Kafka cluster takes this as a topic's name.
#[must_use]
pub fn is_kafka_topic(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=KAFKA_MAX).contains(&text.len()) && text.bytes().all(is_letter) && !matches!(text, "." | "..")
}

/// What is wrong with a Fluvio topic's name; none if nothing is.
pub(super) fn fluvio(text: &str) -> Option<Refusal> {
    refusal(is_fluvio_topic(text), "give 1 to 63 of a to z, 0 to 9 and -, with no - at its ends")
}

/// What is wrong with a Kafka topic's name; none if nothing is.
pub(super) fn kafka(text: &str) -> Option<Refusal> {
    refusal(
        is_kafka_topic(text),
        "give 1 to 249 of a to z, A to Z, 0 to 9, ., _ and -, but not . or .. alone",
    )
}

fn refusal(is_topic: bool, remedy: &str) -> Option<Refusal> {
    (!is_topic).then(|| Refusal::new("is not a topic's name", remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_called_as_its_cluster_allows() {
        for name in ["shipment-events", "s", &"t".repeat(63)] {
            assert!(is_fluvio_topic(name), "{name}");
        }
        for name in ["", "-a", "a-", "a.b", "A", &"t".repeat(64)] {
            assert!(!is_fluvio_topic(name), "{name}");
        }
        for name in ["shipment-events", "Shipment.Events_v2", "...", &"t".repeat(249)] {
            assert!(is_kafka_topic(name), "{name}");
        }
        for name in ["", ".", "..", "a b", "a/b", "ä", &"t".repeat(250)] {
            assert!(!is_kafka_topic(name), "{name}");
        }
    }
}
