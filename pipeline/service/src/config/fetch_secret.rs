//! Fetches the secret that a value of the config refers to, and reports why it cannot be.

use super::{
    problem::Refusal,
    secret::{Secret, SecretRef},
    section::{Item, Section},
};

/// Fetches the secret a value refers to; a value that is no reference is not shown.
pub(super) fn secret(s: &mut Section<'_, '_>, item: &Item<'_>) -> Option<Secret> {
    let text = item.value.as_str().unwrap_or_default();
    let reference = match SecretRef::parse(text, s.findings.base) {
        Ok(reference) => reference,
        Err(fault) => {
            s.report_hidden(item, Refusal::new(fault.to_string(), fault.remedy()));
            return None;
        }
    };
    match reference.resolve_in(s.findings.environment) {
        Ok(secret) => {
            if let Some(mode) = secret.readable_by_others() {
                let problem = format!("names a file that others on this machine may read (mode {mode:04o})");
                s.findings
                    .warn(&item.location, Refusal::new(problem, "make it its owner's alone: chmod 600"));
            }
            Some(secret)
        }
        Err(fault) => {
            s.report(item, Refusal::new(fault.to_string(), fault.remedy()));
            None
        }
    }
}
