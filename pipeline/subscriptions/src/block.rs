//! The loads that one query asks for, and who waits for the answers. Pure: no clock, no connection.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use stages::Subscriber;
use tokio::sync::oneshot;

use crate::{fault::DatabaseFault, session::SubscriptionRow};

/// The subscriptions to a load.
pub(crate) type Found = Arc<[Subscriber]>;

/// One who wants to know who subscribes to a load.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) load_id: Arc<str>,
    pub(crate) reply: oneshot::Sender<Found>,
}

/// The asks of one query: all of them were there before it began.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// Each once.
    loads: Vec<Arc<str>>,
    asks: Vec<Ask>,
}

impl Block {
    /// Adds those that wait, in their order, until there are `max` loads. Whoever does not wait any more is left out.
    pub(crate) fn fill(&mut self, waiting: &mut VecDeque<Ask>, max: usize) {
        let mut known: HashMap<Arc<str>, ()> = self.loads.iter().map(|load| (load.clone(), ())).collect();
        while let Some(ask) = waiting.front() {
            let is_new = !known.contains_key(&ask.load_id);
            if is_new && self.loads.len() >= max {
                return;
            }
            let Some(ask) = waiting.pop_front() else { return };
            if ask.reply.is_closed() {
                continue;
            }
            if is_new {
                known.insert(ask.load_id.clone(), ());
                self.loads.push(ask.load_id.clone());
            }
            self.asks.push(ask);
        }
    }

    pub(crate) fn loads(&self) -> &[Arc<str>] {
        &self.loads
    }

    /// Leaves out whoever does not wait any more.
    pub(crate) fn prune(&mut self) {
        self.asks.retain(|ask| !ask.reply.is_closed());
        if self.asks.is_empty() {
            self.loads.clear();
        }
    }

    /// Answers whoever asks for a load of which something is known; the others stay. How many were answered.
    pub(crate) fn answer_known(&mut self, known: impl Fn(&str) -> Option<Found>) -> u64 {
        let asks = std::mem::take(&mut self.asks);
        let (rest, answered) = answer_known(asks, known);
        let wanted: HashSet<_> = rest.iter().map(|ask| &ask.load_id).collect();
        self.loads.retain(|load| wanted.contains(load));
        self.asks = rest;
        answered
    }

    /// Answers everyone, and gives what was found of each load.
    ///
    /// # Errors
    /// There is a row of a load that nobody has asked for: then nobody is answered, because whoever asked for another
    /// spelling of it would be told that nobody subscribes.
    pub(crate) fn answer(
        &mut self,
        rows: Vec<SubscriptionRow>,
    ) -> Result<Vec<(Arc<str>, Found)>, DatabaseFault> {
        let mut found: HashMap<&str, Vec<Subscriber>> =
            self.loads.iter().map(|load| (&**load, Vec::new())).collect();
        for row in rows {
            let SubscriptionRow { id, load_id, broker_id, statuses } = row;
            let Some(subscribers) = found.get_mut(load_id.as_str()) else {
                return Err(DatabaseFault::unfit(
                    "the look-up",
                    "answers for a load that was not asked for",
                    "have it compare load_id as text, byte for byte: not as citext or char(n)",
                ));
            };
            subscribers.push(Subscriber {
                broker: broker_id.into(),
                statuses: statuses.map(Into::into),
                row: id,
            });
        }
        let found: HashMap<&str, Found> =
            found.into_iter().map(|(load, subscribers)| (load, subscribers.into())).collect();
        for Ask { load_id, reply } in self.asks.drain(..) {
            if let Some(subscribers) = found.get(&*load_id) {
                // It may not wait any more.
                let _gone = reply.send(subscribers.clone()).is_err();
            }
        }
        let all = self.loads.iter().filter_map(|load| Some((load.clone(), found.get(&**load)?.clone())));
        let all = all.collect();
        drop(found);
        self.loads.clear();
        Ok(all)
    }
}

/// Answers those of `asks` that ask for a load of which something is known; the others, in their order, and how many were
/// answered.
pub(crate) fn answer_known<Asks: IntoIterator<Item = Ask> + FromIterator<Ask>>(
    asks: Asks,
    known: impl Fn(&str) -> Option<Found>,
) -> (Asks, u64) {
    let mut answered = 0;
    let rest = asks.into_iter().filter_map(|ask| match known(&ask.load_id) {
        None => Some(ask),
        Some(found) => {
            // It may not wait any more.
            answered += u64::from(ask.reply.send(found).is_ok());
            None
        }
    });
    (rest.collect(), answered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(load: &str) -> (Ask, oneshot::Receiver<Found>) {
        let (reply, answer) = oneshot::channel();
        (Ask { load_id: load.into(), reply }, answer)
    }

    fn row(id: i64, load: &str, broker: &str) -> SubscriptionRow {
        SubscriptionRow { id, load_id: load.into(), broker_id: broker.into(), statuses: None }
    }

    #[test]
    fn each_load_is_asked_for_once_and_everyone_who_asked_is_answered() {
        let (asks, mut answers): (VecDeque<_>, Vec<_>) =
            ["a", "b", "a", "c", "a"].map(ask).into_iter().unzip();
        let (mut waiting, mut block) = (asks, Block::default());
        drop(answers.remove(1));
        block.fill(&mut waiting, 2);
        assert_eq!(block.loads().iter().map(|load| &**load).collect::<Vec<_>>(), ["a", "c"]);
        assert!(waiting.is_empty(), "the last one asks for a load that is there");
        block.answer(vec![row(1, "a", "acme"), row(2, "c", "blue"), row(3, "a", "blue")]).unwrap();
        let rows = |answer: &mut oneshot::Receiver<Found>| {
            answer.try_recv().unwrap().iter().map(|subscriber| subscriber.row).collect::<Vec<_>>()
        };
        assert_eq!(
            answers.iter_mut().map(rows).collect::<Vec<_>>(),
            [vec![1, 3], vec![1, 3], vec![2], vec![1, 3]]
        );
    }

    #[test]
    fn a_block_has_so_many_loads_and_the_next_has_the_others() {
        let (mut waiting, _answers): (VecDeque<_>, Vec<_>) = ["a", "b", "c"].map(ask).into_iter().unzip();
        let mut block = Block::default();
        block.fill(&mut waiting, 2);
        assert_eq!((block.loads().len(), waiting.len()), (2, 1));
        block.answer(Vec::new()).unwrap();
        block.fill(&mut waiting, 2);
        assert_eq!(block.loads(), [Arc::from("c")]);
    }

    #[test]
    fn an_answer_for_another_spelling_is_none_for_anybody() {
        let (one, mut answer) = ask("L-1");
        let mut block = Block::default();
        block.fill(&mut VecDeque::from([one]), 2);
        assert!(block.answer(vec![row(1, "l-1", "acme")]).unwrap_err().is_definite());
        assert!(answer.try_recv().is_err());
        block.answer(vec![row(1, "L-1", "acme")]).unwrap();
        assert_eq!(answer.try_recv().unwrap().len(), 1);
    }
}
