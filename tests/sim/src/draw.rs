//! Numbers that look random and depend on nothing but a seed and what they are drawn for.

/// The finaliser of SplitMix64 over `seed` and `parts`: what is drawn for one thing does not depend on how often, or in
/// which order, anything else is drawn.
pub(crate) fn mix(seed: u64, parts: &[u64]) -> u64 {
    parts.iter().fold(seed, |mixed, part| {
        let mut z = (mixed ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// How many of `at_risk` unflushed writes a crash keeps: none, all or any number between, `what` names the crash.
pub(crate) fn kept(seed: u64, what: &[u64], at_risk: usize) -> usize {
    let draw = mix(seed, what);
    match draw % 4 {
        0 => 0,
        1 => at_risk,
        _ => (draw / 4) as usize % (at_risk + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_keeps_none_all_and_any_number_of_the_writes() {
        let kept: std::collections::BTreeSet<_> = (0..400).map(|what| kept(7, &[what], 4)).collect();
        assert!(kept.into_iter().eq(0..=4));
        assert_eq!(super::kept(7, &[1], 0), 0);
    }
}
