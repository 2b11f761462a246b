//! What the legacy service does well: as long as nothing goes wrong, everyone gets everything once.

use std::collections::BTreeMap;

use super::*;

#[tokio::test]
async fn in_steady_state_each_broker_gets_each_event_of_its_loads_once_and_a_loads_events_in_order() {
    let (all, some, mut log) =
        (Tms::start(Behaviour::default()), Tms::start(Behaviour::default()), Log::new());
    let mut config = log.config([&all, &some]);
    config.commit_interval = SOON;
    config.brokers[1].loads = Loads::Prefix { prefix: "L-1".to_owned().into() };
    let mut model = Model::start(config);
    for nth in 0..60 {
        log.event(&format!("e{nth:02}"), &format!("L-{}", nth % 20));
    }
    let progress = model.until(|progress| progress.read == 60 && progress.is_idle()).await;
    assert_eq!((progress.settled, progress.oldest, progress.handled), (60, None, 60));
    assert_eq!((progress.retries, progress.replayed), (0, 0));
    assert_eq!((all.counts().taken, all.counts().repeats), (60, 0));
    // L-1 and L-10 to L-19
    assert_eq!((some.counts().taken, some.counts().repeats), (33, 0));

    let mut last = BTreeMap::new();
    for entry in all.journal.entries() {
        if let Some(before) = last.insert(entry.load_id, entry.event_id.clone()) {
            assert!(before < entry.event_id);
        }
    }
    model.stop().await;
}

#[tokio::test]
async fn a_message_goes_as_it_stands_in_the_log_with_nothing_that_tells_it_from_another() {
    let (tms, mut log) = (Tms::start(Behaviour::default()), Log::new());
    let mut model = Model::start(log.config([&tms]));
    log.event("e1", "L-1");
    model.until(|progress| progress.handled == 1).await;
    let entry = &tms.journal.entries()[0];
    assert_eq!(entry.body.as_deref(), Some(event("e1", "L-1").as_bytes()));
    assert_eq!(entry.webhook_id, "");
}

#[tokio::test]
async fn a_message_of_no_load_goes_nowhere_and_holds_nobody() {
    let (tms, mut log) = (Tms::start(Behaviour::default()), Log::new());
    let mut model = Model::start(log.config([&tms]));
    log.append("[]");
    log.append("");
    log.event("e1", "L-1");
    let progress = model.until(|progress| progress.handled == 2).await;
    assert_eq!((tms.events(), progress.read), (vec!["e1".to_owned()], 2));
}

#[tokio::test]
async fn a_log_longer_than_may_be_held_is_read_as_it_is_committed() {
    let mut log = Log::new();
    (0..20).for_each(|nth| log.event("e", &format!("L-{nth}")));
    let mut model = Model::start(LegacyConfig { held_max: 5, ..log.config([]) });
    let full = model.until(|progress| progress.handled == 5).await;
    assert_eq!((full.read, full.lag), (5, 5));
    model.stop().await;

    let config = LegacyConfig { held_max: 5, commit_interval: SOON, ..log.config([]) };
    let mut model = Model::start(config);
    model.until(|progress| progress.settled == 20 && progress.handled == 20).await;
}
