//! The config file of a command, and how messages name it in further commands.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The config of a command that names none, in the working directory.
const DEFAULT: &str = "loadline.toml";
/// The beginning of a command in a message.
const COMMAND: &str = "`loadline ";
/// The commands that take a config.
const ABOUT_A_CONFIG: [&str; 8] = ["run", "check", "try", "status", "broker", "reload", "dead", "state"];

/// A config file, and whether another command has to name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    path: PathBuf,
    named: bool,
}

impl ConfigFile {
    /// The `named` file, or the one that the `environment` names, or `loadline.toml` in the working directory.
    #[must_use]
    pub fn of(named: Option<&PathBuf>, environment: Option<OsString>) -> Self {
        let environment = environment.filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            named: named.is_some(),
            path: named.cloned().or(environment).unwrap_or_else(|| PathBuf::from(DEFAULT)),
        }
    }

    /// A config that every command must name.
    #[must_use]
    pub fn named(path: PathBuf) -> Self {
        Self { path, named: true }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `text` with its commands between backquotes completed: each that takes a config names this one, as the user
    /// has.
    #[must_use]
    pub fn complete(&self, text: &str) -> String {
        if !self.named {
            return text.to_owned();
        }
        let (mut complete, mut rest) = (String::new(), text);
        while let Some((before, command)) = rest.split_once(COMMAND) {
            complete += before;
            complete += COMMAND;
            let end = command.find('`').unwrap_or(command.len());
            let (command, behind) = command.split_at(end);
            complete += command;
            let is_about_a_config = ABOUT_A_CONFIG.contains(&command.split(' ').next().unwrap_or_default());
            if is_about_a_config && !behind.is_empty() && !command.contains("--config") {
                complete += &format!(" --config {}", quoted(&self.path));
            }
            rest = behind;
        }
        complete + rest
    }
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,@%:=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_comes_before_the_environment_and_that_before_the_default() {
        let named = PathBuf::from("a.toml");
        let path = |named: Option<&PathBuf>, environment: Option<&str>| {
            ConfigFile::of(named, environment.map(OsString::from)).path
        };
        assert_eq!(path(Some(&named), Some("b.toml")), Path::new("a.toml"));
        assert_eq!(path(None, Some("b.toml")), Path::new("b.toml"));
        assert_eq!(path(None, Some("")), Path::new("loadline.toml"));
        assert_eq!(path(None, None), Path::new("loadline.toml"));
    }

    #[test]
    fn a_command_between_backquotes_names_the_config_as_it_was_named() {
        let text =
            "use `loadline broker enable acme` or `loadline surge --list`, not `loadline run --config b`";
        let named = ConfigFile::named(PathBuf::from("x.toml"));
        assert_eq!(
            named.complete(text),
            "use `loadline broker enable acme --config x.toml` or `loadline surge --list`, not `loadline run --config b`"
        );
        assert_eq!(ConfigFile::of(None, None).complete(text), text, "what is found anyway need not be named");
        let broken = "it's ` odd, `loadline status`; `loadline";
        assert_eq!(
            named.complete(broken),
            "it's ` odd, `loadline status --config x.toml`; `loadline",
            "a backquote in somebody's words changes nothing"
        );
        let odd = ConfigFile::named(PathBuf::from("it's here/x.toml"));
        assert_eq!(odd.complete("`loadline status`"), r"`loadline status --config 'it'\''s here/x.toml'`");
    }
}
