//! Load ids that are attacks are values, and nothing else: the server's own log shows that only prepared statements ran.

use std::time::Duration;

use serde_json::json;
use tests::until;

use crate::world::{Size, World, numbers, status};

const HOSTILE: [&str; 8] = [
    "1 OR 1=1; --",
    "'; drop table broker_subscriptions; --",
    "L-0' union select id, load_id, broker_id, statuses from broker_subscriptions --",
    "{L-0,L-1}",
    "\"L-0\"",
    "L-0\\",
    "$1",
    "L-0\u{0}",
];

#[test]
fn a_load_id_that_is_an_attack_is_a_value_and_no_statement_has_it() {
    let size = Size { brokers: 3, loads: 3, subscriptions: 3, events: 0 };
    let Some(world) = World::new(size, true) else { return };
    world.server.execute(
        "insert into broker_subscriptions (load_id, broker_id) values ('1 OR 1=1; --', 'b-2'), (E'L-0\\\\', 'b-1')",
    );
    let before = world.server.log().len();
    let run = world.start();
    let ids: Vec<_> = HOSTILE.into_iter().chain(["L-0"]).collect();
    let lines: String = (0..)
        .zip(&ids)
        .map(|(number, load)| {
            let event = json!({ "eventId": format!("e-{number}"), "loadId": load, "status": "matched",
                "occurredAt": "2026-01-01T00:00:00Z" });
            format!("{event}\n")
        })
        .collect();
    world.site.append_bytes(lines.as_bytes());
    until("all is settled", || status(&world.site).is_some_and(|status| status["settled"] == ids.len()));
    until("three have come", || world.fleet.tms(1).taken() == 3);
    run.terminate();
    let _summary = run.wait().summary();
    let arrivals = world.fleet.tms(1).arrivals();
    let given = |path: &str| numbers(&arrivals, path);
    assert_eq!((given("/b-2"), given("/b-1"), given("/b-0")), ([0].into(), [5].into(), [8].into()));

    let log = world.server.log()[before..].to_owned();
    let ours: Vec<_> = log.lines().filter(|line| line.starts_with("loadline|")).collect();
    let executed = ours.iter().filter(|line| line.contains("LOG:  execute ")).count();
    assert!(executed > 3, "the look-ups are in the log: {ours:#?}");
    let plain = ours.iter().filter(|line| line.contains("LOG:  statement: "));
    for line in plain {
        let text = line.split_once("statement: ").unwrap().1.to_lowercase();
        let known = ["begin", "start transaction", "set local enable_seqscan", "rollback"];
        assert!(known.iter().any(|known| text.starts_with(known)), "not prepared: {line}");
    }
    // As a parameter it is in the detail of an execution.
    let detail = ours.iter().filter(|line| line.contains("1 OR 1=1"));
    assert!(detail.clone().count() > 0 && detail.clone().all(|line| line.contains("arameters: $1 = '{")));
    let client = world.server.client();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let count = async {
        client.query_one("select count(*) from broker_subscriptions", &[]).await.unwrap().get::<_, i64>(0)
    };
    let counted =
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), count).await.unwrap() });
    assert_eq!(counted, 5, "the table is as it was");
}
