//! A partition being read.

use std::sync::Arc;

use futures::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep};

use super::{
    super::{continuity::GAP_TRIES, mirror::SettledOffset, scripted::AfterRecords},
    *,
};

#[tokio::test(start_paused = true)]
async fn a_stream_that_jumps_is_opened_again_at_the_expected_offset_and_nothing_is_passed_over() {
    let steps = [
        ScriptStep::Play(vec![5, 6, 9, 10], AfterRecords::Silence),
        ScriptStep::Play(vec![6, 7, 11], AfterRecords::Silence),
    ];
    let (script, source) = source(5, (0, 20), steps);
    let counts = source.counts();
    assert_eq!(offsets(source, 10).await.unwrap(), (5..15).collect::<Vec<u64>>());
    assert_eq!(script.opened_at(), [5, 6, 7]);
    assert_eq!((counts.gaps(), counts.reconnects(), counts.repeats()), (2, 2, 0));
    assert_eq!((counts.position(), counts.end(), counts.unread()), (15, 20, 5));
}

#[tokio::test(start_paused = true)]
async fn what_comes_again_is_skipped_and_counted() {
    let (script, source) =
        source(2, (0, 9), [ScriptStep::Play(vec![0, 1, 2, 3, 2, 3, 4, 4, 5], AfterRecords::Silence)]);
    let counts = source.counts();
    assert_eq!(offsets(source, 4).await.unwrap(), [2, 3, 4, 5]);
    assert_eq!((script.opened_at(), counts.repeats(), counts.gaps()), (vec![2], 5, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_or_fails_is_opened_again_after_a_pause_where_it_was() {
    let steps = [
        ScriptStep::Play(vec![0, 1], AfterRecords::End),
        ScriptStep::Play(vec![1, 2], AfterRecords::Fail),
        ScriptStep::Refuse,
        ScriptStep::Hang,
        ScriptStep::Play(vec![2], AfterRecords::End),
    ];
    let (script, source) = source(0, (0, 9), steps);
    let (counts, began) = (source.counts(), Instant::now());
    assert_eq!(offsets(source, 9).await.unwrap(), (0..9).collect::<Vec<u64>>());
    assert_eq!(script.opened_at(), [0, 1, 2, 2]);
    assert_eq!((script.connects(), counts.reconnects(), counts.gaps()), (6, 3, 0));
    assert!(began.elapsed() > 10 * SECOND, "one connection hung until its timeout: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_away_for_an_hour_is_asked_seldom_and_loses_nothing() {
    let (script, source) = source(0, (0, 3), std::iter::repeat_n(ScriptStep::Refuse, 170));
    let began = Instant::now();
    assert_eq!(offsets(source, 3).await.unwrap(), [0, 1, 2]);
    assert!(began.elapsed() > 3_000 * SECOND / 2, "170 tries within {:?}", began.elapsed());
    assert_eq!(script.connects(), 171);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stalls_before_a_longer_log_is_opened_again_and_a_quiet_one_is_not() {
    let (script, source) = source(0, (0, 2), [ScriptStep::Play(vec![0, 1], AfterRecords::Silence)]);
    let counts = source.counts();
    let mut stream = Box::pin(source.into_stream());
    assert_eq!(take(&mut stream, 2).await.unwrap(), [0, 1]);
    let quiet = tokio::time::timeout(600 * SECOND, stream.next()).await;
    assert!(quiet.is_err() && counts.stalls() == 0, "there was nothing to give");
    script.set_bounds(0, 4);
    let began = Instant::now();
    assert_eq!(take(&mut stream, 2).await.unwrap(), [2, 3]);
    assert_eq!((counts.stalls(), script.opened_at()), (1, vec![0, 1]));
    let waited = began.elapsed();
    assert!(waited >= 20 * SECOND && waited < 40 * SECOND, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_no_longer_answers_is_left_for_a_new_connection() {
    let (script, source) = source(0, (0, 1), [ScriptStep::Play(vec![0], AfterRecords::Silence)]);
    let counts = source.counts();
    let mut stream = Box::pin(source.into_stream());
    take(&mut stream, 1).await.unwrap();
    script.set_bounds(0, 2);
    script.mute();
    assert_eq!(take(&mut stream, 1).await.unwrap(), [1]);
    assert_eq!((script.connects(), counts.stalls(), counts.reconnects()), (2, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_retention_has_removed_is_a_fault_that_names_it() {
    let (script, source) = source(4, (4, 9), [ScriptStep::Play(vec![4], AfterRecords::End)]);
    let mut stream = Box::pin(source.into_stream());
    take(&mut stream, 1).await.unwrap();
    script.set_bounds(8, 20);
    let fault = stream.next().await.unwrap().unwrap_err();
    assert!(matches!(fault, TopicFault::Lost { from: 5, to: 7, .. }), "{fault}");
    assert!(fault.to_string().contains("fluvio:t/3 has lost the records 5 to 7"), "{fault}");
    assert!(fault.to_string().contains("loadline state seek --partition 3 --to 8 "), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_stays_while_the_log_says_it_has_the_records_is_a_hole() {
    let steps = std::iter::repeat_n(ScriptStep::Play(vec![7, 8], AfterRecords::Silence), 100);
    let (script, source) = source(5, (0, 20), steps);
    let counts = source.counts();
    let fault = offsets(source, 1).await.unwrap_err();
    assert!(matches!(fault, TopicFault::Hole { from: 5, to: 6, .. }), "{fault}");
    assert_eq!(counts.gaps(), u64::from(GAP_TRIES) + 1);
    assert_eq!(script.opened_at(), vec![5; GAP_TRIES as usize + 1]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_of_a_stream_while_nobody_takes_and_the_end_is_known_all_the_same() {
    let (script, source) = source(0, (0, 100), []);
    let counts = source.counts();
    let mut stream = Box::pin(source.into_stream());
    take(&mut stream, 1).await.unwrap();
    let polls = script.polls();
    script.set_bounds(0, 5_000);
    sleep(600 * SECOND).await;
    assert_eq!((script.polls(), polls), (1, 1));
    assert_eq!((counts.unread(), counts.stalls()), (4_999, 0));
    assert_eq!(counts.unread_age(3_601_000), Some(3_600_000));
    assert_eq!(take(&mut stream, 3).await.unwrap(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_record_beyond_the_limit_is_cut_and_says_how_long_it_was() {
    let script = ScriptedPartition::new((0, 2), []);
    let options = FluvioOptions { record_max: 4, ..options() };
    let source = source_of(&options, script, (0, 0, 2), None, Clock::simulated(7));
    let first = Box::pin(source.into_stream()).next().await.unwrap().unwrap();
    assert_eq!((&first.raw.bytes[..], first.raw.full_len, first.raw.is_cut()), (&b"reco"[..], 8, true));
    assert_eq!((first.raw.position.to_string(), first.next.epoch), ("fluvio:t/0@0:0".to_owned(), 0));
    assert!(!first.next.mark.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_loses_nothing() {
    let steps = [ScriptStep::Refuse, ScriptStep::Play(vec![0, 1], AfterRecords::End), ScriptStep::Refuse];
    let (_, source) = source(0, (0, 6), steps);
    let mut stream = Box::pin(source.into_stream());
    let mut seen = Vec::new();
    while seen.len() < 6 {
        match stream.next().now_or_never() {
            Some(record) => seen.push(record.unwrap().unwrap().raw.position.offset),
            None => sleep(SECOND / 20).await,
        }
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn settled_offsets_are_mirrored_each_once_while_the_stream_is_open() {
    let script = ScriptedPartition::new((0, 1), []);
    let settled = Arc::new(std::sync::atomic::AtomicU64::new(3));
    let asked = settled.clone();
    let asked = SettledOffset::new(move || Some(asked.load(std::sync::atomic::Ordering::Relaxed)));
    let source = source_of(&options(), script.clone(), (0, 0, 1), Some(asked), Clock::simulated(7));
    let mut stream = Box::pin(source.into_stream());
    take(&mut stream, 1).await.unwrap();
    sleep(60 * SECOND).await;
    settled.store(5, std::sync::atomic::Ordering::Relaxed);
    sleep(60 * SECOND).await;
    assert_eq!(script.mirrored(), [3, 5]);
}
