//! A connection with TLS is to the server it should be to, or there is none.

use tests::Authority;

use crate::world::{Size, World};

#[test]
fn the_servers_certificate_has_to_be_of_the_authority_and_for_its_name() {
    let size = Size { brokers: 2, loads: 2, subscriptions: 2, events: 0 };
    let Some(mut world) = World::new(size, false) else { return };
    let (authority, other) = (Authority::new(), Authority::new());
    for (name, authority) in [("ca.pem", &authority), ("other.pem", &other)] {
        std::fs::write(world.site.path(name), authority.pem()).unwrap();
    }
    world.server.encrypt(&authority.server(&["localhost"]));
    world.server.kill();
    world.server.start_again();
    let mut check = |host: &str, tls: bool, ca: Option<&str>| {
        world.site.subscribe_by(&world.server.connection_over_tcp(host));
        world.site.set("subscriptions.tls", tls);
        if let Some(ca) = ca {
            world.site.set("subscriptions.tls_ca_file", ca);
        }
        world.site.loadline(&["db", "check"])
    };
    let without = check("localhost", false, None).expect(1);
    assert!(!without.stderr.contains("not-asked-for"), "the password is told: {without:?}");
    let _well = check("localhost", true, Some("ca.pem")).expect(0);
    let name = check("127.0.0.1", true, Some("ca.pem")).expect(1);
    assert!(name.stderr.contains("certificate"), "{name:?}");
    let authority = check("localhost", true, Some("other.pem")).expect(1);
    assert!(authority.stderr.contains("certificate"), "{authority:?}");
}

#[test]
fn a_role_that_may_only_read_is_enough_for_a_run() {
    let size = Size { brokers: 2, loads: 2, subscriptions: 2, events: 0 };
    let Some(mut world) = World::new(size, false) else { return };
    world.server.execute(
        "create role reader login; grant select on brokers, broker_subscriptions to reader; \
         create role stranger login;",
    );
    world.site.subscribe_by(&world.server.connection_of("reader"));
    let run = world.start();
    world.produce(&[0, 1]);
    world.fleet.tms(1).wait_for(2);
    run.terminate();
    let _summary = run.wait().summary();
    world.site.subscribe_by(&world.server.connection_of("stranger"));
    let ended = world.site.loadline(&["run"]).expect(1);
    assert!(ended.stderr.contains("permission denied"), "{ended:?}");
}
