//! No cluster at the address: it is waited for, or the run fails at once; a producer gives up.

use tests::{Events, Fleet, Site, Wants, pause, silent_address, unreachable_address};

fn site(endpoint: &str) -> Site {
    let fleet = Fleet::start(1);
    let mut site = Site::with_topic(&fleet, &[Wants::all()], endpoint, "shipment-events");
    site.set("source.connect_timeout", "300ms");
    site
}

#[test]
fn a_cluster_that_refuses_or_hangs_is_a_fault_at_once_with_fail_fast() {
    let (_held, hangs) = silent_address();
    for (endpoint, words) in [(unreachable_address(), "cannot be reached"), (hangs, "no answer to")] {
        let ended = site(&endpoint).loadline(&["--json", "run", "--fail-fast"]).expect(1);
        assert!(ended.stderr.contains(words) && ended.stderr.contains(&endpoint), "{ended:?}");
    }
}

#[test]
fn without_it_the_cluster_is_waited_for_said_once_and_a_signal_ends_the_wait() {
    let site = site(&unreachable_address());
    let run = site.run();
    // Several tries: the pauses begin at 200 ms.
    pause(std::time::Duration::from_secs(3));
    run.terminate();
    let ended = run.wait().expect(0);
    let said = ended.stderr.lines().filter(|line| line.contains("waiting for the cluster")).count();
    assert_eq!(said, 1, "{ended:?}");
}

#[test]
fn a_producer_gives_up_when_the_cluster_takes_nothing() {
    let (_held, hangs) = silent_address();
    for endpoint in [unreachable_address(), hangs] {
        let site = site(&endpoint);
        site.write(&Events::new(1, 5).take(10));
        let ended = site.produce("1s").expect(1);
        assert!(ended.stderr.contains("has taken nothing for"), "{ended:?}");
    }
}
