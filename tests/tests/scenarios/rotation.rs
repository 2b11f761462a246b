//! A followed file that is rotated while it is read: nothing is lost over it and nothing comes twice.

use std::fs;

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
