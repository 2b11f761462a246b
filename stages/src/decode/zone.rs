//! The time zone of times that name none: UTC, or one of the IANA time zone database, which is part of the binary.

use std::fmt;

use jiff::tz::TimeZone;

/// A time zone by its name.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone(pub(super) TimeZone);

/// The name of no time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no time zone: give a name of the IANA database, such as America/Chicago, or UTC")]
pub struct UnknownZone {
    name: String,
}

impl Zone {
    /// The zone of this name, such as `America/Chicago`.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        TimeZone::get(name).map(Self).map_err(|_| UnknownZone { name: name.to_owned() })
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_known_by_its_name_and_no_other_text_is_one() {
        assert_eq!(format!("{:?}", Zone::named("America/Chicago").unwrap()), "America/Chicago");
        assert_eq!(Zone::named("UTC").unwrap().0.iana_name(), Some("UTC"));
        for name in ["", "Chicago", "America/Nowhere", "CDT", "../etc/passwd", "/etc/localtime"] {
            assert!(Zone::named(name).is_err(), "{name}");
        }
    }
}
