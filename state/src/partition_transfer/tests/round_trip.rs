//! Whatever a directory holds, the other one holds the source's part of it, and the first one the rest.

use proptest::prelude::*;

use super::*;

/// What happens in a directory, of which source, for which broker, to which event.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Delivered,
    Spilled,
    Unspilled,
}

fn happenings() -> impl Strategy<Value = Vec<(Happens, bool, usize, u8)>> {
    let what = prop_oneof![Just(Happens::Delivered), Just(Happens::Spilled), Just(Happens::Unspilled)];
    proptest::collection::vec((what, any::<bool>(), 0..3_usize, 0..12_u8), 0..60)
}

/// Carries them out, with events of one source that are not the other's.
fn carry_out(store: &Store, happenings: &[(Happens, bool, usize, u8)], seq: &mut SpillSeq) {
    for (what, other, broker, id) in happenings {
        let (source, broker) = (if *other { OTHER } else { SOURCE }, &brokers()[*broker]);
        let id = format!("{}{id}", if *other { "other-" } else { "" });
        *seq += 3;
        let record = match what {
            Happens::Delivered => delivered(broker, &id),
            Happens::Spilled => Record::Spilled(Box::new(waits(source, broker, *seq, &id))),
            Happens::Unspilled => {
                match store.spill().read(&Arc::from(&**broker), 0..u64::MAX, 1).unwrap().pop() {
                    None => continue,
                    Some(first) => Record::Delivered {
                        key: LedgerKey::new(broker, &first.event.event_id),
                        digest: first.event.digest,
                        failed_attempts: 0,
                        spilled: Some((first.broker, first.seq)),
                    },
                }
            }
        };
        store.put_all(&[record]).unwrap();
    }
}

/// The ids that wait for a broker, of one source.
fn of(store: &Store, broker: &str, source: &str) -> Vec<String> {
    let found = store.spill().read(&Arc::from(broker), 0..u64::MAX, 1_000).unwrap();
    let found = found.iter().filter(|delivery| &*delivery.event.position.source == source);
    found.map(|delivery| delivery.event.event_id.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_stands_although_a_later_entry_says_that_it_waits() {
    let from = used();
    from.open().export(SOURCE, &from.file()).unwrap();
    // Elsewhere the clock is ahead, and the event is in a newer tree of the ledger.
    let to = Place::new();
    drop(to.open());
    let to = to.later(WINDOW / 2);
    let store = to.open();
    let ahead = Record::Spilled(Box::new(waits(OTHER, "a", 4, "taken")));
    store.put_all(&[ahead, delivered("b", "taken")]).unwrap();
    import(&store, &from.file()).unwrap();
    let entry = |broker: &str| store.look_up(&LedgerKey::new(broker, "taken")).unwrap().unwrap();
    assert_eq!((entry("a").outcome, entry("a").at), (Outcome::Delivered, 5 * WINDOW));
    assert_eq!((entry("b").outcome, entry("b").at), (Outcome::Delivered, 5 * WINDOW + WINDOW / 2));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn everything_of_the_source_moves_and_nothing_else(one in happenings(), two in happenings()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _context = runtime.enter();
        let (from, to) = (Place::new(), Place::new());
        let (store, target) = (from.open(), to.open());
        carry_out(&store, &one, &mut 0);
        carry_out(&target, &two.into_iter().map(|(what, _, broker, id)| (what, true, broker, id)).collect::<Vec<_>>(), &mut 0);
        store.put_all(&[settled(SOURCE, 10)]).unwrap();
        let names = brokers();
        let waiting = |store: &Store, source| names.iter().map(|b| of(store, b, source)).collect::<Vec<_>>();
        let (mine, others) = (waiting(&store, SOURCE), waiting(&store, OTHER));
        let own = waiting(&target, OTHER);
        store.export(SOURCE, &from.file()).unwrap();
        prop_assert!(waiting(&store, SOURCE).iter().all(Vec::is_empty));
        prop_assert_eq!(waiting(&store, OTHER), others);
        import(&target, &from.file()).unwrap();
        prop_assert_eq!(waiting(&target, SOURCE), mine);
        prop_assert_eq!(waiting(&target, OTHER), own);
        prop_assert_eq!(target.sources().checkpoint(SOURCE).unwrap(), Some(checkpoint(10)));
        // What was delivered is known there; what waits there is delivered there; and nothing else looks taken care of.
        for broker in &names {
            for id in (0..12).flat_map(|id| [format!("{id}"), format!("other-{id}")]) {
                let key = LedgerKey::new(broker, &id);
                let (here, there) = (store.look_up(&key).unwrap(), target.look_up(&key).unwrap());
                if here.is_some_and(|here| here.outcome == Outcome::Delivered) {
                    prop_assert_eq!(there.map(|there| there.outcome), Some(Outcome::Delivered));
                }
                if there.is_some_and(|there| there.outcome == Outcome::Spilled) {
                    let waits = [SOURCE, OTHER].iter().any(|source| of(&target, broker, source).contains(&id));
                    prop_assert!(waits, "{broker}/{id} is lost");
                }
            }
        }
    }
}
