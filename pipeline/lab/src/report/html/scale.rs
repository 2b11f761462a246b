//! An axis: its round ticks, and where a value stands on it. Every place is a finite number within 0..=1, whatever the
//! value.

use super::super::units::short;

/// What a value says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// How many.
    Count,
    /// Milliseconds.
    Time,
}

/// A mark on an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// Where, from 0 to 1.
    pub(super) place: f64,
    /// What it says.
    pub(super) label: String,
}

/// An axis.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    /// The value at place 0; above zero if `log`.
    pub(super) min: f64,
    /// The value at place 1; above `min`.
    pub(super) max: f64,
    /// Whether equal distances are equal ratios.
    pub(super) log: bool,
    /// The marks, in rising order.
    pub(super) ticks: Vec<Tick>,
}

/// A millisecond and what people count times in above it; beyond hours, hours.
const TIME_STEPS: [f64; 22] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 10e3, 20e3, 30e3, 60e3, 120e3,
    300e3, 600e3, 1_200e3, 1_800e3, 3_600e3,
];
/// The greatest value an axis shows, the last round one that a count of 64 bits reaches; greater ones stand at its end.
const VALUE_MAX: f64 = 1e19;
/// The most decades of a logarithmic axis.
const DECADES_MAX: f64 = 7.0;

impl Scale {
    /// From zero to the first tick at or above `max`, in about `parts` steps.
    pub(super) fn up_to(max: f64, measure: Measure, parts: u32) -> Self {
        let step = step(sound(max), measure, parts);
        let steps = (sound(max) / step).ceil().max(1.0);
        Self::linear(step * steps, step, measure)
    }

    /// From zero to exactly `max`.
    pub(super) fn exactly(max: f64, measure: Measure, parts: u32) -> Self {
        let max = sound(max).max(1.0);
        Self::linear(max, step(max, measure, parts), measure)
    }

    fn linear(max: f64, step: f64, measure: Measure) -> Self {
        // a little more than a whole number of steps still is one: the division may have lost the last bit
        let ticks = (0..=(max / step + 1e-6) as u32)
            .map(|nth| f64::from(nth) * step)
            .map(|value| Tick { place: (value / max).min(1.0), label: label(value, step, measure) })
            .collect();
        Self { min: 0.0, max, log: false, ticks }
    }

    /// Whole decades around `least` and `most`, at most seven: the lowest are cut off.
    pub(super) fn decades(least: f64, most: f64, measure: Measure) -> Self {
        let floor = |value: f64| value.clamp(1e-3, VALUE_MAX).log10();
        let top = floor(most).ceil().max(floor(least).floor() + 1.0);
        let bottom = floor(least).floor().max(top - DECADES_MAX);
        let ticks = (0..=(top - bottom) as i32)
            .map(|nth| {
                let value = 10f64.powf(bottom + f64::from(nth));
                Tick { place: f64::from(nth) / (top - bottom), label: label(value, value, measure) }
            })
            .collect();
        Self { min: 10f64.powf(bottom), max: 10f64.powf(top), log: true, ticks }
    }

    /// Where the value stands; what is beyond an end stands at it.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = if self.log {
            (value.max(self.min) / self.min).ln() / (self.max / self.min).ln()
        } else {
            value / self.max
        };
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.0 }
    }
}

fn sound(max: f64) -> f64 {
    if max.is_finite() { max.clamp(0.0, VALUE_MAX) } else { 0.0 }
}

/// The first round step of which at most `parts` reach `max`.
fn step(max: f64, measure: Measure, parts: u32) -> f64 {
    let least = max / f64::from(parts.max(1));
    let hour = 3_600e3;
    match measure {
        Measure::Count => one_two_five(least),
        Measure::Time => TIME_STEPS
            .into_iter()
            .find(|step| *step >= least)
            .unwrap_or_else(|| one_two_five(least / hour) * hour),
    }
}

/// 1, 2 or 5 times a power of ten, at least 1 and at least `least`.
fn one_two_five(least: f64) -> f64 {
    let decade = 10f64.powf(least.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|times| times * decade)
        .into_iter()
        .find(|step| *step >= least)
        .unwrap_or(decade)
}

fn label(value: f64, step: f64, measure: Measure) -> String {
    let (per, unit) = match measure {
        Measure::Count => return short(value.round() as u64),
        Measure::Time if step >= 3_600e3 => (3_600e3, "h"),
        Measure::Time if step >= 60e3 && value != 100e3 => (60e3, "min"),
        Measure::Time if step >= 1e3 => (1e3, "s"),
        Measure::Time => (1.0, "ms"),
    };
    let value = value / per;
    if value > 0.0 && value < 0.95 {
        // one digit is enough: below a millisecond there are only powers of ten
        return format!("{value:.3}").trim_end_matches('0').to_owned() + " " + unit;
    }
    format!("{} {unit}", short(value.round() as u64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn labels(scale: &Scale) -> Vec<&str> {
        scale.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round() {
        let count = Scale::up_to(12_031.0, Measure::Count, 4);
        assert_eq!((labels(&count), count.max), (vec!["0", "5,000", "10,000", "15,000"], 15_000.0));
        assert_eq!(labels(&Scale::up_to(0.0, Measure::Count, 4)), ["0", "1"]);
        assert_eq!(labels(&Scale::up_to(41_000.0, Measure::Time, 3)), ["0 s", "20 s", "40 s", "60 s"]);
        let exact = Scale::exactly(75_400.0, Measure::Time, 6);
        assert_eq!((labels(&exact), exact.max), (vec!["0 s", "20 s", "40 s", "60 s"], 75_400.0));
        assert_eq!(labels(&Scale::up_to(u64::MAX as f64, Measure::Count, 2)), ["0", "5 E", "10 E"]);
    }

    #[test]
    fn decades_reach_around_the_values() {
        let scale = Scale::decades(31.0, 27_000.0, Measure::Time);
        assert_eq!(labels(&scale), ["10 ms", "100 ms", "1 s", "10 s", "100 s"]);
        assert!((scale.place(1_000.0) - 0.5).abs() < 1e-9);
        assert_eq!(labels(&Scale::decades(0.03, 0.05, Measure::Time)), ["0.01 ms", "0.1 ms"]);
    }

    proptest! {
        #[test]
        fn every_place_is_on_the_axis(max in any::<f64>(), least in any::<f64>(), value in any::<f64>()) {
            for measure in [Measure::Count, Measure::Time] {
                let scales = [
                    Scale::up_to(max, measure, 4),
                    Scale::exactly(max, measure, 6),
                    Scale::decades(least, max, measure),
                ];
                for scale in scales {
                    assert!((0.0..=1.0).contains(&scale.place(value)), "{scale:?}");
                    assert!((1..=9).contains(&scale.ticks.len()), "{scale:?}");
                    assert!(scale.ticks.iter().all(|tick| (0.0..=1.0).contains(&tick.place)), "{scale:?}");
                    assert!(scale.max > scale.min, "{scale:?}");
                }
            }
        }
    }
}
