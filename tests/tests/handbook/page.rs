//! A page of the handbook, read from its Markdown: the commands it shows, the situation each is for and what it says they
//! print.
//!
//! `<!-- situation: NAME -->` says what the commands after it are run in. A block of `sh` holds commands, one a line or a
//! here-document; a block of `text` right behind it is what the last of them prints. `<!-- stop: NAME -->` ends a command
//! that was started in a terminal of its own.

/// A page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) steps: Vec<Step>,
    /// Commands named in running text.
    pub(crate) named: Vec<String>,
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
    /// Whether it goes on beside the commands behind it (`# in a terminal of its own`).
    pub(crate) beside: bool,
    /// Whether it is no command, but the end of the one that `text` names.
    pub(crate) stops: bool,
}

/// How a here-document begins and ends.
const HERE: (&str, &str) = ("<<'EOF'", "EOF");

impl Command {
    pub(crate) fn of(line: &str) -> Self {
        let (text, comment) = line.split_once("  # ").unwrap_or((line, ""));
        let exits = comment.strip_prefix("exits ").map_or(0, |code| code.trim().parse().unwrap());
        Self {
            text: text.trim().to_owned(),
            exits,
            goes_on: comment.contains("ctrl-c ends it"),
            beside: comment.contains("in a terminal of its own"),
            stops: false,
        }
    }

    fn stop(name: &str) -> Self {
        Self { stops: true, ..Self::of(name) }
    }

    /// Whether it only looks, and may be run again until it sees what it is to see.
    pub(crate) fn looks(&self) -> bool {
        ["loadline status", "loadline dead list", "curl -s "].iter().any(|looks| self.text.contains(looks))
            && !self.is_open()
    }

    /// Whether its here-document goes on in the next line.
    fn is_open(&self) -> bool {
        self.text.contains(HERE.0) && !self.text.ends_with(&format!("\n{}", HERE.1))
    }
}

impl Page {
    pub(crate) fn parse(text: &str) -> Self {
        let mut page = Self::default();
        let (mut situation, mut heading) = ("healthy".to_owned(), 0);
        let mut block: Option<&str> = None;
        for (number, line) in text.lines().enumerate() {
            // In a list a block is indented.
            match (block, line.trim_start().strip_prefix("```")) {
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
                    if let Some(name) = noted(line, "situation") {
                        (situation, heading) = (name.to_owned(), heading + 1);
                    }
                    if let Some(name) = noted(line, "stop") {
                        let (situation, commands) = (situation.clone(), vec![Command::stop(name)]);
                        page.steps.push(Step {
                            situation,
                            heading,
                            line: number + 1,
                            commands,
                            ..Step::default()
                        });
                    }
                    page.named.extend(spans(line).filter(|span| span.starts_with("loadline ")));
                }
            }
        }
        page
    }

    fn take_command(&mut self, line: &str) {
        let Some(step) = self.steps.last_mut() else { return };
        if let Some(open) = step.commands.last_mut().filter(|command| command.is_open()) {
            open.text.push('\n');
            open.text.push_str(line);
            return;
        }
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
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

    /// Whether a block has a command that begins with these words.
    pub(crate) fn shows(&self, words: &str) -> bool {
        self.steps.iter().flat_map(|step| &step.commands).any(|command| command.text.starts_with(words))
    }
}

/// What a note `<!-- KIND: NAME -->` names.
fn noted<'l>(line: &'l str, kind: &str) -> Option<&'l str> {
    // In a list it is indented.
    let note = line.trim_start().strip_prefix("<!-- ")?.strip_suffix(" -->")?;
    note.strip_prefix(kind)?.strip_prefix(": ")
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
    assert_eq!(page.named, ["loadline x", "loadline y z"]);
    assert!(page.shows("loadline x") && !page.shows("loadline y z"));
    let [first, second] = &page.steps[..] else { panic!("{page:?}") };
    assert_eq!((first.situation.as_str(), first.commands[0].text.as_str()), ("healthy", "loadline x a"));
    assert_eq!((first.commands[0].exits, &first.expected[..]), (1, &["one 1".to_owned()][..]));
    assert_eq!((second.situation.as_str(), second.commands.len(), second.heading), ("dead", 1, 1));
    assert!(second.commands[0].goes_on && second.line == 11);
}

#[test]
fn a_here_document_is_one_command_and_what_goes_on_beside_is_stopped_by_name() {
    let page = Page::parse(
        "```sh\ncat > f <<'EOF'\na = 1  # why\n\nb\nEOF\nloadline run f  # in a terminal of its own\n```\n\
         <!-- stop: run -->\n```text\ndone\n```\n",
    );
    let [first, stop] = &page.steps[..] else { panic!("{page:?}") };
    let [file, run] = &first.commands[..] else { panic!("{page:?}") };
    assert_eq!(file.text, "cat > f <<'EOF'\na = 1  # why\n\nb\nEOF");
    assert!(run.beside && !run.stops && run.text == "loadline run f");
    assert!(stop.commands[0].stops && stop.commands[0].text == "run");
    assert_eq!(stop.expected, ["done"]);
}
