//! A followed file that is rotated while it is read: nothing is lost over it and nothing comes twice.

use std::{collections::HashSet, fs};

use lab::receiver::Behaviour;
use tests::{Events, Fleet, Oracle, Site, Wants, until};

#[test]
fn a_file_that_is_rotated_under_load_is_delivered_whole_and_once() {
    let log = Events::new(97, 40).take(3_000);
    let fleet = Fleet::start(2);
    let wants = vec![Wants::all(); 2];
    let oracle = Oracle::new(&log, &wants);
    let mut site = Site::new(&fleet, &wants);
    site.set("source.follow", true);
    site.set("source.poll", "10ms");
    site.write(&[]);
    let run = site.run();

    // Ten files; one is written on while it is old already, as a producer does that has not reopened it yet.
    for (number, part) in log.chunks(300).enumerate() {
        let (early, late) = part.split_at(200);
        for events in early.chunks(20) {
            site.append(events);
        }
        // The next one waits for half of this one, so that some rotations meet a reader in the middle.
        until("the reader is near", || fleet.tms(0).taken() + 150 >= number * 300 + 200);
        let old = site.path(&format!("events.ndjson.{}", 10 - number));
        let mut writer = fs::File::options().append(true).open(site.events()).unwrap();
        fs::rename(site.events(), old).unwrap();
        std::io::Write::write_all(&mut writer, &tests::lines(late)).unwrap();
        site.write(&[]);
    }
    fleet.iter().for_each(|tms| tms.wait_for(3_000));
    run.terminate();
    let summary = run.wait().summary();

    oracle.assert_exactly_once(&fleet);
    assert_eq!((summary.records, summary.settled, summary.delivered), (3_000, 3_000, 6_000));
    assert_eq!((summary.duplicates, summary.dead_letters), (0, 0));
}

#[test]
fn a_run_that_was_stopped_finds_its_place_in_a_file_that_was_rotated_meanwhile() {
    let log = Events::new(98, 40).take(900);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let mut site = Site::new(&fleet, &[Wants::all()]);
    site.set("source.follow", true);
    site.set("source.poll", "10ms");
    site.write(&log[..300]);
    let run = site.run();
    fleet.tms(0).wait_for(300);
    run.terminate();
    let _first = run.wait().summary();

    site.append(&log[300..400]);
    fs::rename(site.events(), site.path("events.ndjson.2")).unwrap();
    site.write(&log[400..700]);
    fs::rename(site.events(), site.path("events.ndjson.1")).unwrap();
    site.write(&log[700..]);
    let run = site.run();
    fleet.tms(0).wait_for(900);
    run.terminate();
    let second = run.wait().summary();

    oracle.assert_exactly_once(&fleet);
    assert_eq!((second.records, second.duplicates), (600, 0));
}

#[test]
fn a_file_rotated_before_the_first_checkpoint_is_delivered_by_the_run_after_the_kill() {
    let log = Events::new(99, 20).take(300);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let mut site = Site::new(&fleet, &[Wants::all()]);
    site.set("source.follow", true);
    site.set("source.poll", "10ms");
    // Nothing is settled while the receiver is silent, so that the kill comes before the first checkpoint.
    fleet.tms(0).behave(Behaviour { latency: std::time::Duration::from_secs(600), ..Behaviour::default() });
    site.write(&log[..200]);
    site.append_bytes(b"{\"poison of the first file\n");
    let run = site.run();
    until("something is on the wire", || fleet.tms(0).counts().requests > 0);
    drop(run.kill());
    fs::rename(site.events(), site.path("events.ndjson.1")).unwrap();
    site.write(&log[200..]);
    site.append_bytes(b"{\"poison of the second file\n");
    fleet.tms(0).behave(Behaviour::default());

    let run = site.run();
    let ids =
        || fleet.tms(0).arrivals().into_iter().map(|arrival| arrival.webhook_id).collect::<HashSet<_>>();
    until("every event of both files has arrived", || ids().len() >= 300);
    until("both letters are there", || site.dead_letters().len() == 2);
    run.terminate();
    let summary = run.wait().summary();
    let given = oracle.assert_nothing_lost(&fleet);
    assert_eq!((summary.losses, given.missing), (0, 0));
    let bodies: Vec<_> = site.dead_letters().iter().map(tests::DeadLetter::body).collect();
    assert_eq!(bodies, [b"{\"poison of the first file".to_vec(), b"{\"poison of the second file".to_vec()]);
}

#[test]
fn a_log_that_was_copied_with_its_state_is_not_delivered_again() {
    let log = Events::new(100, 20).take(120);
    let fleet = Fleet::start(1);
    let site = Site::new(&fleet, &[Wants::all()]);
    site.write(&log);
    site.append_bytes(b"{\"poison\n");
    assert_eq!(site.run().wait().summary().delivered, 120);
    // Another inode, and the same bytes.
    fs::copy(site.events(), site.path("copy")).unwrap();
    fs::rename(site.path("copy"), site.events()).unwrap();
    let summary = site.run().wait().summary();
    assert_eq!((summary.records, summary.delivered, summary.losses), (0, 0, 0));
    assert_eq!(site.dead_letters().len(), 1);
}

#[test]
fn what_was_lost_is_in_the_summary_and_in_the_status() {
    let log = Events::new(101, 20).take(40);
    let fleet = Fleet::start(1);
    let site = Site::new(&fleet, &[Wants::all()]);
    site.write(&log[..20]);
    assert_eq!(site.run().wait().summary().losses, 0);
    site.append(&log[20..30]);
    fs::remove_file(site.events()).unwrap();
    site.write(&log[30..]);
    let ended = site.run().wait();
    assert!(ended.stderr.contains("a file of the source is lost from this byte on"), "{ended:?}");
    let summary = ended.summary();
    assert_eq!((summary.records, summary.losses), (10, 1));
    let status = site.loadline(&["status"]);
    assert!(status.stdout.contains("lost before it was read of file:events.ndjson"), "{status:?}");
    assert!(status.stdout.contains("file 0 from byte "), "{status:?}");
}
