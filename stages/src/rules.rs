//! What a shipment event must be like: limits and the statuses known, from the config; used by `Validate`.
//!
//! Guaranteed: there is a status to know, and each name a producer may use stands for exactly one.

use std::{fmt, sync::Arc, time::Duration};

use rustc_hash::FxHashMap;

/// Bytes an id may have: room for a URN around a UUID, and a key that a store and a header take.
pub const ID_MAX_DEFAULT: usize = 256;

/// How far ahead of us a producer's clock may be: a time zone taken for UTC is less than this.
pub const AHEAD_MAX_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);

/// How old an event may be, ten years: a replayed archive passes, a zeroed or mistyped year does not.
pub const AGE_MAX_DEFAULT: Duration = Duration::from_secs(3_650 * 86_400);

/// Bytes the name of a status may have: it labels metrics and stands in every ledger line.
pub const STATUS_MAX: usize = 64;

/// The statuses known by default, each with its aliases.
const STATUSES_DEFAULT: [(&str, &[&str]); 6] = [
    ("posted", &[]),
    ("matched", &[]),
    ("accepted", &[]),
    ("in-transit", &["in_transit"]),
    ("delivered", &[]),
    ("cancelled", &["canceled"]),
];

/// The rules every event is held to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Bytes an event's or load's id may have, [`ID_MAX_DEFAULT`] by default.
    pub id_max: usize,
    /// How far in the future an event may have happened, [`AHEAD_MAX_DEFAULT`] by default.
    pub ahead_max: Duration,
    /// How long ago an event may have happened, [`AGE_MAX_DEFAULT`] by default.
    pub age_max: Duration,
    /// The statuses known.
    pub statuses: Statuses,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            id_max: ID_MAX_DEFAULT,
            ahead_max: AHEAD_MAX_DEFAULT,
            age_max: AGE_MAX_DEFAULT,
            statuses: Statuses::default(),
        }
    }
}

/// Why statuses cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatusesError {
    /// There are none.
    #[error("no status is known, so no event would pass: name at least one")]
    None,
    /// A name is empty or too long, or has white space around it or control characters in it.
    #[error(
        "{name:?} cannot name a status: give it 1 to {STATUS_MAX} bytes without control characters or white space around"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// One name stands for two statuses.
    #[error("the status name {name:?} stands for both {first:?} and {second:?}: give it to one of them")]
    Ambiguous {
        /// The name.
        name: String,
        /// The status that has it.
        first: Arc<str>,
        /// The status that wants it too.
        second: Arc<str>,
    },
}

/// The statuses known, and the names producers use for them. Names are compared byte for byte.
#[derive(Clone, PartialEq, Eq)]
pub struct Statuses {
    /// Every name, the canonical ones too, and the status it stands for.
    names: FxHashMap<Arc<str>, Arc<str>>,
}

impl Statuses {
    /// Statuses by their canonical names, each with its aliases; the canonical name need not be repeated.
    ///
    /// # Errors
    /// If there is no status, a name is unusable, or a name stands for two statuses: everything that is wrong, the
    /// canonical names first. A canonical name wins over an alias, an earlier alias over a later one.
    pub fn new<'a, Aliases>(
        statuses: impl IntoIterator<Item = (&'a str, Aliases)>,
    ) -> Result<Self, Vec<StatusesError>>
    where
        Aliases: IntoIterator<Item = &'a str>,
    {
        let statuses: Vec<(Arc<str>, Aliases)> =
            statuses.into_iter().map(|(canonical, aliases)| (canonical.into(), aliases)).collect();
        let mut all = Self { names: FxHashMap::default() };
        let mut errors = Vec::new();
        for (status, _) in &statuses {
            errors.extend(all.add(status, status).err());
        }
        for (status, aliases) in statuses {
            errors.extend(aliases.into_iter().filter_map(|alias| all.add(alias, &status).err()));
        }
        if all.names.is_empty() && errors.is_empty() {
            errors.push(StatusesError::None);
        }
        if errors.is_empty() { Ok(all) } else { Err(errors) }
    }

    fn add(&mut self, name: &str, status: &Arc<str>) -> Result<(), StatusesError> {
        if name.is_empty()
            || name.len() > STATUS_MAX
            || name.trim() != name
            || name.contains(char::is_control)
        {
            return Err(StatusesError::Name { name: name.to_owned() });
        }
        let first = self.names.entry(name.into()).or_insert_with(|| Arc::clone(status));
        if first == status {
            return Ok(());
        }
        let (first, second) = (Arc::clone(first), Arc::clone(status));
        Err(StatusesError::Ambiguous { name: name.to_owned(), first, second })
    }

    /// The canonical names, sorted.
    #[must_use]
    pub fn all(&self) -> Vec<&str> {
        let mut all: Vec<&str> =
            self.names.iter().filter(|(name, of)| name == of).map(|(name, _)| &**name).collect();
        all.sort_unstable();
        all
    }

    /// The canonical name of the status that `name` stands for; every caller gets the same allocation.
    #[must_use]
    pub fn canonical(&self, name: &str) -> Option<&Arc<str>> {
        self.names.get(name)
    }
}

impl Default for Statuses {
    fn default() -> Self {
        let mut names = FxHashMap::default();
        for (canonical, aliases) in STATUSES_DEFAULT {
            let status: Arc<str> = canonical.into();
            names.insert(Arc::clone(&status), Arc::clone(&status));
            names.extend(aliases.iter().map(|&alias| (alias.into(), Arc::clone(&status))));
        }
        Self { names }
    }
}

impl fmt::Debug for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.names.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_statuses_pass_their_own_check() {
        let checked =
            Statuses::new(STATUSES_DEFAULT.map(|(canonical, aliases)| (canonical, aliases.iter().copied())));
        assert_eq!(checked, Ok(Statuses::default()));
    }

    #[test]
    fn aliases_give_the_canonical_name_and_the_same_allocation() {
        let statuses = Statuses::default();
        let canonical = statuses.canonical("in-transit").unwrap();
        assert_eq!(&**canonical, "in-transit");
        assert!(Arc::ptr_eq(canonical, statuses.canonical("in_transit").unwrap()));
        assert_eq!(statuses.canonical("In-Transit"), None);
        assert_eq!(statuses.all(), ["accepted", "cancelled", "delivered", "in-transit", "matched", "posted"]);
    }

    #[test]
    fn a_name_for_two_statuses_is_refused() {
        let errors = Statuses::new([("done", vec!["delivered"]), ("delivered", vec![])]).unwrap_err();
        let told =
            r#"the status name "delivered" stands for both "delivered" and "done": give it to one of them"#;
        assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), [told]);
        assert!(Statuses::new([("done", ["done"]), ("done", ["finished"])]).is_ok());
    }

    #[test]
    fn no_status_and_unusable_names_are_refused() {
        assert_eq!(Statuses::new::<[&str; 0]>([]), Err(vec![StatusesError::None]));
        let refused = ["", " posted", "posted\n", "pos\0ted", &"a".repeat(STATUS_MAX + 1)];
        let errors = refused.map(|name| StatusesError::Name { name: name.into() });
        assert_eq!(Statuses::new([("ok", refused)]), Err(errors.to_vec()));
        assert!(Statuses::new([("ok", [&*"a".repeat(STATUS_MAX)])]).is_ok());
    }
}
