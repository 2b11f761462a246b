//! The disk is full, or cannot be written: the run ends with an error instead of delivering what it cannot record, and once
//! there is room again nothing is missing. A run that waits for something that never comes ends with the second signal.

use std::{fs, net::TcpStream, path::Path, process::Command, time::Duration};

use serde_json::json;
use tests::{Events, Fleet, Oracle, Producer, Site, Wants, pause, skipped, until};

/// Larger than a segment of the store's log.
const LARGE: usize = 700_000;

/// An event of `size` bytes that does not compress.
fn large_event(number: usize, size: usize) -> Vec<u8> {
    let noise: String =
        (0..size).map(|at| char::from(b'a' + ((at * 31 + at / 7 * number) % 26) as u8)).collect();
    let (id, load) = (format!("large-{number}"), format!("L-{}", number % 7));
    let at = "2025-06-01T12:00:00Z";
    let event =
        json!({ "eventId": id, "loadId": load, "status": "matched", "occurredAt": at, "noise": noise });
    event.to_string().into_bytes()
}

/// A file system of its own, as small as it is told; unmounted when it is dropped.
struct SmallDisk<'s>(&'s Path);

impl<'s> SmallDisk<'s> {
    /// None where nothing may be mounted.
    fn mount(at: &'s Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }

    fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(Command::new("mount").args(["-o", &options]).arg(self.0).status().unwrap().success());
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_disk_that_large_events_fill_ends_the_run_and_with_room_all_that_was_accepted_arrives() {
    let fleet = Fleet::start(1);
    let mut site = Site::with_posts(&fleet, &[Wants::all()]);
    site.set("source.body_max", "4MiB");
    // What is accepted stays on the disk.
    site.set_broker(0, "rate", 1);
    let state = site.path("state");
    let Some(disk) = SmallDisk::mount(&state, "24m") else {
        skipped("a file system cannot be mounted here, so no disk can be filled");
        return;
    };
    let mut run = site.run();
    let producer = Producer::new(run.listening());
    let mut accepted = 0;
    for number in 0..1_000 {
        // The last answer is 503, or the connection is gone with the process.
        match producer.post_or_not(large_event(number, LARGE)) {
            Some(told) if told.status == 202 => accepted += 1,
            Some(told) => {
                assert_eq!(told.status, 503, "{told:?}");
                break;
            }
            None => break,
        }
    }
    assert!(accepted > 0, "nothing was accepted");
    let ended = run.wait().expect(1);
    for words in ["disk is full", &state.display().to_string()] {
        assert!(ended.stderr.contains(words), "{words}: {ended:?}");
    }
    disk.grow("400m");
    site.set_broker(0, "rate", 1_000_000);
    let mut run = site.run();
    let _listens = run.listening();
    until("all that was accepted has arrived", || fleet.taken() >= accepted);
    run.terminate();
    assert_eq!(run.wait().summary().dead_letters, 0);
}

#[test]
fn a_large_record_that_cannot_be_written_ends_the_run_with_its_cause_and_no_second_signal_is_needed() {
    let fleet = Fleet::start(1);
    let site = Site::with_posts(&fleet, &[Wants::all()]);
    let mut run = site.run();
    let producer = Producer::new(run.listening());
    assert_eq!(producer.post(large_event(0, LARGE)).status, 202);
    fleet.tms(0).wait_for(1);
    run.terminate();
    let _summary = run.wait().summary();
    // No file may grow by as much as the record has, in blocks of 512 bytes. The store needs one more segment of 512 KiB
    // to start if its last one is nearly full.
    let blocks = fs::metadata(site.database()).unwrap().len() / 512 + 1024 + 256;
    let mut run = site.run_after(&format!("trap '' XFSZ; ulimit -f {blocks}"));
    let producer = Producer::new(run.listening());
    // One may find room in what is left of the last segment.
    let is_refused = |number: &usize| match producer.post_or_not(large_event(*number, LARGE)) {
        Some(told) => told.status == 503,
        None => true,
    };
    let refused = (1..4).find(is_refused).expect("one that is refused");
    let ended = run.wait().expect(1);
    assert!(ended.stderr.contains(&site.path("state").display().to_string()), "{ended:?}");

    let mut run = site.run();
    let producer = Producer::new(run.listening());
    assert_eq!(producer.post(large_event(refused, LARGE)).status, 202);
    fleet.tms(0).wait_for(refused + 1);
    run.terminate();
    assert_eq!(run.wait().summary().dead_letters, 0);
}

#[test]
fn the_second_signal_ends_a_run_that_waits_for_whoever_should_read_its_log() {
    let fleet = Fleet::start(1);
    let site = Site::with_posts(&fleet, &[Wants::all()]);
    // Somebody has the log open and never reads it; the pipe is full, so whoever has something to say waits.
    let unread = "mkfifo log; sleep 1000 <log >/dev/null 2>&1 & echo $! >reader; exec 2>log; head -c 65536 /dev/zero >&2";
    let run = site.run_after(unread);
    let status = format!("/proc/{}/status", run.id());
    let follows = || {
        let status = fs::read_to_string(&status).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << 14) != 0
    };
    until("it follows SIGTERM", follows);
    run.terminate();
    pause(Duration::from_millis(300));
    run.terminate();
    let ended = run.wait();
    let reader = fs::read_to_string(site.path("reader")).unwrap();
    let _ended = Command::new("kill").arg(reader.trim()).status();
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

#[test]
fn a_run_that_cannot_write_ends_with_an_error_and_a_later_one_delivers_the_rest() {
    let log = Events::new(60, 50).take(6_000);
    let fleet = Fleet::start(2);
    let wants = vec![Wants::all(); 2];
    let oracle = Oracle::new(&log, &wants);
    let site = Site::new(&fleet, &wants);
    site.write(&log[..50]);
    // The store exists, so that it is the run that meets the limit and not the store's first steps.
    assert_eq!(site.run().wait().summary().delivered, 100);
    let used = fs::metadata(site.database()).unwrap().len();
    site.append(&log[50..]);

    // No file may grow beyond this: a write fails with EFBIG, where a full disk gives ENOSPC. In blocks of 512 bytes.
    let blocks = used / 512 + 256;
    let full = site.run_after(&format!("trap '' XFSZ; ulimit -f {blocks}")).wait().expect(1);
    assert!(full.stderr.contains(&site.path("state").display().to_string()), "{full:?}");
    let before = oracle.judge_all(&fleet);
    assert!(before.iter().any(|given| given.missing > 0), "the limit was never met");

    let rest = site.run().wait().summary();
    let given = oracle.assert_nothing_lost(&fleet);
    let repeats = given.repeats;
    // What was on the wire when the store failed could not be recorded.
    assert!(repeats as u64 <= rest.possible_repeats.crash, "{repeats} repeats, {rest:?}");
    assert!(given.repeats_of_a_load <= 1, "one delivery of a load is under way at a time: {given:?}");
    assert_eq!((rest.dead_letters, rest.spilled), (0, 0));
}

#[test]
fn a_low_limit_on_open_files_leaves_the_store_its_own_however_many_strangers_connect() {
    let fleet = Fleet::start(1);
    let site = Site::with_posts(&fleet, &[Wants::all()]);
    let mut run = site.run_after("ulimit -n 64");
    let addr = run.listening();
    let producer = Producer::new(addr);
    assert_eq!(producer.post(large_event(0, 100)).status, 202);
    fleet.tms(0).wait_for(1);
    assert!(run.log().contains("file descriptors can run out"), "{}", run.log());
    let strangers: Vec<_> = (0..100).filter_map(|_| TcpStream::connect(addr).ok()).collect();
    assert!(strangers.len() > 64, "more than there are descriptors");
    pause(Duration::from_millis(500));
    assert_eq!(producer.post(large_event(1, LARGE)).status, 202);
    fleet.tms(0).wait_for(2);
    run.terminate();
    let summary = run.wait().summary();
    assert_eq!((summary.delivered, summary.dead_letters), (2, 0));
}
