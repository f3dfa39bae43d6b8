//! Protocols broken on purpose: the simulation has to notice each of them, and by what.

use giantvm_core::{NodeSet, PageIndex, Version};
use giantvm_dsm::protocol::directory::{Message, Source};
use giantvm_dsm::protocol::{
    Attach, CoherenceProtocol, Command, Directory, FrameFate, Input, Rights, Setup, Tick, Violation,
};
use giantvm_dsm::testing::{Cluster, Config, Holding, Inspect};

type Commands = Vec<Command<Message>>;

/// How a protocol is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// None: the control experiment.
    None,
    KeepsInvalidated,
    KeepsWriting,
    SendsBeforeProtecting,
    MapsReadsForWriting,
    MapsZeroesForData,
    ForgetsToWake,
    LosesADone,
    AwaitsNoOne,
    SparesASharer,
    GrantsZeroesTwice,
    DropsUnasked,
    Chatters,
}

/// The directory protocol with a flaw between it and its driver.
#[derive(Debug)]
struct Flawed {
    inner: Directory,
    flaw: Flaw,
    count: u64,
}

impl Flawed {
    /// Breaks what comes in; `None` swallows it.
    fn garble(&self, input: Input<Message>) -> Option<Input<Message>> {
        let Input::Message {
            from,
            mut message,
            payload,
        } = input
        else {
            return Some(input);
        };
        if self.flaw == Flaw::AwaitsNoOne {
            match &mut message {
                Message::Grant { grant, .. } => grant.awaited = NodeSet::EMPTY,
                Message::Acknowledge { .. } => return None,
                _ => {}
            }
        }
        Some(Input::Message {
            from,
            message,
            payload,
        })
    }

    /// Breaks what goes out.
    fn spoil(&mut self, commands: &mut Commands) {
        let mut spared = None;
        self.count += 1;
        let count = self.count;
        match self.flaw {
            Flaw::None | Flaw::AwaitsNoOne => {}
            Flaw::KeepsInvalidated => commands.retain(|command| {
                let frame = FrameFate::Drop;
                !matches!(command, Command::Unmap { frame: fate, .. } if *fate == frame)
            }),
            Flaw::KeepsWriting => {
                commands.retain(|command| !matches!(command, Command::Protect { .. }));
            }
            Flaw::SendsBeforeProtecting => commands.reverse(),
            Flaw::MapsReadsForWriting => commands.iter_mut().for_each(|command| {
                if let Command::Map { rights, .. } = command {
                    *rights = Rights::Write;
                }
            }),
            Flaw::MapsZeroesForData => commands.iter_mut().for_each(|command| {
                if let Command::Map { page, rights } = *command
                    && count.is_multiple_of(8)
                {
                    *command = Command::MapZero { page, rights };
                }
            }),
            Flaw::ForgetsToWake => commands.retain(|command| {
                !count.is_multiple_of(16) || !matches!(command, Command::Wake { .. })
            }),
            Flaw::LosesADone => commands.retain(|command| {
                let done = |message: &Message| matches!(message, Message::Done { .. });
                !count.is_multiple_of(16)
                    || !matches!(command, Command::Send { message, .. } if done(message))
            }),
            Flaw::SparesASharer => {
                commands.retain(|command| {
                    if let Command::Send {
                        to,
                        message: Message::Invalidate { .. },
                        ..
                    } = command
                        && spared.is_none()
                    {
                        spared = Some(*to);
                        return false;
                    }
                    true
                });
                for command in commands {
                    if let Command::Send {
                        message: Message::Grant { grant, .. },
                        ..
                    } = command
                        && let Some(spared) = spared
                    {
                        grant.awaited = grant.awaited.without(spared);
                    }
                }
            }
            Flaw::GrantsZeroesTwice => commands.iter_mut().for_each(|command| {
                if let Command::Send {
                    message: Message::Grant { grant, .. },
                    ..
                } = command
                    && let Source::Node(_) = grant.source
                {
                    grant.source = Source::Zero;
                    grant.version = Version::ZERO;
                }
            }),
            Flaw::DropsUnasked => {
                let dropped = commands.iter().find_map(|command| match *command {
                    Command::Map {
                        page,
                        rights: Rights::Read,
                    } => Some(page),
                    Command::Protect { page } => Some(page),
                    _ => None,
                });
                let frame = FrameFate::Drop;
                commands.extend(dropped.map(|page| Command::Unmap { page, frame }));
            }
            Flaw::Chatters => {
                let sends = |command: &&Command<Message>| matches!(command, Command::Send { attach, .. } if *attach == Attach::Nothing);
                let send = commands.iter().find(sends).cloned();
                commands.extend(
                    send.into_iter()
                        .flat_map(|send| std::iter::repeat_n(send, 20)),
                );
            }
        }
    }
}

impl CoherenceProtocol for Flawed {
    type Message = Message;
    const NAME: &'static str = "flawed";

    fn new(setup: Setup) -> Self {
        Self {
            inner: Directory::new(setup),
            flaw: Flaw::None,
            count: 0,
        }
    }

    fn handle(
        &mut self,
        now: Tick,
        input: Input<Message>,
        commands: &mut Commands,
    ) -> Result<(), Violation> {
        if let Some(input) = self.garble(input) {
            self.inner.handle(now, input, commands)?;
        }
        self.spoil(commands);
        Ok(())
    }

    fn next_timeout(&self) -> Option<Tick> {
        self.inner.next_timeout()
    }

    fn rights(&self, page: PageIndex) -> Option<Rights> {
        let drops = |rights: &Rights| self.flaw == Flaw::DropsUnasked && *rights == Rights::Read;
        self.inner.rights(page).filter(|rights| !drops(rights))
    }

    fn in_flight(&self) -> usize {
        self.inner.in_flight()
    }
}

impl Inspect for Flawed {
    fn holding(&self, page: PageIndex) -> Option<Holding> {
        self.inner.holding(page)
    }

    fn name(message: &Message) -> &'static str {
        message.name()
    }
}

/// By what each of 20 runs noticed the flaw, the first word of each failure; nothing for no failure.
fn noticed(flaw: Flaw) -> Vec<String> {
    let run = |seed| {
        let config = Config {
            nodes: 6,
            pages: 2,
            seed,
            ..Config::default()
        };
        let make = |setup| Flawed {
            flaw,
            ..Flawed::new(setup)
        };
        let mut cluster = Cluster::with(config, &make);
        cluster.plan_random(20);
        let failure = cluster.run().err()?;
        assert!(!failure.trace.is_empty() && failure.seed == seed);
        Some(failure.what)
    };
    (0..20).filter_map(run).collect()
}

#[test]
fn a_sound_protocol_passes() {
    assert_eq!(noticed(Flaw::None), [""; 0]);
}

#[test]
fn every_flaw_is_noticed_by_every_seed_and_by_the_right_check() {
    for (flaw, by) in [
        (Flaw::KeepsInvalidated, "mapping"),
        (Flaw::KeepsWriting, "the page can still be written"),
        (Flaw::SendsBeforeProtecting, "the page can still be written"),
        (Flaw::MapsReadsForWriting, "single-writer"),
        (Flaw::MapsZeroesForData, "data-value"),
        (Flaw::ForgetsToWake, "answered"),
        (Flaw::LosesADone, "answered"),
        (Flaw::AwaitsNoOne, "single-writer"),
        (Flaw::SparesASharer, "single-writer"),
        (Flaw::GrantsZeroesTwice, "refused"),
        (Flaw::DropsUnasked, "directory"),
        (Flaw::Chatters, "bounds"),
    ] {
        let failures = noticed(flaw);
        assert_eq!(failures.len(), 20, "{flaw:?}");
        let right = failures.iter().filter(|what| what.contains(by)).count();
        assert!(right > 0, "{flaw:?}: {failures:#?}");
    }
}
