//! When a repeat is nobody's fault: from when on the sender of a receipt may send the event once more, given the kills and
//! the stalls. It errs on the side of the sender: a repeat that could have come about honestly is never held against it.

use super::{observation::Observation, stalls::Stalls};

/// How much earlier than its receiver a sender may see its timeout end, in milliseconds: it counts from the connection,
/// the receiver from the last byte of the body. A tenth of the timeout, and no less than this.
const MARGIN_MIN_MS: u64 = 50;
/// How long after the answer a system that is killed may not yet have put it on record, in milliseconds: the answer's
/// way, a commit that gathers, a flush on a busy disk. Two seconds is far beyond what any of it takes.
const RECORD_MAX_MS: u64 = 2_000;
/// How long after the kill what was already on the wire may still be taken, in milliseconds.
const WIRE_MAX_MS: u64 = 250;

/// When the sender of a receipt may send again, in milliseconds from the start of the run: at once if it cannot know
/// that the event was taken, from the kill on if it may have died before it put the answer on record. None if never.
pub(super) fn free_to_repeat(
    receipt: &Observation,
    timeout_ms: u64,
    kills_ms: &[u64],
    stalls: &Stalls,
) -> Option<u64> {
    let Some(told_ms) = answered_in_time(receipt, timeout_ms, stalls) else { return Some(0) };
    let from = receipt.at_ms.saturating_sub(WIRE_MAX_MS);
    let kill = kills_ms.get(kills_ms.partition_point(|kill| *kill < from))?;
    (*kill <= told_ms.saturating_add(RECORD_MAX_MS)).then_some(*kill)
}

/// When the sender was told that the event was taken, if it was and surely still listened: what the machine stood still
/// while either of them had the request may have come on top of the time the receiver saw.
pub(super) fn answered_in_time(receipt: &Observation, timeout_ms: u64, stalls: &Stalls) -> Option<u64> {
    let told = receipt.told.filter(|told| (200..300).contains(&told.status))?;
    let margin = MARGIN_MIN_MS.max(timeout_ms / 10);
    let under_way = receipt.at_ms.saturating_sub(timeout_ms)..receipt.at_ms.saturating_add(timeout_ms);
    let listens = under_way.end.saturating_sub(margin);
    // a timeout shorter than the margin would make every answer late: what was told at once was told in time
    let told_by = listens.max(receipt.at_ms).saturating_sub(stalls.within(&under_way));
    (told.at_ms <= told_by).then_some(told.at_ms)
}

#[cfg(test)]
mod tests {
    use super::super::observation::Answer;
    use super::*;

    fn observation(at_ms: u64, told: Option<(u16, u64)>) -> Observation {
        let told = told.map(|(status, at_ms)| Answer { status, at_ms });
        Observation { at_ms, event: Some(0), webhook_id: None, told }
    }

    fn free(at_ms: u64, told: Option<(u16, u64)>, kills_ms: &[u64]) -> Option<u64> {
        free_to_repeat(&observation(at_ms, told), 1_000, kills_ms, &Stalls::default())
    }

    #[test]
    fn who_may_have_waited_while_the_machine_stood_still_may_repeat_if_that_made_it_too_long() {
        let free = |told_ms: u64, (from, to): (u64, u64)| {
            let mut stalls = Stalls::default();
            stalls.look(from, to);
            free_to_repeat(&observation(5_000, Some((200, told_ms))), 1_000, &[], &stalls)
        };
        // the sender listens for 900 ms, and the stall may have come on top of what the receiver saw
        assert_eq!((free(5_200, (4_000, 4_700)), free(5_201, (4_000, 4_700))), (None, Some(0)), "before it");
        assert_eq!((free(5_750, (5_100, 5_250)), free(5_751, (5_100, 5_250))), (None, Some(0)), "meanwhile");
        assert_eq!((free(5_000, (5_050, 5_950)), free(5_000, (5_050, 5_951))), (None, Some(0)), "after it");
        assert_eq!((free(5_900, (3_000, 4_000)), free(5_900, (6_000, 9_000))), (None, None), "another time");
    }

    #[test]
    fn who_was_not_told_in_time_may_repeat() {
        assert_eq!(free(100, None, &[]), Some(0));
        assert_eq!(free(100, Some((500, 110)), &[]), Some(0));
        assert_eq!(free(100, Some((302, 110)), &[]), Some(0));
        assert_eq!(free(100, Some((200, 1_001)), &[]), Some(0), "in the margin before the timeout");
        assert_eq!(free(100, Some((200, 1_000)), &[]), None);
        assert_eq!(free(100, Some((204, 100)), &[]), None);
    }

    #[test]
    fn who_died_before_it_could_put_the_answer_on_record_may_repeat_from_then_on() {
        let told = Some((200, 5_100));
        assert_eq!(free(5_000, told, &[4_700]), None, "what is taken so late was sent by the next process");
        assert_eq!(free(5_000, told, &[4_800]), Some(4_800), "it was on the wire");
        assert_eq!(free(5_000, told, &[1_000, 5_050, 6_000]), Some(5_050));
        assert_eq!(free(5_000, told, &[7_100]), Some(7_100));
        assert_eq!(free(5_000, told, &[7_101]), None, "it had the time to put it on record");
    }
}
