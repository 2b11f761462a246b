//! Turns librdkafka's errors into this crate's faults.

use std::time::Duration;

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode as Code};

use crate::fault::ClusterFault;

/// The fault behind `error`, which came of asking for `what` within `timeout`.
pub(super) fn cluster_fault(error: &KafkaError, what: &'static str, timeout: Duration) -> ClusterFault {
    let detail = || error.to_string();
    match error.rdkafka_error_code() {
        Some(Code::OperationTimedOut | Code::RequestTimedOut | Code::TimedOutQueue) => {
            ClusterFault::Silent { what, after: timeout }
        }
        Some(code) => by_code(code, what, detail()),
        None => ClusterFault::Refused { what, detail: detail() },
    }
}

/// The fault behind `code`; `detail` are the client's words.
pub(super) fn by_code(code: Code, what: &'static str, detail: String) -> ClusterFault {
    match code {
        // A server that refuses a certificate says so when the handshake seems to be over: the connection breaks then.
        Code::BrokerTransportFailure if detail.contains("SSL routines") => ClusterFault::Tls { detail },
        Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve | Code::NetworkException => {
            ClusterFault::Unreachable { detail }
        }
        Code::SSL => ClusterFault::Tls { detail },
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => ClusterFault::Authentication { detail },
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed => ClusterFault::Unauthorized { detail },
        // None of them says that the partitions are gone. A commit that is sent while the group rebalances carries the
        // generation before, and is answered when there is the next one; the partitions are this member's until the
        // client takes them away, which it does at once if the member is no longer one.
        Code::IllegalGeneration | Code::RebalanceInProgress | Code::StaleMemberEpoch => {
            ClusterFault::Rebalancing { detail }
        }
        Code::UnknownMemberId | Code::FencedInstanceId | Code::FencedMemberEpoch | Code::AssignmentLost => {
            ClusterFault::Fenced { detail }
        }
        _ => ClusterFault::Refused { what, detail },
    }
}

/// The fault behind what metadata say of `topic`.
pub(super) fn of_topic(code: Code, topic: &str) -> ClusterFault {
    match code {
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            ClusterFault::NoTopic { topic: topic.to_owned() }
        }
        code => by_code(code, "the topic's partitions", format!("{topic}: {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_that_says_that_the_member_is_none_any_more_takes_its_partitions() {
        let of = |code| by_code(code, "a commit", String::new());
        for code in [Code::IllegalGeneration, Code::RebalanceInProgress, Code::StaleMemberEpoch] {
            assert!(matches!(of(code), ClusterFault::Rebalancing { .. }), "{code:?}");
        }
        for code in [Code::UnknownMemberId, Code::FencedMemberEpoch, Code::FencedInstanceId] {
            assert!(matches!(of(code), ClusterFault::Fenced { .. }), "{code:?}");
        }
    }
}
