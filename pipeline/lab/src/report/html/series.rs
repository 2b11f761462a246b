//! Samples made into lines. Every point is finite and not negative; a line has at most about [`POINTS_MAX`] points, and
//! thinning it keeps its peaks.

use super::super::Sample;

/// A time in milliseconds, and a value.
pub(super) type Point = (f64, f64);

/// As many points as a line on a screen can show.
pub(super) const POINTS_MAX: usize = 600;

/// What was seen at each sample, in pieces: a sample without a value is a gap.
pub(super) fn levels(samples: &[Sample], value: impl Fn(&Sample) -> Option<f64>) -> Vec<Vec<Point>> {
    let mut pieces = vec![Vec::new()];
    for sample in samples {
        match value(sample).filter(|value| value.is_finite()) {
            Some(value) => {
                if let Some(piece) = pieces.last_mut() {
                    piece.push((sample.at_ms as f64, value.max(0.0)));
                }
            }
            None if pieces.last().is_some_and(|piece| !piece.is_empty()) => pieces.push(Vec::new()),
            None => {}
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    let all: usize = pieces.iter().map(Vec::len).sum();
    let part = |piece: &Vec<Point>| (POINTS_MAX * piece.len() / all.max(1)).max(2);
    let thin = pieces.iter().map(|piece| thinned(piece, part(piece)));
    // so many gaps that there is no line left: keep as many pieces as there may be points
    let every = pieces.len().div_ceil(POINTS_MAX / 2).max(1);
    thin.step_by(every).collect()
}

/// At most `most` points of the line: the least and the greatest of each stretch.
fn thinned(points: &[Point], most: usize) -> Vec<Point> {
    if points.len() <= most {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil((most / 2).max(1));
    let mut thin = Vec::with_capacity(most);
    for stretch in points.chunks(stretch) {
        let by_value = |a: &&Point, b: &&Point| a.1.total_cmp(&b.1);
        let ends = [stretch.iter().min_by(by_value), stretch.iter().max_by(by_value)];
        let mut ends: Vec<Point> = ends.into_iter().flatten().copied().collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends.dedup();
        thin.extend(ends);
    }
    thin
}

/// How fast a count grew, per second, over windows of at least `window_ms`, each at its middle.
pub(super) fn rates(samples: &[Sample], window_ms: f64, counted: impl Fn(&Sample) -> u64) -> Vec<Point> {
    let mut points = Vec::new();
    let mut from = (0.0, 0);
    for sample in samples {
        let until = sample.at_ms as f64;
        let passed = until - from.0;
        if passed >= window_ms && passed > 0.0 {
            let counted = counted(sample);
            let grown = counted.saturating_sub(from.1) as f64;
            points.push((from.0 + passed / 2.0, grown / passed * 1000.0));
            from = (until, counted);
        }
    }
    thinned(&points, POINTS_MAX)
}

/// When something held, as times from and to; breaks shorter than `break_ms` are left out.
pub(super) fn spans(samples: &[Sample], break_ms: f64, holds: impl Fn(&Sample) -> bool) -> Vec<(f64, f64)> {
    let mut spans: Vec<(f64, f64)> = Vec::new();
    let mut before = 0.0;
    for sample in samples {
        let at = sample.at_ms as f64;
        if holds(sample) {
            // it began somewhere since the sample before
            match spans.last_mut() {
                Some(last) if before - last.1 <= break_ms => last.1 = at,
                _ => spans.push((before, at)),
            }
        }
        before = at;
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[u64]) -> Vec<Sample> {
        let sample = |(nth, lag): (usize, &u64)| Sample {
            at_ms: 100 * (nth as u64 + 1),
            lag: *lag,
            held: *lag == 1,
            ..Sample::default()
        };
        values.iter().enumerate().map(sample).collect()
    }

    #[test]
    fn a_thinned_line_keeps_its_peak() {
        let mut values = vec![3; 10_000];
        values[7_777] = 12_000;
        let line = levels(&samples(&values), |sample| Some(sample.lag as f64)).concat();
        assert!(line.len() <= POINTS_MAX, "{}", line.len());
        assert!(line.contains(&(777_800.0, 12_000.0)));
        assert!(line.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_sample_without_a_value_is_a_gap() {
        let values = [Some(1.0), None, None, Some(f64::NAN), Some(2.0), Some(-3.0)];
        let pieces = levels(&samples(&[0, 1, 2, 3, 4, 5]), |sample| values[sample.lag as usize]);
        assert_eq!(pieces, [vec![(100.0, 1.0)], vec![(500.0, 2.0), (600.0, 0.0)]]);
        assert!(levels(&[], |_| Some(1.0)).is_empty());
        let broken = levels(&samples(&[0, 1].repeat(5_000)), |sample| (sample.lag > 0).then_some(1.0));
        assert!(broken.concat().len() <= POINTS_MAX, "{}", broken.len());
    }

    #[test]
    fn rates_are_per_second_over_whole_windows() {
        let line = rates(&samples(&[10, 20, 50, 80, 80]), 200.0, |sample| sample.lag);
        assert_eq!(line, [(100.0, 100.0), (300.0, 300.0)]);
        assert!(rates(&[Sample::default()], 0.0, |_| u64::MAX).is_empty());
    }

    #[test]
    fn spans_join_over_short_breaks() {
        let samples = samples(&[0, 1, 1, 0, 1, 0, 0, 0, 1]);
        assert_eq!(spans(&samples, 100.0, |sample| sample.held), [(100.0, 500.0), (800.0, 900.0)]);
    }
}
