//! "Did you mean": suggests the nearest known word.

/// The longest word that is compared, in bytes: a key in a file may have any length, and a longer one is not similar
/// to any known key.
const WORD_MAX: usize = 64;

/// The known word with the smallest edit distance (swapped neighbours count once), if at most one letter in three
/// differs.
pub(super) fn suggest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    if word.len() > WORD_MAX {
        return None;
    }
    let near = known.iter().map(|known| (strsim::osa_distance(word, known), *known)).min()?;
    (near.0 <= near.1.len() / 3).then_some(near.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        let known = ["in_flight_max", "per_broker_max", "grace"];
        assert_eq!(suggest("in_fligth_max", &known), Some("in_flight_max"));
        assert_eq!(suggest("grac", &known), Some("grace"));
        assert_eq!(suggest("grcae", &known), Some("grace"));
        assert_eq!(suggest("garlic", &known), None);
        assert_eq!(suggest("colour", &known), None);
        assert_eq!(suggest(&"grace".repeat(100_000), &known), None, "not even compared");
    }
}
