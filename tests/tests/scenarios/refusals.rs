//! What Loadline refuses to start with: a wrong config, a state directory that is in use, and one that is damaged.

use std::fs::{self, File};

use tests::{Events, Fleet, Oracle, Site, Wants};

#[test]
fn a_config_with_many_mistakes_is_refused_with_all_of_them_named_and_no_secret_shown() {
    let fleet = Fleet::start(4);
    let mut site = Site::new(&fleet, &vec![Wants::all(); 4]);
    site.set("source.kind", "pulsar");
    site.set("source.pol", "1s");
    site.set("state.cache", "many");
    site.set("limits.in_flight_max", 0);
    site.set("limits.grace", "forever");
    site.set("delivery.timeout", -1);
    site.set("delivery.allow_networks", vec!["not a network"]);
    site.set("retry.budget_ratio", "half");
    site.set("nonsense.key", 1);
    site.set_broker(0, "rate", "fast");
    site.set_broker(1, "url", "ftp://tms.example/hook");
    site.set_broker(2, "secrets", vec!["env:NOT_SET_ANYWHERE"]);
    // A secret where its reference belongs, and one inside a URL: neither may come out again.
    let secret = format!("whsec_{}", "U2VjcmV0".repeat(4));
    site.set_broker(3, "secrets", vec![secret.as_str()]);
    site.set_broker(3, "url", "https://user:hunter2@tms.example/hook?token=hunter3");

    let named = [
        "source.kind",
        "source.pol",
        "state.cache",
        "limits.in_flight_max",
        "limits.grace",
        "delivery.timeout",
        "delivery.allow_networks",
        "retry.budget_ratio",
        "nonsense",
        "brokers[0].rate",
        "brokers[1].url",
        "brokers[2].secrets",
        "brokers[3].secrets",
        "brokers[3].url",
    ];
    for arguments in [&["run"][..], &["--json", "run"], &["check"], &["--json", "check"]] {
        let refused = site.loadline(arguments).expect(64);
        let said = format!("{}{}", refused.stdout, refused.stderr);
        for key in named {
            assert!(said.contains(key), "{arguments:?} does not name {key}: {said}");
        }
        for hidden in [secret.as_str(), "U2VjcmV0", "hunter2", "hunter3", fleet.tms(0).secret()] {
            assert!(!said.contains(hidden), "{arguments:?} shows {hidden}: {said}");
        }
    }
    assert!(!site.path("state").exists(), "something was touched");
}

#[test]
fn a_second_process_on_the_same_state_is_refused_and_the_first_goes_on() {
    let log = Events::new(50, 20).take(400);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let mut site = Site::new(&fleet, &[Wants::all()]);
    site.set("source.follow", true);
    // With an endpoint the process would be asked.
    site.set("admin.listen", "off");
    site.write(&log[..200]);
    let first = site.run();
    fleet.tms(0).wait_for(100);

    for arguments in [&["run"][..], &["dead", "list"], &["broker", "disable", "broker-0", "--config"]] {
        let second = site.loadline(arguments).expect(1);
        let state = site.path("state").display().to_string();
        assert!(second.stderr.contains(&state), "{second:?}");
        assert!(second.stderr.contains("process"), "{second:?}");
    }
    site.append(&log[200..]);
    fleet.tms(0).wait_for(400);
    first.terminate();
    assert_eq!(first.wait().summary().delivered, 400);
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn a_state_that_has_lost_its_end_is_refused_and_nothing_is_delivered_from_it() {
    let log = Events::new(51, 20).take(600);
    let fleet = Fleet::start(1);
    let site = Site::new(&fleet, &[Wants::all()]);
    site.write(&log[..300]);
    assert_eq!(site.run().wait().summary().delivered, 300);
    let database = site.database();
    let length = fs::metadata(&database).unwrap().len();
    let whole = fs::read(&database).unwrap();
    site.append(&log[300..]);

    for kept in [0, 1, length / 2, length * 9 / 10] {
        File::options().write(true).open(&database).unwrap().set_len(kept).unwrap();
        let refused = site.run().wait().expect(1);
        assert!(refused.stderr.contains("state"), "{kept} of {length} bytes: {refused:?}");
        assert_eq!(fleet.taken(), 300, "{kept} of {length} bytes: {refused:?}");
        fs::write(&database, &whole).unwrap();
    }
}

#[test]
fn an_address_inside_is_refused_however_it_is_written() {
    let fleet = Fleet::start(1);
    let mut site = Site::new(&fleet, &[Wants::all()]);
    site.set("delivery.allow_networks", Vec::<String>::new());
    site.write(&Events::new(52, 5).take(20));
    let port = fleet.tms(0).url().rsplit_once(':').unwrap().1.to_owned();
    let inside = [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.0.1",
        "[fd00::1]",
        "[fe80::1]",
        "224.0.0.1",
    ];
    for host in inside {
        site.set_broker(0, "url", format!("http://{host}:{port}"));
        let refused = site.run().wait().expect(64);
        assert!(refused.stderr.contains("brokers[0].url"), "{host}: {refused:?}");
    }
    assert_eq!(fleet.tms(0).counts().requests, 0);
}
