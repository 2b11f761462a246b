//! The arithmetic of a comparison: medians, spreads and verdicts on goals from the figures of several rounds. Nothing is
//! divided by zero, and what cannot be said is none, never `NaN`.

use serde::Serialize;

/// A figure over several rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one; of an even number of rounds, the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// The spread of these figures, those that are no number left out; none if none is left.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().filter(|figure| figure.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let (lower, upper) = (sorted.get((sorted.len() - 1) / 2)?, sorted.get(sorted.len() / 2)?);
        Some(Self { median: f64::midpoint(*lower, *upper), least, most })
    }

    /// The spread of the ratios within each round. A round in which either figure is missing is left out: ratios of
    /// different rounds mean nothing, because the machine was not the same.
    #[must_use]
    pub fn of_ratios(rounds: impl IntoIterator<Item = (Option<f64>, Option<f64>)>) -> Option<Self> {
        let ratios = rounds.into_iter().filter_map(|(above, below)| ratio(above?, below?));
        Self::of(ratios)
    }
}

/// `above / below`; none if that is no number.
#[must_use]
pub(super) fn ratio(above: f64, below: f64) -> Option<f64> {
    Some(above / below).filter(|ratio| ratio.is_finite())
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Bound {
    /// Whether `figure` is within the bound.
    #[must_use]
    pub fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
        }
    }
}

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// A ratio of two figures of one round.
    Ratio,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

/// A goal, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Goal {
    /// What was compared, in a few words.
    pub what: String,
    /// What it was over the rounds; none if it could not be measured here.
    pub measured: Option<Spread>,
    /// What it is counted in.
    pub unit: Unit,
    /// What the median should be.
    pub goal: Bound,
    /// Whether it is; none if it could not be measured here.
    pub reached: Option<bool>,
}

impl Goal {
    /// Judges a figure by its median.
    #[must_use]
    pub fn judged(what: impl Into<String>, unit: Unit, measured: Option<Spread>, goal: Bound) -> Self {
        let reached = measured.map(|spread| goal.holds(spread.median));
        Self { what: what.into(), measured, unit, goal, reached }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_or_the_mean_of_the_two_in_the_middle() {
        let spread = Spread::of([3.0, 1.0, f64::NAN, 2.0]).unwrap();
        assert_eq!(spread, Spread { median: 2.0, least: 1.0, most: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([7.0]).unwrap(), Spread { median: 7.0, least: 7.0, most: 7.0 });
        assert_eq!(Spread::of([f64::INFINITY]), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round_before_the_median() {
        let rounds = [(Some(9.0), Some(10.0)), (Some(40.0), Some(20.0)), (Some(1.0), Some(2.0))];
        // The ratio of the medians would be 0.9 by chance too; the spread tells.
        assert_eq!(Spread::of_ratios(rounds).unwrap(), Spread { median: 0.9, least: 0.5, most: 2.0 });
        let broken = [(None, Some(1.0)), (Some(1.0), Some(0.0)), (Some(3.0), Some(2.0))];
        assert_eq!(Spread::of_ratios(broken).unwrap().median, 1.5);
        assert_eq!(Spread::of_ratios([(Some(0.0), Some(0.0))]), None);
    }

    #[test]
    fn a_goal_is_judged_by_the_median_and_not_at_all_without_a_figure() {
        let judged = |figures: &[f64], goal| {
            Goal::judged("a / b", Unit::Ratio, Spread::of(figures.iter().copied()), goal).reached
        };
        assert_eq!(judged(&[0.7, 0.75, 0.9], Bound::AtLeast(0.75)), Some(true));
        assert_eq!(judged(&[0.7, 0.74, 0.9], Bound::AtLeast(0.75)), Some(false));
        assert_eq!(judged(&[1.0, 1.15, 2.0], Bound::AtMost(1.15)), Some(true));
        assert_eq!(judged(&[1.16], Bound::AtMost(1.15)), Some(false));
        assert_eq!(judged(&[], Bound::AtMost(1.15)), None);
    }
}
