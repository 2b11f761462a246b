//! What an answer means is the broker's to say: by its status, and by what is in its body.

use lab::receiver::RuleAnswer;
use tests::{Events, Fleet, RuleReceiver, ShipmentEvent, Site, Wants};
use toml::{Table, Value};

/// A site with these brokers, which tries again soon.
fn site(brokers: &[RuleReceiver], log: &[ShipmentEvent]) -> Site {
    let fleet = Fleet::start(brokers.len());
    let mut site = Site::new(&fleet, &vec![Wants::all(); brokers.len()]);
    for (index, broker) in brokers.iter().enumerate() {
        site.set_broker(index, "url", broker.url());
    }
    site.impatient();
    site.write(log);
    site
}

fn always(answer: RuleAnswer) -> RuleReceiver {
    RuleReceiver::start(move |_| answer)
}

#[test]
fn each_broker_has_its_own_meaning_of_the_same_status() {
    let log = Events::new(700, 10).take(10);
    let brokers = [409, 409, 500, 402, 202].map(|status| always(RuleAnswer::Status(status)));
    let mut site = site(&brokers, &log);
    site.set("retry.attempts_max", 2);
    site.set("breaker.failures", 1_000);
    site.set_broker(0, "success", vec![409]);
    site.set_broker(2, "final", vec!["5xx"]);
    site.set_broker(3, "disable", vec![402]);
    site.set_broker(4, "retry", vec![202]);
    let summary = site.run().wait().summary();
    assert_eq!((summary.delivered, summary.spilled), (10, 0), "{summary:?}");
    let letters = site.dead_letters();
    let of = |broker: &str| {
        let letters = letters.iter().filter(|letter| letter.broker.as_deref() == Some(broker));
        letters.map(|letter| (&*letter.cause, letter.attempts)).collect::<Vec<_>>()
    };
    assert_eq!(of("broker-1"), [("refused", 1); 10], "a 409 to a first attempt, by default");
    assert_eq!(of("broker-2"), [("refused", 1); 10]);
    assert!(of("broker-3").iter().all(|(cause, _)| *cause == "broker-disabled"), "{letters:?}");
    assert_eq!(of("broker-3").len(), 10);
    assert_eq!(of("broker-4"), [("attempts-exhausted", 2); 10]);
}

#[test]
fn a_200_with_an_error_in_its_body_is_a_dead_letter_that_shows_what_the_receiver_said() {
    let log = Events::new(701, 3).take(3);
    let says = r#"{"success":false,"error":"LOAD_NOT_FOUND"}"#;
    let broker = always(RuleAnswer::Says(200, says));
    let mut site = site(std::slice::from_ref(&broker), &log);
    let rule = Table::from_iter([
        ("pointer".to_owned(), Value::from("/success")),
        ("values".to_owned(), Value::from(vec![false])),
    ]);
    site.set_broker(0, "body_errors", vec![rule]);
    let summary = site.run().wait().summary();
    assert_eq!((summary.delivered, summary.dead_letters), (0, 3), "{summary:?}");
    let listed = site.loadline(&["dead", "list", "--config"]).expect(0).stdout;
    let id = listed.split_whitespace().next().unwrap();
    let shown = site.loadline(&["dead", "show", id, "--config"]).expect(0).stdout;
    assert!(shown.contains("200 ok, but /success in its body says no"), "{shown}");
    assert!(shown.contains(&format!("    answer: {says}\n")), "{shown}");
}

#[test]
fn what_a_receiver_says_as_it_refuses_waits_on_disk_with_the_event() {
    let log = Events::new(702, 1).take(1);
    let broker = always(RuleAnswer::Says(503, "queue\u{1b}[31m full"));
    let mut site = site(std::slice::from_ref(&broker), &log);
    site.set("retry.attempts_max", 3);
    site.set("retry.in_place_max", "0s");
    site.set("limits.drain", "1m");
    let summary = site.run().wait().summary();
    assert_eq!((summary.delivered, summary.dead_letters), (0, 1), "{summary:?}");
    let listed = site.loadline(&["dead", "list", "--config"]).expect(0).stdout;
    let id = listed.split_whitespace().next().unwrap();
    let shown = site.loadline(&["dead", "show", id, "--config"]).expect(0).stdout;
    assert_eq!(shown.matches("    answer: queue\u{fffd}[31m full\n").count(), 3, "{shown}");
}

#[test]
fn an_event_is_sent_once_to_a_receiver_whose_200_never_ends() {
    let log = Events::new(703, 3).take(6);
    let brokers = [always(RuleAnswer::HangingBody)];
    let site = site(&brokers, &log);
    let summary = site.run().wait().summary();
    assert_eq!((summary.delivered, summary.dead_letters, summary.spilled), (6, 0, 0), "{summary:?}");
    assert_eq!(brokers[0].posts().len(), 6);
}
