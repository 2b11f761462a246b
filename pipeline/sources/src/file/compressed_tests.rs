//! Rotated files that are compressed: read on from any byte, and named where they cannot be read.

use std::fs::{self, OpenOptions};

use futures::TryStreamExt;

use super::tests::{Log, all_seen, seen, texts_of};

#[tokio::test]
async fn a_compressed_file_is_read_on_from_the_byte_that_was_reached() {
    for compression in [".1.gz", ".1.zst"] {
        let log = Log::new("");
        let lines: Vec<String> = (0..500).map(|n| format!("event {n}")).collect();
        log.append("", &(lines.join("\n") + "\n"));
        let before = log.read(None).await;
        let content = fs::read_to_string(log.path("")).unwrap();
        fs::remove_file(log.path("")).unwrap();
        log.put(compression, &content);
        log.append("", "new\n");
        for at in [0, 123, 498, 499] {
            let rest = log.read(Some(&before[at])).await;
            let expected: Vec<_> = lines[at + 1..].iter().cloned().chain(["new".to_owned()]).collect();
            assert_eq!(texts_of(&rest), expected, "{compression} {at}");
            assert_eq!(all_seen(&rest)[..499 - at], all_seen(&before[at + 1..]));
        }
    }
}

#[tokio::test]
async fn a_compressed_file_that_is_damaged_is_read_as_far_as_it_goes_and_the_rest_named() {
    let log = Log::new("a\n");
    let before = log.read(None).await;
    log.rename("", ".2");
    let text: String = (0..20_000).map(|n| format!("event {}\n", n * 7919 % 20_011)).collect();
    log.put(".1.gz", &text);
    let file = OpenOptions::new().write(true).open(log.path(".1.gz")).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    log.append("", "new\n");
    let source = log.open(false, Some(&before[0])).await.unwrap();
    let counts = source.counts();
    let records: Vec<_> = source.into_stream().try_collect().await.unwrap();
    let (good, last) = (&records[..records.len() - 2], records.last().unwrap());
    assert!(good.len() > 100 && text.starts_with(&(texts_of(good).join("\n") + "\n")));
    assert_eq!(seen(last), ("new", 2, 0));
    assert_eq!(counts.losses(), 1);
    assert!(counts.lost()[0].contains(".1.gz cannot be decompressed"), "{:?}", counts.lost());
}

#[tokio::test]
async fn a_file_compressed_in_a_way_that_is_not_undone_here_is_named_once() {
    let log = Log::new("a\n");
    let before = log.read(None).await;
    log.rename("", ".2");
    for (suffix, content) in [(".1.bz2", "compressed"), (".3.bz2", "compressed before")] {
        log.append(suffix, content);
    }
    log.append("", "b\n");
    let source = log.open(false, Some(&before[0])).await.unwrap();
    let counts = source.counts();
    let records: Vec<_> = source.into_stream().try_collect().await.unwrap();
    assert_eq!((all_seen(&records), counts.losses(), counts.rotations()), (vec![("b", 1, 0)], 1, 1));
    assert!(counts.lost()[0].contains("events.ndjson.1.bz2"), "{:?}", counts.lost());
}
