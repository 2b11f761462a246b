//! The outcome in one line, in parts; Loadline's part first, because it is what is judged.

use super::{
    Figures, Report, SystemReport,
    figures::{events, title},
    units::count,
};

/// Whether Loadline kept every promise; none if it was not run.
pub(super) fn kept(report: &Report) -> Option<bool> {
    report.systems.iter().find(|system| system.name == "loadline").map(|system| {
        let Figures { lost, out_of_order, .. } = system.figures;
        system.violation_count == 0 && lost == 0 && out_of_order == 0 && unexplained(&system.figures) == 0
    })
}

/// How many goals Loadline missed.
pub(super) fn missed(report: &Report) -> usize {
    report.systems.iter().filter(|one| one.name == "loadline").map(|one| one.missed_goals.len()).sum()
}

/// A part of a sentence for each system.
pub(super) fn verdict(report: &Report) -> Vec<String> {
    let (loadline, others): (Vec<_>, Vec<_>) =
        report.systems.iter().partition(|system| system.name == "loadline");
    let parts: Vec<String> = loadline.into_iter().chain(others).map(sentence).collect();
    if parts.is_empty() { vec!["nothing was run".to_owned()] } else { parts }
}

fn sentence(system: &SystemReport) -> String {
    let figures = &system.figures;
    let mut parts = vec![format!("{} lost", count(figures.lost)), ordered(figures)];
    if system.name == "loadline" {
        parts.push(duplicates(unexplained(figures), "unexplained "));
        if system.violation_count > 0 {
            parts.push(violations(system.violation_count));
        }
        match system.missed_goals.len() {
            0 => {}
            1 => parts.push("1 goal missed".to_owned()),
            more => parts.push(format!("{more} goals missed")),
        }
    } else {
        parts.insert(0, duplicates(figures.duplicates, ""));
    }
    // A line has room for what went wrong, or for this.
    if system.violation_count == 0 || system.missed_goals.is_empty() {
        parts.push(format!("lag up to {}", events(figures.peak_lag)));
    }
    format!("{}: {}", title(system), parts.join(", "))
}

fn unexplained(figures: &Figures) -> u64 {
    figures.duplicates.saturating_sub(figures.explained_duplicates)
}

fn ordered(figures: &Figures) -> String {
    format!("{} out of order", count(figures.out_of_order))
}

fn duplicates(number: u64, which: &str) -> String {
    format!("{} {which}duplicate{}", count(number), if number == 1 { "" } else { "s" })
}

/// `1 violation`, `3 violations`.
pub(super) fn violations(number: u64) -> String {
    format!("{} violation{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    #[test]
    fn the_verdict_says_what_was_promised_and_what_the_other_did() {
        let mut report = sample();
        let [legacy, loadline] = &mut report.systems[..] else { panic!("two systems") };
        legacy.figures =
            Figures { duplicates: 31_402, out_of_order: 7, peak_lag: 12_000, ..Figures::default() };
        loadline.figures =
            Figures { duplicates: 4, explained_duplicates: 4, peak_lag: 310, ..Figures::default() };
        let expected = [
            "Loadline: 0 lost, 0 out of order, 0 unexplained duplicates, lag up to 310 events",
            "legacy: 31,402 duplicates, 0 lost, 7 out of order, lag up to 12,000 events",
        ];
        assert_eq!(verdict(&report), expected);
        assert_eq!(kept(&report), Some(true));
    }

    #[test]
    fn one_duplicate_nobody_can_explain_breaks_the_promise() {
        let mut report = sample();
        report.systems.remove(0);
        report.systems[0].figures = Figures { duplicates: 5, explained_duplicates: 4, ..Figures::default() };
        report.systems[0].violation_count = 1;
        assert_eq!(
            verdict(&report),
            ["Loadline: 0 lost, 0 out of order, 1 unexplained duplicate, 1 violation, lag up to 0 events"]
        );
        assert_eq!(kept(&report), Some(false));
        report.systems.clear();
        assert_eq!((verdict(&report), kept(&report)), (vec!["nothing was run".to_owned()], None));
    }
}
