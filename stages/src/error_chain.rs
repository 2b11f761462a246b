//! Iterates over an error and its sources, outermost first.

use std::{error::Error, io, iter};

/// `error`, its source, and so on. An [`io::Error`] that wraps another error yields that one, which its own `source`
/// skips.
pub fn sources<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(held) => Some(held),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_an_io_error_holds_is_not_passed_over() {
        let reset = io::Error::from_raw_os_error(104);
        let held = io::Error::other(io::Error::other(reset));
        let codes: Vec<_> = sources(&held)
            .map(|error| error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error))
            .collect();
        assert_eq!(codes, [None, None, Some(104)]);
    }
}
