//! Cuts a sorted stream of deliveries into loads. One load at a time is in memory, and it has a bound.

use std::iter::Peekable;

use crate::{delivery::Delivery, fault::AuditFault};

/// The most deliveries of one load to one broker that are judged: far more than a load has, and some 100 MB of memory.
pub(crate) const LOAD_MAX: usize = 200_000;

/// The loads of a stream that is sorted.
pub(crate) struct Loads<I: Iterator<Item = Result<Delivery, AuditFault>>> {
    sorted: Peekable<I>,
}

impl<I: Iterator<Item = Result<Delivery, AuditFault>>> Loads<I> {
    pub(crate) fn new(sorted: I) -> Self {
        Self { sorted: sorted.peekable() }
    }
}

impl<I: Iterator<Item = Result<Delivery, AuditFault>>> Iterator for Loads<I> {
    type Item = Result<Vec<Delivery>, AuditFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut load = match self.sorted.next()? {
            Ok(first) => vec![first],
            Err(fault) => return Some(Err(fault)),
        };
        while let Some(next) = self.sorted.next_if(|next| match next {
            Ok(next) => next.is_with(&load[0]),
            Err(_) => true,
        }) {
            match next {
                Ok(next) if load.len() < LOAD_MAX => load.push(next),
                Ok(Delivery { broker, load, .. }) => {
                    return Some(Err(AuditFault::LoadTooLarge { broker, load, max: LOAD_MAX }));
                }
                Err(fault) => return Some(Err(fault)),
            }
        }
        Some(Ok(load))
    }
}
