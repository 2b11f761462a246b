//! One sentence for each violation, without the names and the history.

use std::fmt::{self, Display};

use super::violation::{Contradiction, Stray, Vacuity, Violation};

impl Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { .. } => out.write_str(
                "lost: not taken, not dead-lettered, not held for later, and its record counts as settled",
            ),
            Self::Forged { at_ms, webhook_id, .. } => {
                write!(out, "forged: at {at_ms} ms it took bytes that were never issued, under {}", id(webhook_id))
            }
            Self::Unwanted { at_ms, .. } => {
                write!(out, "not for it: taken at {at_ms} ms, though the broker does not want it")
            }
            Self::Duplicate { at_ms, .. } => {
                write!(out, "doubled: taken again at {at_ms} ms, though the sender was told in time that it had it")
            }
            Self::OutOfOrder { at_ms, repeat, .. } => {
                let what = if *repeat { "a repeat, " } else { "" };
                write!(out, "out of order: {what}taken at {at_ms} ms after a newer event of its load")
            }
            Self::GarbageVanished { record, letters, records } => {
                write!(out, "vanished: record {record} is no event, and there are ")?;
                out.write_str(&letters_for(*letters, *records))
            }
            Self::ConflictVanished { record, letters, records, .. } => {
                write!(out, "vanished: record {record} has other bytes under the event's id, and there are ")?;
                out.write_str(&letters_for(*letters, *records))
            }
            Self::TooEarly { at_ms, appended_ms: Some(appended_ms), .. } => {
                write!(out, "too early: taken at {at_ms} ms, appended at {appended_ms} ms")
            }
            Self::TooEarly { at_ms, .. } => write!(out, "too early: taken at {at_ms} ms, and it was never appended"),
            Self::TwoIds { at_ms, first, then, .. } => {
                write!(out, "two ids: taken under {}, and at {at_ms} ms under {}", id(first), id(then))
            }
            Self::SharedId { at_ms, id, .. } => {
                write!(out, "shared id: taken at {at_ms} ms under webhook-id {id:?}, as another event before it")
            }
            Self::MissingId { at_ms, .. } => write!(out, "no id: taken at {at_ms} ms without a webhook-id"),
            Self::BadSignature { at_ms, requests, why, .. } => {
                write!(out, "bad signature: {requests} requests refused, the first at {at_ms} ms: {}", why.as_str())
            }
            Self::OverQuota { at_ms, requests, .. } => {
                write!(out, "over its quota: from {at_ms} ms on, {requests} requests too many in a row")
            }
            Self::LettersTooMany { record, letters, records, .. } => {
                write!(out, "too many dead letters: {letters} with the bytes of record {record}, which is in the log ")?;
                write!(out, "{records} times")
            }
            Self::StrayLetter { letter, why, .. } => write!(out, "stray dead letter (number {letter}): {why}"),
            Self::StraySpill { why, .. } => write!(out, "stray delivery on disk: {why}"),
            Self::GivenUpThoughWell { .. } => out.write_str(
                "given up for nothing: a dead letter, though the broker was well and has refused nothing since",
            ),
            Self::HeldThoughWell { .. } => {
                out.write_str("held for nothing: still on disk, though the broker was well throughout")
            }
            Self::Contradiction(contradiction) => write!(out, "the account contradicts itself: {contradiction}"),
            Self::Vacuous(vacuity) => write!(out, "the run proves nothing: {vacuity}"),
        }
    }
}

fn letters_for(letters: u64, records: u64) -> String {
    format!("{letters} dead letters with its bytes for {records} such records")
}

/// A webhook id as it stands in a sentence.
pub(super) fn id(id: &Option<std::sync::Arc<str>>) -> String {
    id.as_ref().map_or_else(|| "no webhook-id".to_owned(), |id| format!("webhook-id {id:?}"))
}

impl Display for Stray {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NoSuchBroker => "there is no such broker",
            Self::NoSuchEvent => "there is no such event, or it was not appended",
            Self::NotWanted => "the broker does not want this event",
            Self::NoSuchBytes => "nothing that was appended has these bytes",
            Self::OtherEvent => "its bytes are another event's",
            Self::Sound => "a sound event was refused as if it were none",
            Self::NoEvent => "its bytes are no event, which can be for no broker",
        })
    }
}

impl Display for Contradiction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SettledBeyondAppended { settled_to, appended } => {
                write!(out, "{settled_to} records settled of {appended} appended")
            }
            Self::AppendedBeyondLog { appended, log } => write!(out, "{appended} records appended of {log}"),
            Self::HeldThoughDone { held } => {
                write!(out, "it said that nothing was left to do, and {held} deliveries wait on its disk")
            }
        }
    }
}

impl Display for Vacuity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingAppended => out.write_str("nothing was appended"),
            Self::NoDuplicates => out.write_str("no event was appended twice"),
            Self::NoFaultyRecord => out.write_str("no faulty record was appended"),
            Self::NoSurge { base, peak } => write!(
                out,
                "no surge: {peak:.1} new events a second in it against {base:.1} before, not more than twice as many"
            ),
            Self::NoFault { .. } => {
                out.write_str("the broker was to fail, and took everything and said so in time")
            }
            Self::NoLostAnswer { .. } => {
                out.write_str("the broker was to lose answers, and the sender was told of all it took")
            }
            Self::TooFewKills { kills, promised } => write!(out, "killed {kills} times, not {promised}"),
        }
    }
}
