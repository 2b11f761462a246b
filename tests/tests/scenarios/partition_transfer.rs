//! A partition goes from one state directory to another: by whom it is read then, what is refused, and what is left when
//! the command is killed. No cluster is needed for that: a run that is refused is refused before it asks one.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use fluvio_engine::mark as fluvio_mark;
use serde_json::Value;
use state::{
    BodyDigest, Checkpoint, Clock, Durability, Event, History, LedgerKey, Owner, Position, Record,
    SpilledDelivery, StateFault, Store, StoreOptions,
};
use tests::{Ended, Fleet, PATIENCE, Site, Wants, loadline, now, pause, unreachable_address};

const SOURCE: &str = "fluvio:shipment-events/0";

/// A site that reads these partitions of a cluster that is not there.
fn site(fleet: &Fleet, partitions: &[i64]) -> Site {
    let mut site = Site::with_topic(fleet, &[Wants::all()], &unreachable_address(), "shipment-events");
    site.set("source.partitions", partitions.to_vec());
    site.set("source.start", "checkpoint");
    site.save();
    site
}

fn store(site: &Site) -> Store {
    let options = StoreOptions {
        durability: Durability::Process,
        dedupe_window: 7 * 86_400_000,
        cache: 64 << 20,
        clock: Clock::System,
    };
    // Another test's child that was just forked has this process's locks until it becomes another program.
    let deadline = now() + PATIENCE;
    loop {
        match Store::open(&site.path("state"), options.clone()) {
            Err(StateFault::Locked { .. }) if now() < deadline => pause(Duration::from_millis(10)),
            opened => return opened.unwrap(),
        }
    }
}

/// Partition 0 has been read to 1000, and `waiting` of its deliveries wait on disk among others.
fn used(site: &Site, waiting: u64) {
    let delivery = |source: &str, seq: u64| {
        let body = format!("{{\"seq\":{seq}}}");
        let event = Event {
            position: Position::new(Arc::from(source), 0, seq),
            event_id: Arc::from(format!("e-{source}-{seq}")),
            load_id: Arc::from("L-1"),
            status: Arc::from("matched"),
            occurred_at: 1,
            sequence: None,
            traceparent: None,
            read_at: Clock::System.now(),
            digest: BodyDigest::of(body.as_bytes()),
            body: body.into(),
        };
        let (broker, history) = (Arc::from("broker-0"), History::default());
        Record::Spilled(Box::new(SpilledDelivery { history, ..SpilledDelivery::untried(broker, seq, event) }))
    };
    let settled = |source: &str, offset| {
        // As a run writes it: what is of no partition is not imported.
        let (topic, partition) = source.trim_start_matches("fluvio:").split_once('/').unwrap();
        let mark = fluvio_mark(topic, partition.parse().unwrap()).to_vec();
        let checkpoint = Checkpoint { epoch: 0, offset, mark };
        Record::Checkpoint(Arc::from(source), checkpoint)
    };
    let (key, digest) = (LedgerKey::new("broker-0", "taken"), BodyDigest::of(b"taken"));
    let mut records = vec![
        settled(SOURCE, 1_000),
        settled("fluvio:shipment-events/1", 5),
        Record::Delivered { key, digest, failed_attempts: 0, spilled: None },
        delivery("fluvio:shipment-events/1", 0),
    ];
    records.extend((1..=waiting).map(|seq| delivery(SOURCE, seq)));
    store(site).put_all(&records).unwrap();
}

fn export(site: &Site, to: &Path) -> Ended {
    let to = to.display().to_string();
    let arguments = ["state", "export", "--json", "--partition", "0", &to, "--config"];
    site.loadline(&arguments)
}

fn import(site: &Site, from: &Path) -> Ended {
    let from = from.display().to_string();
    let arguments = ["state", "import", "--json", &from, "--config"];
    site.loadline(&arguments)
}

fn told(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// The offset at which the directory goes on with partition 0; none if it does not. And what waits of it.
fn left(site: &Site) -> (Option<u64>, usize) {
    let store = store(site);
    let waiting = store.spill().read(&Arc::from("broker-0"), 0..u64::MAX, usize::MAX).unwrap();
    let of_zero = waiting.iter().filter(|delivery| &*delivery.event.position.source == SOURCE);
    let checkpoint = store.sources().checkpoint(SOURCE).unwrap();
    (checkpoint.map(|checkpoint| checkpoint.offset), of_zero.count())
}

#[test]
fn a_partition_that_was_given_away_is_not_read_until_its_file_is_imported_again() {
    let fleet = Fleet::start(1);
    let [mut one, other] = [site(&fleet, &[0, 1]), site(&fleet, &[0])];
    used(&one, 3);
    let file = one.path("partition-0.export");
    let exported = told(&export(&one, &file).expect(0));
    assert_eq!(exported["source"], SOURCE);
    assert_eq!(
        (&exported["checkpoint"], &exported["deliveries"], &exported["ledgerEntries"], &exported["move"]),
        (&1_000.into(), &3.into(), &1.into(), &1.into()),
    );

    let refused = |site: &Site| {
        let ended = site.loadline(&["run", "--fail-fast"]).expect(1);
        assert!(
            ended.stderr.contains(&format!("{SOURCE} was exported from this state directory at 20")),
            "{ended:?}"
        );
        assert!(ended.stderr.contains(&file.display().to_string()), "{ended:?}");
        assert!(ended.stderr.contains("source.partitions"), "{ended:?}");
    };
    refused(&one);
    one.set("source.partitions", "all");
    refused(&one);
    one.set("source.partitions", vec![1]);
    let asked = one.loadline(&["run", "--fail-fast"]).expect(1);
    assert!(asked.stderr.contains("cannot be reached"), "only the cluster may be missing: {asked:?}");
    let status = one.loadline(&["status"]).expect(4);
    assert!(
        status.stdout.contains(&format!("{SOURCE}: it was given away, and is not read here")),
        "{status:?}"
    );
    let again = export(&one, &one.path("again")).expect(1);
    assert!(again.stderr.contains("was exported from here already"), "{again:?}");

    assert_eq!(told(&import(&other, &file).expect(0)), exported);
    assert_eq!(left(&other), (Some(1_000), 3));
    let twice = import(&other, &file).expect(1);
    assert!(twice.stderr.contains("it was imported here before"), "{twice:?}");
    let asked = other.loadline(&["run", "--fail-fast"]).expect(1);
    assert!(asked.stderr.contains("cannot be reached"), "{asked:?}");

    // And back.
    let back = other.path("back.export");
    assert_eq!(told(&export(&other, &back).expect(0))["move"], 2);
    let _imported = import(&one, &back).expect(0);
    assert_eq!(left(&one), (Some(1_000), 3));
    one.set("source.partitions", vec![0, 1]);
    let asked = one.loadline(&["run", "--fail-fast"]).expect(1);
    assert!(asked.stderr.contains("cannot be reached"), "{asked:?}");
}

#[test]
fn what_cannot_be_moved_is_refused_with_the_way_out() {
    let fleet = Fleet::start(1);
    let [mut one, mut other] = [site(&fleet, &[0]), site(&fleet, &[1])];
    let file = one.path("partition-0.export");
    let nothing = export(&one, &file).expect(1);
    assert!(nothing.stderr.contains("no run has begun with this config yet"), "{nothing:?}");
    let missing = import(&other, &file).expect(1);
    assert!(missing.stderr.contains(&file.display().to_string()), "{missing:?}");
    assert!(!one.path("state").exists() && !other.path("state").exists());
    used(&one, 3);

    // A process that waits for its cluster has the directory.
    one.set("source.start", "beginning");
    let run = one.run();
    tests::until("it has the directory", || run.log().contains("waiting for the cluster"));
    let running = export(&one, &file).expect(1);
    assert!(running.stderr.contains("stop that process first"), "{running:?}");
    run.terminate();
    let _ended = run.wait().expect(0);

    std::fs::write(&file, "precious").unwrap();
    let there = export(&one, &file).expect(1);
    assert!(there.stderr.contains("is there already and is not overwritten"), "{there:?}");
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    let foreign = import(&other, &file).expect(1);
    assert!(foreign.stderr.contains("is not a partition's export"), "{foreign:?}");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(left(&one), (Some(1_000), 3), "something was changed");
    let _exported = export(&one, &file).expect(0);

    other.set("limits.spill_broker_max", "64KiB");
    other.set("source.record_max", "1KiB");
    other.set_broker(0, "id", "someone");
    let unknown = import(&other, &file).expect(1);
    assert!(
        unknown.stderr.contains("are for broker broker-0, which the config does not name"),
        "{unknown:?}"
    );
    other.set_broker(0, "id", "broker-0");
    other.set("source.topic", "another");
    let topic = import(&other, &file).expect(1);
    assert!(topic.stderr.contains("none of fluvio:another/*"), "{topic:?}");
    other.set("source.topic", "shipment-events");
    let run = other.run();
    tests::until("it has the directory", || run.log().contains("waiting for the cluster"));
    let running = import(&other, &file).expect(1);
    assert!(running.stderr.contains("stop that process first"), "{running:?}");
    run.terminate();
    let _ended = run.wait().expect(0);
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    let cut = import(&other, &file).expect(1);
    assert!(cut.stderr.contains("is damaged"), "{cut:?}");
    std::fs::write(&file, &whole).unwrap();
    let _imported = import(&other, &file).expect(0);

    let posts = Site::with_posts(&fleet, &[Wants::all()]);
    let kind = export(&posts, &file).expect(64);
    assert!(kind.stderr.contains("source.kind is not"), "{kind:?}");
}

/// Starts the command and kills it after so long.
fn kill_after(site: &Site, arguments: &[&str], wait: Duration) {
    let mut command = Command::new(loadline());
    command.args(arguments).args(["--config".as_ref(), site.config().as_os_str()]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    pause(wait);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn whenever_the_commands_are_killed_the_partition_is_in_one_directory_or_in_a_whole_file() {
    const WAITING: u64 = 5_000;
    let fleet = Fleet::start(1);
    let (mut cut_short, mut whole) = (0, 0);
    for step in 0..6 {
        let wait = Duration::from_millis(20 + 60 * step);
        let [one, other] = [site(&fleet, &[0]), site(&fleet, &[0])];
        used(&one, WAITING);
        let file = one.path("partition-0.export");
        let name = file.display().to_string();
        kill_after(&one, &["state", "export", "--partition", "0", &name], wait);
        let ownership = store(&one).sources().ownership(SOURCE).unwrap();
        let away = ownership.is_some_and(|ownership| matches!(ownership.owner, Owner::Exported { .. }));
        let file = if away {
            whole += 1;
            assert_eq!(left(&one), (None, 0), "killed after {wait:?}");
            file
        } else {
            cut_short += 1;
            assert_eq!(left(&one), (Some(1_000), 5_000), "killed after {wait:?}");
            let again = one.path("again.export");
            let _exported = export(&one, &again).expect(0);
            again
        };
        let name = file.display().to_string();
        kill_after(&other, &["state", "import", &name], wait);
        match left(&other) {
            (Some(1_000), 5_000) => whole += 1,
            (None, 0) => {
                cut_short += 1;
                let _imported = import(&other, &file).expect(0);
                assert_eq!(left(&other), (Some(1_000), 5_000), "killed after {wait:?}");
            }
            torn => panic!("{torn:?} after {wait:?}"),
        }
    }
    assert!(cut_short > 0, "none was killed in the middle, {whole} came to their end");
}
