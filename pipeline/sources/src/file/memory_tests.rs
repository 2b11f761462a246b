//! What is remembered of files: killed before anything was settled, moved with the state, copied back too old, and what a
//! version left that recorded no files.

use std::fs;

use futures::TryStreamExt;

use super::{
    tests::{Log, OPTIONS, all_seen, seen, texts_of},
    *,
};

#[tokio::test]
async fn a_file_rotated_before_anything_of_it_was_settled_is_read_whole() {
    let log = Log::new("a0\na1\n");
    // Read, nothing settled, killed: there is no checkpoint.
    let first = log.read(None).await;
    log.rename("", ".1");
    log.append("", "b0\nb1\n");
    let second = log.read(None).await;
    assert_eq!(all_seen(&second), [("a0", 0, 0), ("a1", 0, 3), ("b0", 1, 0), ("b1", 1, 3)]);
    assert_eq!(all_seen(&first), all_seen(&second[..2]), "letters of the same record replace each other");
    // And once more: no epoch is used for another file.
    log.rename(".1", ".2");
    log.rename("", ".1");
    log.append("", "c0\n");
    assert_eq!(all_seen(&log.read(None).await)[4..], [("c0", 2, 0)]);
}

#[tokio::test]
async fn the_first_record_is_given_out_only_when_its_file_is_on_record() {
    let log = Log::new("a\n");
    let mut records = Box::pin(log.open(true, None).await.unwrap().into_stream());
    for (line, len) in [("a", 2), ("longer", 9)] {
        let record = records.try_next().await.unwrap().unwrap();
        assert_eq!((seen(&record).0, record.next.offset), (line, len));
        let met = log.files().met;
        assert_eq!(
            (met.len(), met[0].epoch, &met[0].mark[..]),
            (1, 0, &record.next.mark[..]),
            "as it has grown"
        );
        log.append("", "longer\n");
    }
}

#[tokio::test]
async fn rotated_files_that_were_there_before_the_first_run_are_never_read() {
    let log = Log::new("a\n");
    log.put(".2.gz", "older\n");
    log.append(".1", "old\n");
    log.append("-20200101", "of another kind\n");
    let first = log.read(None).await;
    assert_eq!(texts_of(&first), ["a"]);
    log.put(".3.gz", "older\n");
    fs::remove_file(log.path(".2.gz")).unwrap();
    log.rename(".1", ".2");
    log.rename("", ".1");
    log.append("", "b\n");
    assert_eq!(texts_of(&log.read(Some(&first[0])).await), ["b"]);
    // Nor if the one that was read is gone and gives no place among the names.
    fs::remove_file(log.path(".1")).unwrap();
    assert_eq!(texts_of(&log.read(Some(&first[0])).await), ["b"]);
}

#[tokio::test]
async fn a_log_that_was_copied_with_its_state_goes_on_where_it_was() {
    let log = Log::new("a\nb\n");
    let first = log.read(None).await;
    log.rename("", ".1");
    log.append("", "c\nd\n");
    let second = log.read(Some(&first[1])).await;
    let copy = log.moved();
    let source = copy.open(false, Some(&second[0])).await.unwrap();
    let counts = source.counts();
    let rest: Vec<_> = source.into_stream().try_collect().await.unwrap();
    assert_eq!((all_seen(&rest), counts.losses()), (vec![("d", 1, 2)], 0));
    // In the rotated file, too, and with nothing settled.
    assert_eq!(texts_of(&copy.read(Some(&first[0])).await), ["b", "c", "d"]);
    assert_eq!(texts_of(&copy.read(None).await), ["a", "b", "c", "d"]);
    assert_eq!(copy.files().met.len(), 2);
}

#[tokio::test]
async fn another_log_in_another_directory_is_refused_unless_it_is_asked_for() {
    let log = Log::new("a\nb\n");
    let first = log.read(None).await;
    let copy = log.moved();
    fs::write(copy.path(""), "of another site\n").unwrap();
    let fault = copy.open(true, Some(&first[0])).await.unwrap_err();
    assert!(matches!(fault, ReadFault::UnknownFile { offset: 2, .. }), "{fault}");
    assert!(fault.to_string().contains("source.on_unknown"), "{fault}");

    let options = FileOptions { on_unknown: OnUnknown::Begin, ..OPTIONS };
    let checkpoint = Some(Checkpoint::from(&first[0].next));
    let source = copy.open_as(false, checkpoint, options).await.unwrap();
    let counts = source.counts();
    let records: Vec<_> = source.into_stream().try_collect().await.unwrap();
    assert_eq!((all_seen(&records), counts.losses()), (vec![("of another site", 1, 0)], 1));
    // From then on it is this one's place.
    assert_eq!(copy.read(Some(&records[0])).await, []);
}

#[tokio::test]
async fn an_older_copy_of_the_log_is_refused() {
    let text: String = (0..300).map(|n| format!("event {n}\n")).collect();
    let log = Log::new(&text);
    let first = log.read(None).await;
    for inode_stays in [true, false] {
        if !inode_stays {
            fs::remove_file(log.path("")).unwrap();
        }
        fs::write(log.path(""), &text[..1_500]).unwrap();
        let fault = log.open(false, Some(&first[299])).await.unwrap_err();
        assert!(matches!(fault, ReadFault::OlderCopy { len: 1_500, .. }), "{fault}");
        // As much as was settled is enough.
        assert!(!log.read(Some(&first[99])).await.is_empty());
    }
}

#[tokio::test]
async fn what_was_begun_and_is_gone_before_it_was_read_is_named() {
    let log = Log::new("a\n");
    let first = log.read(None).await;
    log.rename("", ".2");
    log.append(".1", "b\n");
    log.append("", "c\n");
    // All three are met, and the run is killed with nothing of them settled.
    assert_eq!(texts_of(&log.read(Some(&first[0])).await), ["b", "c"]);
    fs::remove_file(log.path(".1")).unwrap();
    let source = log.open(false, Some(&first[0])).await.unwrap();
    let counts = source.counts();
    let records: Vec<_> = source.into_stream().try_collect().await.unwrap();
    assert_eq!((all_seen(&records), counts.losses()), (vec![("c", 2, 0)], 1));
    assert_eq!(counts.lost(), ["file 1 from byte 0 on: it was gone before it was read"]);
}

#[tokio::test]
async fn a_checkpoint_of_a_version_that_recorded_no_files_is_taken_up() {
    let log = Log::new("a\nb\n");
    log.append(".1", "old\n");
    let first = log.read(None).await;
    log.forget_files();
    assert_eq!(all_seen(&log.read(Some(&first[0])).await), [("b", 0, 2)]);
    log.forget_files();
    log.rename(".1", ".3");
    log.rename("", ".2");
    log.append(".1", "c\n");
    log.append("", "d\n");
    let rest = log.read(Some(&first[0])).await;
    assert_eq!(all_seen(&rest), [("b", 0, 2), ("c", 1, 0), ("d", 2, 0)]);
    // Gone: what is beside it cannot be told from what was read, and is left.
    log.forget_files();
    fs::remove_file(log.path(".2")).unwrap();
    let source = log.open(false, Some(&first[0])).await.unwrap();
    let counts = source.counts();
    let records: Vec<_> = source.into_stream().try_collect().await.unwrap();
    assert_eq!((all_seen(&records), counts.losses()), (vec![("d", 1, 0)], 1));
}

#[tokio::test]
async fn what_is_appended_to_a_file_that_was_left_is_named() {
    let log = Log::new("a\n");
    let first = log.read(None).await;
    log.rename("", ".1");
    log.append("", "b\n");
    let second = log.read(Some(&first[0])).await;
    log.append(".1", "too late\n");
    log.rename(".1", ".2");
    log.rename("", ".1");
    log.append("", "c\n");
    let source = log.open(false, Some(&second[0])).await.unwrap();
    let counts = source.counts();
    let records: Vec<_> = source.into_stream().try_collect().await.unwrap();
    assert_eq!((records.iter().map(seen).collect::<Vec<_>>(), counts.losses()), (vec![("c", 2, 0)], 1));
    assert!(counts.lost()[0].contains("from byte 2 on"), "{:?}", counts.lost());
}
