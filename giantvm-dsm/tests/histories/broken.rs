//! Protocols broken on purpose: their histories have to be refused.

use std::collections::BTreeSet;
use std::fmt::Debug;

use giantvm_core::PageIndex;
use giantvm_dsm::protocol::directory::Message;
use giantvm_dsm::protocol::{
    Attach, CoherenceProtocol, Command, Directory, FrameFate, Input, PageMessage as _, Rights,
    Setup, Tick, Violation,
};
use giantvm_dsm::testing::history::{Model, Scope};

use super::{LOCKED, recorded};

type Commands = Vec<Command<Message>>;

/// A page that the tests' own barriers are not on.
fn breakable(page: PageIndex) -> bool {
    page >= PageIndex(2)
}

/// How a protocol is broken: what it does in place of a command.
trait Flaw: Debug + Default + Send + 'static {
    const NAME: &'static str;

    fn replace(&mut self, command: Command<Message>, commands: &mut Commands);
}

/// Writes on after it gave its page to a reader.
#[derive(Debug, Default)]
struct WritesOn {
    /// Pages that can be written and should not be.
    writable: BTreeSet<PageIndex>,
}

impl Flaw for WritesOn {
    const NAME: &'static str = "writes-on";

    fn replace(&mut self, command: Command<Message>, commands: &mut Commands) {
        match command {
            Command::Protect { page } if breakable(page) => drop(self.writable.insert(page)),
            Command::Unmap { page, .. } => {
                self.writable.remove(&page);
                commands.push(command);
            }
            // The backing rightly sends no page that can be written.
            Command::Send {
                message,
                attach: Attach::Page,
                ..
            } if self.writable.contains(&message.page()) => {
                let page = message.page();
                commands.push(Command::Protect { page });
                commands.push(command);
                commands.push(Command::Unprotect { page });
            }
            command => commands.push(command),
        }
    }
}

/// Reads on in a page that it said it dropped, until it wants to write there.
#[derive(Debug, Default)]
struct ReadsOn {
    /// Pages that are mapped and should not be.
    stale: BTreeSet<PageIndex>,
}

impl Flaw for ReadsOn {
    const NAME: &'static str = "reads-on";

    fn replace(&mut self, command: Command<Message>, commands: &mut Commands) {
        let frame = FrameFate::Drop;
        match command {
            Command::Unmap {
                page,
                frame: FrameFate::Drop,
            } if breakable(page) => {
                self.stale.insert(page);
                return;
            }
            Command::Store { page } | Command::MapZero { page, .. } if self.stale.remove(&page) => {
                commands.push(Command::Unmap { page, frame });
            }
            _ => {}
        }
        commands.push(command);
    }
}

/// The directory protocol with a flaw between it and its driver.
#[derive(Debug)]
struct Broken<F> {
    inner: Directory,
    flaw: F,
    sound: Commands,
}

impl<F: Flaw> CoherenceProtocol for Broken<F> {
    type Message = Message;
    const NAME: &'static str = F::NAME;

    fn new(setup: Setup) -> Self {
        Self {
            inner: Directory::new(setup),
            flaw: F::default(),
            sound: Vec::new(),
        }
    }

    fn handle(
        &mut self,
        now: Tick,
        input: Input<Message>,
        commands: &mut Commands,
    ) -> Result<(), Violation> {
        self.inner.handle(now, input, &mut self.sound)?;
        for command in self.sound.drain(..) {
            self.flaw.replace(command, commands);
        }
        Ok(())
    }

    fn next_timeout(&self) -> Option<Tick> {
        self.inner.next_timeout()
    }

    fn rights(&self, page: PageIndex) -> Option<Rights> {
        self.inner.rights(page)
    }

    fn in_flight(&self) -> usize {
        self.inner.in_flight()
    }
}

/// Why the history of a protocol is refused.
fn refused<F: Flaw>(scope: Scope) -> Option<String> {
    let history = recorded::<Broken<F>>(F::NAME, LOCKED)?;
    let checked = history.check(scope, Model::Sequential);
    Some(
        checked
            .expect_err("no memory of that kind does this")
            .to_string(),
    )
}

#[test]
fn a_node_that_writes_to_a_page_others_read_loses_an_update() {
    if let Some(why) = refused::<WritesOn>(Scope::Word) {
        assert!(
            why.contains("lost update") || why.contains("no order"),
            "{why}"
        );
    }
}

/// Within each page, the old copy's reads just come early.
#[test]
fn a_node_that_reads_old_copies_is_coherent_in_each_page_but_not_across_pages() {
    let Some(history) = recorded::<Broken<ReadsOn>>(ReadsOn::NAME, LOCKED) else {
        return;
    };
    super::assert_checked(&history, Scope::Page, Model::Sequential);
    let violation = history.check(Scope::All, Model::Sequential).unwrap_err();
    assert!(
        violation.to_string().contains("saw an older value"),
        "{violation}"
    );
}
