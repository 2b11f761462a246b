//! Following a file while it is written, renamed, truncated and missing. The stream acts only while it is polled, so
//! what a test does between two polls happens, for the source, at one moment.

use std::fs::{self, File};

use futures::StreamExt;
use tokio::time::timeout;

use super::{
    tests::{Log, OPTIONS, Records, seen},
    *,
};

async fn next(records: &mut Records) -> SourceRecord {
    timeout(Duration::from_secs(10), records.next()).await.expect("a record").unwrap().unwrap()
}

async fn expect(records: &mut Records, expected: &[(&str, u64, u64)]) -> SourceRecord {
    let mut last = None;
    for expected in expected {
        let record = next(records).await;
        assert_eq!(seen(&record), *expected);
        last = Some(record);
    }
    last.unwrap()
}

/// Several polls, during which nothing comes.
async fn nothing(records: &mut Records) {
    let early = timeout(Duration::from_millis(30), records.next()).await;
    assert!(early.is_err(), "{early:?}");
}

#[tokio::test]
async fn appended_lines_come_as_they_are_written_and_a_partial_line_waits_for_its_end() {
    let log = Log::new("a\n");
    let (mut records, _) = log.follow(None).await;
    expect(&mut records, &[("a", 0, 0)]).await;
    log.append("", "b\nhal");
    expect(&mut records, &[("b", 0, 2)]).await;
    nothing(&mut records).await;
    log.append("", "f a line\r\nc\n");
    let last = expect(&mut records, &[("half a line", 0, 4), ("c", 0, 17)]).await;

    log.append("", "d\n");
    let (mut resumed, _) = log.follow(Some(&last)).await;
    expect(&mut resumed, &[("d", 0, 19)]).await;
}

#[tokio::test]
async fn a_renamed_file_is_read_to_its_real_end_before_the_new_one_is_begun() {
    let log = Log::new("a\n");
    let (mut records, counts) = log.follow(None).await;
    expect(&mut records, &[("a", 0, 0)]).await;
    nothing(&mut records).await;
    log.rename("", ".1");
    log.append(".1", "b\n");
    expect(&mut records, &[("b", 0, 2)]).await;
    // The new file is there, but its writer still writes to the old one.
    log.append("", "");
    nothing(&mut records).await;
    log.append(".1", "c\npart");
    log.append("", "d\n");
    let last = expect(&mut records, &[("c", 0, 4), ("part", 0, 6), ("d", 1, 0)]).await;
    assert_eq!((counts.rotations(), counts.truncations(), counts.losses()), (1, 0, 0));

    log.append("", "e\n");
    let (mut resumed, _) = log.follow(Some(&last)).await;
    expect(&mut resumed, &[("e", 1, 2)]).await;
}

#[tokio::test]
async fn a_log_that_is_replaced_by_its_copy_is_read_on_where_it_was_read_to() {
    let long = "x".repeat(700);
    let log = Log::new(&format!("{long}\n{long}\n"));
    let (mut records, counts) = log.follow(None).await;
    expect(&mut records, &[(&long, 0, 0), (&long, 0, 701)]).await;
    fs::copy(log.path(""), log.path(".new")).unwrap();
    log.rename(".new", "");
    nothing(&mut records).await;
    log.append("", "b\n");
    expect(&mut records, &[("b", 0, 1_402)]).await;
    log.rename("", ".1");
    log.append("", "c\n");
    expect(&mut records, &[("c", 1, 0)]).await;
    assert_eq!((counts.rotations(), counts.truncations(), counts.losses()), (1, 0, 0));
}

#[tokio::test]
async fn a_renamed_file_is_not_left_before_it_was_quiet_for_the_stated_time() {
    let log = Log::new("a\n");
    let options = FileOptions { rotate_wait: Duration::from_secs(3_600), ..OPTIONS };
    let source = log.open_as(true, None, options).await.unwrap();
    let mut records: Records = Box::pin(source.into_stream());
    expect(&mut records, &[("a", 0, 0)]).await;
    log.rename("", ".1");
    log.append("", "new\n");
    nothing(&mut records).await;
    log.append(".1", "from a process that has not moved yet\n");
    expect(&mut records, &[("from a process that has not moved yet", 0, 2)]).await;
    nothing(&mut records).await;
}

#[tokio::test]
async fn rotations_while_nobody_polls_are_followed_one_by_one() {
    let log = Log::new("a\nb\n");
    let (mut records, counts) = log.follow(None).await;
    expect(&mut records, &[("a", 0, 0)]).await;
    log.rename("", ".3");
    for suffix in [".2", ".1", ""] {
        log.append(suffix, &format!("in {suffix}\n"));
    }
    expect(&mut records, &[("b", 0, 2), ("in .2", 1, 0), ("in .1", 2, 0), ("in ", 3, 0)]).await;
    assert_eq!((counts.rotations(), counts.losses()), (3, 0));
}

#[tokio::test]
async fn a_copytruncated_file_is_read_on_in_its_copy_and_then_from_its_start() {
    let log = Log::new("a\n");
    let (mut records, counts) = log.follow(None).await;
    expect(&mut records, &[("a", 0, 0)]).await;
    log.append("", "b\nhal");
    expect(&mut records, &[("b", 0, 2)]).await;
    log.append("", "f\nc\n");
    log.copytruncate(".1");
    // Longer than what was read: the size alone would not give the truncation away.
    log.append("", "first of the new content\n");
    expect(&mut records, &[("half", 0, 4), ("c", 0, 9), ("first of the new content", 1, 0)]).await;
    assert_eq!((counts.truncations(), counts.rotations(), counts.losses()), (1, 1, 0));
}

#[tokio::test]
async fn a_truncated_file_without_a_copy_begins_anew_and_is_counted() {
    let log = Log::new("a\nhal");
    let (mut records, counts) = log.follow(None).await;
    expect(&mut records, &[("a", 0, 0)]).await;
    nothing(&mut records).await;
    File::create(log.path("")).unwrap();
    expect(&mut records, &[("hal", 0, 2)]).await;
    log.append("", "b\n");
    let last = expect(&mut records, &[("b", 1, 0)]).await;
    assert_eq!((counts.truncations(), counts.losses()), (1, 1));

    log.append("", "c\n");
    let (mut resumed, _) = log.follow(Some(&last)).await;
    expect(&mut resumed, &[("c", 1, 2)]).await;
}

#[tokio::test]
async fn a_missing_file_is_waited_for_at_the_start_and_in_between() {
    let log = Log::new("");
    fs::remove_file(log.path("")).unwrap();
    let (mut records, counts) = log.follow(None).await;
    nothing(&mut records).await;
    log.append("", "a\n");
    let first = expect(&mut records, &[("a", 0, 0)]).await;
    log.rename("", ".1");
    nothing(&mut records).await;
    log.append("", "b\n");
    expect(&mut records, &[("b", 1, 0)]).await;
    assert_eq!(counts.losses(), 0);

    // The same when starting: the old file is there, the new one not yet.
    fs::remove_file(log.path("")).unwrap();
    log.append(".1", "late\n");
    let (mut resumed, _) = log.follow(Some(&first)).await;
    expect(&mut resumed, &[("late", 0, 2)]).await;
    log.append("", "c\n");
    // The first new one was removed: its epoch is not used again.
    expect(&mut resumed, &[("c", 2, 0)]).await;
}

#[tokio::test]
async fn giving_up_a_wait_for_a_record_loses_none() {
    let text: String = (0..200).map(|n| format!("event {n}\n")).collect();
    let log = Log::new(&text);
    let (mut records, _) = log.follow(None).await;
    let mut texts = String::new();
    let mut given_up = 0;
    while texts.len() < text.len() {
        // Polled once and dropped: a block that is being read is not there yet.
        match futures::poll!(records.next()) {
            std::task::Poll::Ready(record) => texts += &format!("{}\n", seen(&record.unwrap().unwrap()).0),
            std::task::Poll::Pending => {
                given_up += 1;
                tokio::task::yield_now().await;
            }
        }
    }
    assert_eq!(texts, text);
    assert!(given_up > 0);
}
