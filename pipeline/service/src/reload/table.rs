//! The brokers of the database's table: what each row was last, and what is in force of it. Pure: reading a row comes from
//! outside.
//!
//! Guarantees: a broken row changes nothing but what is told of it: the broker's last good version stays. A row that is whole
//! again, or was the config's broker and is so no more, comes into force.

use std::{collections::BTreeMap, sync::Arc};

use subscriptions::BrokerRow;

use super::plan::{Plan, keys};
use crate::config::BrokerConfig;

/// The brokers of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    rows: BTreeMap<String, Arc<BrokerRow>>,
    brokers: BTreeMap<String, Arc<BrokerConfig>>,
    rejected: BTreeMap<String, String>,
}

/// How rows become brokers.
pub(super) struct Reading<'r> {
    /// Reads one, or says why it cannot be.
    pub(super) read: &'r dyn Fn(&BrokerRow) -> Result<BrokerConfig, String>,
    /// Whether the config itself has a broker of this name.
    pub(super) is_named: &'r dyn Fn(&str) -> bool,
    /// How many brokers there may be.
    pub(super) max: usize,
    /// Whether rows that have not changed are read again, too.
    pub(super) again: bool,
}

impl Table {
    /// The brokers in force, by name.
    pub(super) fn brokers(&self) -> impl Iterator<Item = &BrokerConfig> {
        self.brokers.values().map(|broker| &**broker)
    }

    /// How many are in force.
    pub(super) fn len(&self) -> usize {
        self.brokers.len()
    }

    /// The brokers whose rows are broken, and why.
    pub(super) fn rejected(&self) -> &BTreeMap<String, String> {
        &self.rejected
    }

    /// The table once `rows` have been read; they are all there are if `whole`. Then those that were broken are tried again.
    pub(super) fn next(&self, rows: Vec<BrokerRow>, whole: bool, reading: &Reading<'_>) -> Self {
        let Reading { read, is_named, max, again } = reading;
        let mut rows: BTreeMap<String, Arc<BrokerRow>> =
            rows.into_iter().map(|row| (row.id.clone(), Arc::new(row))).collect();
        if !whole {
            let mut all = self.rows.clone();
            all.append(&mut rows);
            rows = all;
        }
        let mut next = Self::default();
        for (id, row) in &rows {
            let before = self.brokers.get(id);
            if !row.active || is_named(id) {
                if row.active {
                    let why = "the config has a broker of this name, which stays; take it out there, or rename this one";
                    next.rejected.insert(id.clone(), why.to_owned());
                }
                continue;
            }
            let is_same = self.rows.get(id).is_some_and(|known| known == row);
            if let Some(broker) = before.filter(|_| is_same && !again && !self.rejected.contains_key(id)) {
                next.brokers.insert(id.clone(), broker.clone());
                continue;
            }
            if let Some(why) = self.rejected.get(id).filter(|_| is_same && !whole && !again) {
                next.rejected.insert(id.clone(), why.clone());
                next.brokers.extend(before.map(|broker| (id.clone(), broker.clone())));
                continue;
            }
            let full = before.is_none() && next.brokers.len() >= *max;
            let read =
                if full { Err(format!("is one more than {max} brokers, the most")) } else { read(row) };
            match read {
                Ok(broker) => {
                    next.brokers.insert(id.clone(), Arc::new(broker));
                }
                Err(why) => {
                    next.rejected.insert(id.clone(), why);
                    next.brokers.extend(before.map(|broker| (id.clone(), broker.clone())));
                }
            }
        }
        next.rows = rows;
        next
    }

    /// What has to be done to replace `old` by this.
    pub(super) fn plan(&self, old: &Self) -> Plan {
        let mut plan = Plan::default();
        for (id, broker) in &self.brokers {
            match old.brokers.get(id) {
                None => plan.added.push(id.clone()),
                Some(before) if Arc::ptr_eq(before, broker) => {}
                Some(before) => match keys(before, broker) {
                    keys if keys.is_empty() => {}
                    keys => plan.changed.push((id.clone(), keys)),
                },
            }
        }
        plan.removed = old.brokers.keys().filter(|id| !self.brokers.contains_key(*id)).cloned().collect();
        plan
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn row(id: &str, rate: f64) -> BrokerRow {
        let (url, secrets) = (Some("https://a.example/".to_owned()), Some(Vec::new()));
        BrokerRow { id: id.to_owned(), url, secrets, rate: Some(rate), active: true, settings: None }
    }

    /// A rate below one is a broken row.
    fn read(row: &BrokerRow) -> Result<BrokerConfig, String> {
        let rate = row.rate.filter(|rate| *rate >= 1.0).ok_or("no rate")?;
        let text = format!(
            "[source]\npath = \"e\"\n[[brokers]]\nid = \"{}\"\nurl = \"https://a.example/\"\nsecrets = [\"env:K\"]\nrate = {rate}\n",
            row.id
        );
        let key = format!("whsec_{}", "A".repeat(32));
        Ok(Config::parse(&text, Path::new("/"), |_| Ok(key.clone())).unwrap().brokers.remove(0))
    }

    fn reading() -> Reading<'static> {
        Reading { read: &read, is_named: &|id| id == "named", max: 3, again: false }
    }

    fn rates(table: &Table) -> Vec<(&str, f64)> {
        table.brokers().map(|broker| (&*broker.id, broker.rate)).collect()
    }

    #[test]
    fn a_broken_row_keeps_its_last_good_version_and_touches_no_other() {
        let first = Table::default().next(vec![row("a", 1.0), row("b", 2.0)], true, &reading());
        assert_eq!(rates(&first), [("a", 1.0), ("b", 2.0)]);
        let broken = first.next(vec![row("a", 0.0), row("c", 0.0), row("b", 3.0)], false, &reading());
        assert_eq!(rates(&broken), [("a", 1.0), ("b", 3.0)], "c never was whole");
        assert_eq!(broken.rejected().keys().collect::<Vec<_>>(), ["a", "c"]);
        let plan = broken.plan(&first);
        assert_eq!((plan.changed.len(), plan.added.len(), plan.removed.len()), (1, 0, 0));
        let whole = broken.next(vec![row("a", 4.0)], false, &reading());
        assert_eq!((rates(&whole), whole.rejected().len()), (vec![("a", 4.0), ("b", 3.0)], 1));
    }

    #[test]
    fn who_is_inactive_or_gone_leaves_and_a_broken_one_that_is_gone_is_forgotten() {
        let first =
            Table::default().next(vec![row("a", 1.0), row("b", 2.0), row("c", 0.0)], true, &reading());
        let inactive = BrokerRow { active: false, ..row("a", 1.0) };
        let next = first.next(vec![inactive], false, &reading());
        assert_eq!((rates(&next), next.plan(&first).removed), (vec![("b", 2.0)], vec!["a".to_owned()]));
        let whole = next.next(vec![row("a", 1.0)], true, &reading());
        assert_eq!((rates(&whole), whole.rejected().len()), (vec![("a", 1.0)], 0));
        assert_eq!(whole.plan(&next).removed, ["b"]);
    }

    #[test]
    fn the_configs_broker_goes_first_and_there_are_no_more_than_there_may_be() {
        let rows = ["a", "b", "c", "d", "named"].map(|id| row(id, 1.0));
        let table = Table::default().next(rows.to_vec(), true, &reading());
        assert_eq!(table.len(), 3);
        assert_eq!(table.rejected().keys().collect::<Vec<_>>(), ["d", "named"]);
        let own = Reading { is_named: &|_| false, max: 5, ..reading() };
        assert_eq!(table.next(rows.to_vec(), true, &own).len(), 5);
        // A whole read of rows that have not changed leaves each broker as it is.
        assert!(table.next(rows.to_vec(), true, &reading()).plan(&table).is_empty());
    }
}
