//! The watermark: records open in log order and close in any order; out comes the place below which all are closed.

use std::collections::VecDeque;

/// Open and closed records between the watermark and the newest record, in log order.
///
/// | records, oldest first | watermark |
/// |---|---|
/// | open, open | does not move |
/// | open, closed | does not move |
/// | closed, open | after the first |
/// | closed, closed | after the second |
#[derive(Debug)]
pub(crate) struct Watermark<Place> {
    /// The number of the oldest record held.
    oldest: u64,
    /// For each record from the oldest on: where to resume after it, and whether it is still open.
    records: VecDeque<(Place, bool)>,
}

impl<Place> Default for Watermark<Place> {
    fn default() -> Self {
        Self { oldest: 0, records: VecDeque::new() }
    }
}

impl<Place> Watermark<Place> {
    /// Opens the next record; `after` is where to resume once it is closed. Gives its number.
    pub(crate) fn open(&mut self, after: Place) -> u64 {
        self.records.push_back((after, true));
        self.oldest + self.records.len() as u64 - 1
    }

    /// Closes record `number` and gives the new watermark if it has moved. A record that is closed already, or was
    /// never opened, changes nothing.
    pub(crate) fn close(&mut self, number: u64) -> Option<Place> {
        let index = usize::try_from(number.checked_sub(self.oldest)?).ok()?;
        self.records.get_mut(index)?.1 = false;
        let mut moved = None;
        while let Some((_, false)) = self.records.front() {
            moved = self.records.pop_front().map(|(after, _)| after);
            self.oldest += 1;
        }
        moved
    }

    /// The oldest open record's place; none if all are closed.
    pub(crate) fn oldest(&self) -> Option<&Place> {
        self.records.front().map(|(after, _)| after)
    }

    /// How many records lie between the watermark and the newest, open or not.
    pub(crate) fn span(&self) -> usize {
        self.records.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_watermark_is_the_end_of_the_closed_beginning(order in Just((0..40u64).collect::<Vec<_>>()).prop_shuffle()) {
            let mut watermark = Watermark::default();
            for place in 0..40u64 {
                prop_assert_eq!(watermark.open(place), place);
            }
            let mut closed = [false; 40];
            let mut at = None;
            for number in order {
                closed[number as usize] = true;
                at = watermark.close(number).or(at);
                let beginning = closed.iter().take_while(|closed| **closed).count();
                prop_assert_eq!(at, (beginning as u64).checked_sub(1));
                prop_assert_eq!(watermark.span(), 40 - beginning);
                prop_assert_eq!(watermark.oldest().copied(), (beginning < 40).then_some(beginning as u64));
            }
        }
    }

    #[test]
    fn closing_twice_or_closing_what_was_never_opened_moves_nothing() {
        let mut watermark = Watermark::default();
        let (first, second) = (watermark.open('a'), watermark.open('b'));
        assert_eq!(watermark.close(second + 1), None);
        assert_eq!(watermark.close(first), Some('a'));
        assert_eq!(watermark.close(first), None);
        assert_eq!((watermark.close(second), watermark.span()), (Some('b'), 0));
    }
}
