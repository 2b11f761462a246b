//! "Did you mean": the known word nearest to one that is not known.

/// The known word that differs in the fewest letters, if it is near enough to be what was meant.
pub(super) fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let near = known.iter().map(|known| (distance(word, known), *known)).min()?;
    (near.0 <= near.1.len() / 3).then_some(near.1)
}

/// How many letters have to be put in, taken out or replaced (Levenshtein 1965), with one row of the table in memory.
fn distance(a: &str, b: &str) -> usize {
    // A key in a file may be of any length; nothing that long is near a key of ours.
    if a.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        let known = ["in_flight_max", "per_broker_max", "grace"];
        assert_eq!(nearest("in_fligth_max", &known), Some("in_flight_max"));
        assert_eq!(nearest("grcae", &known), None);
        assert_eq!(nearest("grac", &known), Some("grace"));
        assert_eq!(nearest("colour", &known), None);
    }

    #[test]
    fn distances_are_levenshteins() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
