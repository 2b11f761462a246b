//! A page of the handbook: Markdown enters; the commands it shows, the situation each is for and what it says they print
//! leave.
//!
//! `<!-- situation: NAME -->` says what the commands after it are run in. A block of `sh` holds commands, one a line; a
//! block of `text` right behind it is what the last of them prints.

/// A page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) steps: Vec<Step>,
    /// Commands named in running text.
    named: Vec<String>,
}

/// One block of commands.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) situation: String,
    /// How many situations have been named before on this page.
    pub(crate) heading: usize,
    /// Where the block begins.
    pub(crate) line: usize,
    pub(crate) commands: Vec<Command>,
    pub(crate) expected: Vec<String>,
}

/// One command.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) text: String,
    /// The exit code it must have: what a comment behind it says (`# exits 1`), or 0.
    pub(crate) exits: i32,
    /// Whether it goes on until it is interrupted (`# ctrl-c ends it`).
    pub(crate) goes_on: bool,
}

impl Command {
    pub(crate) fn of(line: &str) -> Self {
        let (text, comment) = line.split_once("  # ").unwrap_or((line, ""));
        let exits = comment.strip_prefix("exits ").map_or(0, |code| code.trim().parse().unwrap());
        Self { text: text.trim().to_owned(), exits, goes_on: comment.contains("ctrl-c ends it") }
    }

    /// Whether it only looks, and may be run again until it sees what it is to see.
    pub(crate) fn looks(&self) -> bool {
        self.text.starts_with("loadline status") || self.text.starts_with("curl -s ")
    }
}

impl Page {
    pub(crate) fn parse(text: &str) -> Self {
        let mut page = Self::default();
        let (mut situation, mut heading) = ("healthy".to_owned(), 0);
        let mut block: Option<&str> = None;
        for (number, line) in text.lines().enumerate() {
            match (block, line.strip_prefix("```")) {
                (None, Some(kind)) => {
                    block = Some(kind);
                    if kind == "sh" {
                        let situation = situation.clone();
                        page.steps.push(Step { situation, heading, line: number + 1, ..Step::default() });
                    }
                }
                (Some(_), Some(_)) => block = None,
                (Some("sh"), None) => page.take_command(line),
                (Some("text"), None) => page.take_expected(line),
                (Some(_), None) => {}
                (None, None) => {
                    let named = line.strip_prefix("<!-- situation: ").and_then(|l| l.strip_suffix(" -->"));
                    if let Some(name) = named {
                        (situation, heading) = (name.to_owned(), heading + 1);
                    }
                    page.named.extend(spans(line).filter(|span| span.starts_with("loadline ")));
                }
            }
        }
        page
    }

    fn take_command(&mut self, line: &str) {
        let line = line.trim();
        if let Some(step) = self.steps.last_mut()
            && !line.is_empty()
            && !line.starts_with('#')
        {
            step.commands.push(Command::of(line));
        }
    }

    fn take_expected(&mut self, line: &str) {
        if let Some(step) = self.steps.last_mut()
            && !line.trim().is_empty()
        {
            step.expected.push(line.to_owned());
        }
    }

    /// Commands named in running text that no block begins with.
    pub(crate) fn unshown(&self) -> Vec<&str> {
        let shown = |named: &&String| {
            let mut commands = self.steps.iter().flat_map(|step| &step.commands);
            commands.any(|command| command.text.starts_with(named.as_str()))
        };
        self.named.iter().filter(|named| !shown(named)).map(String::as_str).collect()
    }
}

/// What stands between backquotes.
fn spans(line: &str) -> impl Iterator<Item = String> {
    line.split('`').skip(1).step_by(2).map(str::to_owned)
}

#[test]
fn a_page_is_its_commands_with_their_situations_and_what_they_print() {
    let page = Page::parse(
        "# A\n`loadline x` and `loadline y z`\n```sh\nloadline x a  # exits 1\n```\n\n```text\none 1\n```\n\
         <!-- situation: dead -->\n```sh\n# a word\nloadline w  # ctrl-c ends it\n```\n",
    );
    assert_eq!(page.unshown(), ["loadline y z"]);
    let [first, second] = &page.steps[..] else { panic!("{page:?}") };
    assert_eq!((first.situation.as_str(), first.commands[0].text.as_str()), ("healthy", "loadline x a"));
    assert_eq!((first.commands[0].exits, &first.expected[..]), (1, &["one 1".to_owned()][..]));
    assert_eq!((second.situation.as_str(), second.commands.len(), second.heading), ("dead", 1, 1));
    assert!(second.commands[0].goes_on && second.line == 11);
}
