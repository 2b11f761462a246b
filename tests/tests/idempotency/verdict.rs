//! The oracle's verdict on a model's run, in the terms of the tests.

use std::fmt::{self, Display};

use lab::oracle::{Evidence, Judgement, Kind, Terms, judge};

use crate::document;

/// The verdict.
#[derive(Debug)]
pub(crate) struct Verdict(Judgement);

impl Verdict {
    pub(crate) fn on(evidence: &Evidence) -> Self {
        Self(judge(evidence, &Terms { listed_per_kind: usize::MAX, ..Terms::default() }))
    }

    /// Nothing is held against the run, and no event came twice.
    #[track_caller]
    pub(crate) fn looks_right(self) {
        let duplicates = self.accepted();
        assert_eq!(duplicates, 0, "repeats without trouble");
    }

    /// Nothing is held against the run; gives the number of explained repeats.
    #[track_caller]
    pub(crate) fn accepted(self) -> u64 {
        if let Some(finding) = self.0.findings.first() {
            panic!("{finding}");
        }
        self.0.figures.explained_duplicates
    }

    /// These deliveries, and no other ones, were lost (broker and event), and nothing else is wrong. The document
    /// quotes the first one.
    #[track_caller]
    pub(crate) fn lost(self, expected: &[(u16, u32)]) {
        assert_eq!(self.of(Kind::Lost), expected, "{self}");
        assert_eq!(self.0.counts.total(), expected.len() as u64, "{self}");
        self.is_quoted(Kind::Lost);
    }

    /// These deliveries, and no other ones, were doubled (broker and event), and none was lost. The document quotes
    /// the first one.
    #[track_caller]
    pub(crate) fn doubled(self, expected: &[(u16, u32)]) {
        assert_eq!(self.of(Kind::Duplicate), expected, "{self}");
        // what comes again late comes out of order as well
        let others = self.0.counts.total() - self.0.counts.of(Kind::OutOfOrder);
        assert_eq!(others, expected.len() as u64, "{self}");
        self.is_quoted(Kind::Duplicate);
    }

    fn of(&self, kind: Kind) -> Vec<(u16, u32)> {
        let all = self.0.findings.iter().map(|finding| &finding.violation);
        all.filter(|violation| violation.kind() == kind)
            .filter_map(|violation| Some((violation.broker()?, violation.event()?)))
            .collect()
    }

    #[track_caller]
    fn is_quoted(&self, kind: Kind) {
        let words =
            self.0.findings.iter().find(|finding| finding.violation.kind() == kind).map(ToString::to_string);
        document::assert_quotes(&words.unwrap_or_default());
    }
}

impl Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.findings.iter().try_for_each(|finding| writeln!(out, "{finding}"))
    }
}
