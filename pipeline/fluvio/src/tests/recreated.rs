//! A log that is no longer the one that was read, or ends before what was read of it.

use futures::StreamExt;
use tokio::time::{sleep, timeout};

use super::{super::scripted::AfterRecords, *};

/// The fault a source ends with, which has given nothing before.
async fn fault(source: FluvioSource<ScriptedPartition>) -> TopicFault {
    let mut stream = Box::pin(source.into_stream());
    stream.next().await.unwrap().expect_err("it is another log")
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_made_anew_and_refilled_while_it_is_read_is_a_fault_and_nothing_of_it_is_given() {
    let (script, source) = source(0, (0, 5), [ScriptStep::Play((0..5).collect(), AfterRecords::Fail)]);
    let mut stream = Box::pin(source.into_stream());
    assert_eq!(take(&mut stream, 5).await.unwrap(), [0, 1, 2, 3, 4]);
    script.make_anew(0, 50);
    let fault = stream.next().await.unwrap().unwrap_err();
    let TopicFault::AnotherLog { offset: 4, taken_at: Some(1_004), found_at: Some(1_001_004), .. } = fault
    else {
        panic!("{fault}")
    };
    let words = fault.to_string();
    assert!(words.starts_with("fluvio:t/3 is another log than the one that was read: at 4 "), "{words}");
    assert!(
        words.contains("(produced at 1970-01-01T00:16:41.004Z, and that at 1970-01-01T00:00:01.004Z)"),
        "{words}"
    );
    assert!(words.contains("loadline state seek"), "{words}");
    assert_eq!(script.opened_at(), [0, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_compares_too_unless_an_earlier_version_has_kept_no_record() {
    let (script, source) = source(0, (0, 9), []);
    let mut stream = Box::pin(source.into_stream());
    take(&mut stream, 4).await.unwrap();
    let next = stream.next().await.unwrap().unwrap().next;
    drop(stream);
    let kept = Mark::new("t", 3).decode(&next.mark).unwrap();

    let same = again(&script, (5, 9), kept);
    assert_eq!(offsets(same, 2).await.unwrap(), [5, 6], "the same log");
    script.make_anew(0, 50);
    assert!(matches!(fault(again(&script, (5, 50), kept)).await, TopicFault::AnotherLog { offset: 4, .. }));
    assert_eq!(script.opened_at(), [0, 4, 4]);

    let earlier = again(&script, (5, 50), Mark::new("t", 3));
    assert_eq!(offsets(earlier, 2).await.unwrap(), [5, 6], "nobody knows");
    let elsewhere = again(&script, (7, 50), kept);
    assert_eq!(offsets(elsewhere, 2).await.unwrap(), [7, 8], "the place was set by hand");
    assert_eq!(script.opened_at(), [0, 4, 4, 5, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_cannot_be_read_is_compared_only_while_the_process_runs() {
    let (script, source) = source(0, (0, 9), [ScriptStep::Play(vec![0, 1, 2], AfterRecords::End)]);
    script.set_unreadable(Some((2, 5)));
    let mut stream = Box::pin(source.into_stream());
    take(&mut stream, 2).await.unwrap();
    let damaged = stream.next().await.unwrap().unwrap();
    assert_eq!((damaged.raw.position.offset, damaged.next.offset), (2, 6));
    let next = stream.next().await.unwrap().unwrap();
    assert_eq!((next.raw.position.offset, script.opened_at()), (6, vec![0, 5]), "the same batch is there");
    // By another config, say, it can be read.
    script.set_unreadable(None);
    let kept = Mark::new("t", 3).decode(&damaged.next.mark).unwrap();
    assert_eq!(offsets(again(&script, (6, 9), kept), 2).await.unwrap(), [6, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_retention_has_removed_is_not_asked_for() {
    let (script, source) = source(0, (0, 5), [ScriptStep::Play((0..5).collect(), AfterRecords::End)]);
    let mut stream = Box::pin(source.into_stream());
    take(&mut stream, 5).await.unwrap();
    script.set_bounds(5, 9);
    assert_eq!(take(&mut stream, 2).await.unwrap(), [5, 6]);
    assert_eq!(script.opened_at(), [0, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_no_longer_gives_the_record_that_was_taken_is_read_on_behind_it() {
    let steps = [
        ScriptStep::Play((0..5).collect(), AfterRecords::End),
        ScriptStep::Play(vec![5, 6], AfterRecords::Silence),
    ];
    let (script, source) = source(0, (0, 9), steps);
    let counts = source.counts();
    let mut stream = Box::pin(source.into_stream());
    take(&mut stream, 7).await.unwrap();
    assert_eq!((script.opened_at(), counts.gaps()), (vec![0, 4, 5], 0));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_gives_only_what_stands_behind_the_expected_record_is_a_hole() {
    let never = std::iter::repeat_n(ScriptStep::Play(vec![6, 7], AfterRecords::Silence), 100);
    let (_, source) = source(
        0,
        (0, 9),
        std::iter::once(ScriptStep::Play((0..5).collect(), AfterRecords::End)).chain(never),
    );
    let counts = source.counts();
    let mut stream = Box::pin(source.into_stream());
    take(&mut stream, 5).await.unwrap();
    let fault = stream.next().await.unwrap().unwrap_err();
    assert!(matches!(fault, TopicFault::Hole { from: 4, to: 5, .. }), "{fault}");
    assert_eq!(counts.gaps(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_does_not_give_the_record_that_was_taken_is_left() {
    let steps = [
        ScriptStep::Play((0..5).collect(), AfterRecords::End),
        ScriptStep::Play(vec![], AfterRecords::Silence),
    ];
    let (script, source) = source(0, (0, 9), steps);
    let counts = source.counts();
    assert_eq!(offsets(source, 7).await.unwrap(), (0..7).collect::<Vec<u64>>());
    assert_eq!((script.opened_at(), counts.reconnects()), (vec![0, 4, 4], 1));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_ends_before_the_place_is_waited_for_however_long_that_takes() {
    let (script, source) = source(0, (0, 5), [ScriptStep::Play((0..5).collect(), AfterRecords::Fail)]);
    let counts = source.counts();
    let mut stream = Box::pin(source.into_stream());
    take(&mut stream, 5).await.unwrap();
    script.set_bounds(0, 3);
    assert!(timeout(3_600 * SECOND, stream.next()).await.is_err(), "no fault, and no record");
    assert_eq!(script.opened_at(), [0], "a stream beyond the end would be silent for ever");
    assert!(!counts.is_connected());
    let tries = script.connects();
    assert!((120..300).contains(&tries), "with pauses of up to 30 s: {tries}");
    script.set_bounds(0, 8);
    assert_eq!(take(&mut stream, 3).await.unwrap(), [5, 6, 7]);
    assert!(counts.is_connected());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_becomes_shorter_while_its_stream_is_silent_is_noticed_before_it_is_refilled() {
    for anew in [false, true] {
        let (script, source) = source(0, (0, 5), []);
        let counts = source.counts();
        let mut stream = Box::pin(source.into_stream());
        take(&mut stream, 5).await.unwrap();
        if anew {
            script.make_anew(0, 3);
        } else {
            script.set_bounds(0, 3);
        }
        assert!(timeout(60 * SECOND, stream.next()).await.is_err());
        assert!(!counts.is_connected(), "the stream was closed");
        script.set_bounds(0, 9);
        if anew {
            let fault = stream.next().await.unwrap().unwrap_err();
            assert!(matches!(fault, TopicFault::AnotherLog { offset: 4, .. }), "{fault}");
        } else {
            assert_eq!(take(&mut stream, 2).await.unwrap(), [5, 6]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_committed_may_lie_behind_the_end_of_the_log() {
    let script = ScriptedPartition::new((0, 3), [ScriptStep::Play((0..5).collect(), AfterRecords::Silence)]);
    let options = FluvioOptions { isolation: Isolation::Uncommitted, ..options() };
    let source = source_of(&options, script.clone(), (0, 0, 3), None, Clock::simulated(7));
    let mut stream = Box::pin(source.into_stream());
    assert_eq!(take(&mut stream, 5).await.unwrap(), [0, 1, 2, 3, 4]);
    assert!(timeout(600 * SECOND, stream.next()).await.is_err());
    sleep(SECOND).await;
    assert_eq!(script.connects(), 1);
}
