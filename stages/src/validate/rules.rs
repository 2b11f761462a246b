//! The rules of `Validate`: limits and known statuses, from the config. There is at least one known status, and each
//! name a producer may use stands for exactly one.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use rustc_hash::FxHashMap;

/// The default of the longest id, in bytes: enough for a URN with a UUID, and usable as a key and in a header.
pub const ID_MAX_DEFAULT: usize = 256;

/// The default of how far a producer's clock may be ahead: more than a local time taken for UTC.
pub const AHEAD_MAX_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);

/// The default of how old an event may be, ten years: a replayed archive passes, a zeroed or mistyped year does not.
pub const AGE_MAX_DEFAULT: Duration = Duration::from_secs(3_650 * 86_400);

/// The longest name of a status, in bytes: it is a metrics label.
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

/// The rules for every event.
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
    /// What becomes of an event with another status.
    pub unknown_status: UnknownStatus,
}

/// What becomes of an event whose status is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownStatus {
    /// It is a dead letter; later events of its load go on without it.
    #[default]
    Dead,
    /// It is delivered in its turn, with its status as it came.
    Pass,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            id_max: ID_MAX_DEFAULT,
            ahead_max: AHEAD_MAX_DEFAULT,
            age_max: AGE_MAX_DEFAULT,
            statuses: Statuses::default(),
            unknown_status: UnknownStatus::default(),
        }
    }
}

/// Why a list of statuses is unusable.
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

/// The statuses known, and the names producers use for them. Neither case nor the white space around or between words
/// tells two names apart.
#[derive(Clone, PartialEq, Eq)]
pub struct Statuses {
    /// Every name as it was given, the canonical ones too, and the status it stands for.
    names: FxHashMap<Arc<str>, Arc<str>>,
    /// The same, folded.
    folded: FxHashMap<Box<str>, Arc<str>>,
}

/// A name as it is compared: in small letters, with one space between words and none around them. A plain name, which
/// most are, stays as it is.
fn folded(name: &str) -> Cow<'_, str> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase());
    if is_plain {
        return Cow::Borrowed(name);
    }
    let words = name.split_whitespace().flat_map(|word| [" ", word]).skip(1);
    Cow::Owned(words.collect::<String>().to_lowercase())
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
        let mut all = Self { names: FxHashMap::default(), folded: FxHashMap::default() };
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
        let first = self.folded.entry(folded(name).into()).or_insert_with(|| Arc::clone(status));
        if first == status {
            self.names.insert(name.into(), Arc::clone(status));
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
        self.names.get(name).or_else(|| self.folded.get(&*folded(name)))
    }
}

impl Default for Statuses {
    fn default() -> Self {
        let (mut names, mut folded) = (FxHashMap::default(), FxHashMap::default());
        for (canonical, aliases) in STATUSES_DEFAULT {
            let status: Arc<str> = canonical.into();
            for name in std::iter::once(&canonical).chain(aliases) {
                names.insert(Arc::from(*name), Arc::clone(&status));
                folded.insert(self::folded(name).into(), Arc::clone(&status));
            }
        }
        Self { names, folded }
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
        for name in ["In-Transit", " in-transit\t", "IN_TRANSIT", "in_Transit\u{a0}"] {
            assert!(Arc::ptr_eq(canonical, statuses.canonical(name).unwrap()), "{name:?}");
        }
        for name in ["in transit", "intransit", "", " "] {
            assert_eq!(statuses.canonical(name), None, "{name:?}");
        }
        assert_eq!(statuses.all(), ["accepted", "cancelled", "delivered", "in-transit", "matched", "posted"]);
    }

    #[test]
    fn words_are_told_apart_by_one_space_however_they_are_spaced() {
        let statuses = Statuses::new([("Out For Delivery", ["D1", "ÜBERGEBEN"])]).unwrap();
        for name in ["out for delivery", "OUT  FOR\tDELIVERY ", "d1", "übergeben"] {
            assert_eq!(
                statuses.canonical(name).map(|status| &**status),
                Some("Out For Delivery"),
                "{name:?}"
            );
        }
        assert_eq!(statuses.all(), ["Out For Delivery"]);
        assert!(Statuses::new([("at stop", vec![]), ("other", vec!["AT  STOP"])]).is_err());
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
