//! `loadline db`: the schema, the check of a site's own queries, and the import of a config's brokers.

use tests::{Fleet, Postgres, Site, Wants};

use crate::world::{Size, World, brokers};

use serde_json::{Value, json};
use tests::until;

#[test]
fn queries_of_the_sites_own_are_checked_against_the_server() {
    let size = Size { brokers: 2, loads: 2, subscriptions: 2, events: 0 };
    let Some(mut world) = World::new(size, false) else { return };
    world.server.execute(
        "create table mine (n bigint, load text, broker text, statuses text[]); \
         create table numbered (n bigint, load bigint primary key, broker text, statuses text[]);",
    );
    let told = world.site.loadline(&["db", "check"]).expect(0).stdout;
    assert!(told.contains("the database can be used: 2 brokers, 0 switched off, 0 broken"), "{told}");
    let columns = "n as id, load as load_id, broker as broker_id, statuses";
    let cases = [
        (format!("select {columns} from mine where load = any($1)"), "has to read the whole table mine"),
        (
            "select n as id, load::text as load_id, broker as broker_id, statuses from numbered where load::text = any($1)"
                .to_owned(),
            "has to read the whole table numbered",
        ),
        ("select n as id, load as load_id, broker as broker_id from mine where load = any($1)".to_owned(), "has no column statuses"),
        (
            "select n::text as id, load as load_id, broker as broker_id, statuses from mine where load = any($1)".to_owned(),
            "has a column id of type text",
        ),
        ("select nonsense".to_owned(), "column \"nonsense\" does not exist"),
    ];
    for (query, expected) in cases {
        world.site.set("subscriptions.lookup_query", query.as_str());
        let told = world.site.loadline(&["db", "check"]).expect(1).stderr;
        assert!(told.contains(expected), "{query}: {told}");
        // What waiting does not mend ends a run at once.
        let told = world.site.loadline(&["run"]).expect(1).stderr;
        assert!(told.contains(expected), "{query}: {told}");
    }
    world.server.execute("create index on mine (load)");
    world.site.set("subscriptions.lookup_query", format!("select {columns} from mine where load = any($1)"));
    let _well = world.site.loadline(&["db", "check"]).expect(0);
}

#[test]
fn a_configs_brokers_move_into_the_table_and_a_reload_hands_them_over() {
    let Some(server) = Postgres::start() else { return };
    let fleet = Fleet::start(3);
    let mut site = Site::new(&fleet, &[Wants::all(), Wants::all(), Wants::all()]);
    site.subscribe_by(&server.connection());
    site.set("source.follow", true);
    site.set("subscriptions.secret_prefixes", vec!["file:secret-of-broker-1"]);
    site.write_bytes(b"");
    let nothing = site.loadline(&["db", "init", "--dry-run"]).expect(0).stdout;
    assert!(nothing.contains("create table if not exists broker_subscriptions"), "{nothing}");
    let missing = site.loadline(&["db", "check"]).expect(1).stderr;
    assert!(missing.contains("does not exist"), "{missing}");
    for _ in 0..2 {
        let _made = site.loadline(&["db", "init"]).expect(0);
    }
    // The first takes everything, the second is named by a variable, the third can go.
    site.set_broker(2, "secrets", vec!["file:secret-of-broker-1"]);
    site.set_broker(2, "loads", vec!["L-1", "L-2"]);
    site.set_broker(2, "concurrency", 3);
    fleet.tms(2).know(&[fleet.tms(1).secret()]);
    site.set_broker(1, "loads", vec!["L-1"]);
    site.set_broker(1, "headers", toml::Table::from_iter([("x-a".to_owned(), "b".into())]));
    let told = |site: &Site, more: &[&str]| -> Value {
        let arguments: Vec<_> = ["--json", "db", "import"].iter().chain(more).copied().collect();
        serde_json::from_str(&site.loadline(&arguments).expect(0).stdout).unwrap()
    };
    let plan = told(&site, &["--dry-run"]);
    assert_eq!((&plan["brokers"], &plan["subscriptions"]), (&json!(["broker-2"]), &json!(2)));
    let staying: Vec<_> = plan["staying"].as_array().unwrap().iter().map(|one| one[0].clone()).collect();
    assert_eq!(staying, ["broker-0", "broker-1"]);
    assert!(site.loadline(&["db", "check"]).expect(0).stdout.contains("0 brokers"), "nothing was done yet");
    assert_eq!(told(&site, &[])["done"], true);

    let run = site.run();
    until("the row waits for the config's broker to go", || {
        let status = crate::world::status(&site).unwrap_or_default();
        status["subscriptions"]["rejected"][0]["broker"] == "broker-2"
    });
    let event = |number: usize| {
        format!(
            "{{\"eventId\":\"e-{number}\",\"loadId\":\"L-2\",\"status\":\"matched\",\"occurredAt\":\"2026-01-01T00:00:00Z\"}}\n"
        )
    };
    site.append_bytes(event(0).as_bytes());
    fleet.tms(2).wait_for(1);
    site.take_broker(2);
    let reloaded = site.loadline(&["reload", "--json"]).expect(0).stdout;
    let reloaded: Value = serde_json::from_str(&reloaded).unwrap();
    assert_eq!((&reloaded["removed"], &reloaded["added"]), (&json!([]), &json!(["broker-2"])));
    site.append_bytes(event(1).as_bytes());
    fleet.tms(2).wait_for(2);
    assert!(brokers(&site)["broker-2"]["leaving"] != true);
    run.terminate();
    let _summary = run.wait().summary();
}
