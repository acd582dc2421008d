//! What deleters and creators do next.

use super::{Action, At, Creator, Deleter, Mutation, Parent, Phase, Saw, Setup, System, instant, seconds};
use rules::parent::{DELETION_WAIT, Finish, Next, finish, found, next};

impl Setup {
    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    pub(super) fn deleter(&self, state: &System, number: usize, steps: &mut Vec<(Action, System)>) {
        let deleter = state.deleters[number];
        let step = |deleter| {
            let mut next = *state;
            next.deleters[number] = deleter;
            next
        };
        if state.deaths > 0 && !matches!(deleter, Deleter::Idle | Deleter::Answered(_) | Deleter::Dead) {
            let dead = System { deaths: state.deaths - 1, ..step(Deleter::Dead) };
            steps.push((Action::DeleterDies(number), dead));
        }
        let mut to = |action, next| steps.push((action, next));
        let not_found = Deleter::Answered(Finish::NotFound);
        match (deleter, state.parent) {
            (Deleter::Idle, None) => to(Action::Looks(number), step(not_found)),
            (Deleter::Idle, Some(_)) => {
                for is_found in state.shown() {
                    let refused = Deleter::Answered(Finish::Refuse);
                    to(Action::Looks(number), step(if is_found { refused } else { Deleter::Looked }));
                }
            }
            (Deleter::Looked, None) => to(Action::Marks(number), step(not_found)),
            (Deleter::Looked, Some(parent)) => {
                let marked = parent.changed(true);
                let next = System { parent: Some(marked), ..step(Deleter::Waits(marked, 0)) };
                to(Action::Marks(number), next);
            }
            (Deleter::Waits(marked, age), _) => {
                if self.is(Mutation::OneLook) {
                    to(Action::LooksAgain(number), step(Deleter::Finds(marked)));
                } else if age >= self.wait() {
                    for is_found in state.shown() {
                        let found = if is_found { Deleter::Cancels(marked) } else { Deleter::Finds(marked) };
                        to(Action::LooksAgain(number), step(found));
                    }
                }
            }
            (Deleter::Finds(marked), parent) => {
                let mut finished = finish(marked.stored(), parent.map(Parent::stored));
                let has_revision = parent.is_some_and(|parent| parent.revision == marked.revision);
                if (self.is(Mutation::DeletionUnconditional) && parent.is_some())
                    || (self.is(Mutation::RevisionAlone) && has_revision)
                {
                    finished = Finish::Delete;
                }
                to(
                    Action::Deletes(number),
                    match finished {
                        Finish::Delete => System { parent: None, ..step(Deleter::Deleted) },
                        _ => step(Deleter::Answered(finished)),
                    },
                );
            }
            (Deleter::Cancels(marked), parent) => {
                let parent =
                    parent.map(|parent| if parent == marked { parent.changed(false) } else { parent });
                let next = System { parent, ..step(Deleter::Answered(Finish::Refuse)) };
                to(Action::Cancels(number), next);
            }
            (Deleter::Deleted, _) => {
                to(Action::DeleterAnswers(number), step(Deleter::Answered(Finish::Delete)));
            }
            (Deleter::Answered(_) | Deleter::Dead, _) => {}
        }
    }

    fn wait(&self) -> u8 {
        match self.mutation {
            Some(Mutation::NoWait) => 0,
            Some(Mutation::WaitTooShort) => seconds(DELETION_WAIT) - 1,
            _ => seconds(DELETION_WAIT),
        }
    }

    pub(super) fn creator(&self, state: &System, number: usize, steps: &mut Vec<(Action, System)>) {
        let creator = state.creators[number];
        let with = |creator| {
            let mut next = *state;
            next.creators[number] = creator;
            next
        };
        let step = |phase| with(Creator { phase, ..creator });
        if creator.in_flight {
            let child = creator.child.or(Some(0));
            steps.push((Action::Lands(number), with(Creator { in_flight: false, child, ..creator })));
        }
        if state.crashes > 0 && !matches!(creator.phase, Phase::Idle | Phase::Answered(_) | Phase::Dead) {
            let mut die = |in_flight| {
                let repeated = Creator { phase: Phase::Idle, in_flight, ..creator };
                let next = System { crashes: state.crashes - 1, ..with(repeated) };
                steps.push((Action::CreatorDies(number), next));
            };
            die(creator.in_flight);
            if matches!(creator.phase, Phase::Writes(_)) {
                die(true);
            }
        }
        let mut to = |action, next| steps.push((action, next));
        match creator.phase {
            Phase::Idle => to(Action::Reads(number), step(self.read(state, creator))),
            Phase::Read(saw) => match self.must_look(saw, At::Writing) {
                true => to(Action::ReadsAgain(number), step(self.look(state.parent, saw, At::Writing))),
                false => to(Action::Trusts(number), step(Phase::Writes(saw))),
            },
            Phase::Writes(saw) => {
                let phase = Phase::Wrote(saw, creator.child.is_some());
                let child = creator.child.or(Some(0));
                to(Action::Writes(number), with(Creator { phase, child, ..creator }));
            }
            Phase::Wrote(saw, known) => match self.must_look(saw, At::wrote(known)) {
                true => {
                    let phase = self.look(state.parent, saw, At::wrote(known));
                    to(Action::ReadsAgain(number), step(phase));
                }
                false => to(Action::Trusts(number), step(Phase::Answered(Some(saw.incarnation)))),
            },
            Phase::Reopens(marked, at) => {
                let parent = state.parent.map(|parent| match parent == marked {
                    true => parent.changed(false),
                    false => parent,
                });
                // What it knows is still that the parent is marked, by which it has to read it again.
                let phase = match at {
                    At::Writing => Phase::Read(Saw::of(marked)),
                    At::Written | At::Known => Phase::Wrote(Saw::of(marked), at == At::Known),
                };
                to(Action::RemovesMark(number), System { parent, ..step(phase) });
            }
            Phase::TakesBack => {
                let phase = Phase::Answered(None);
                to(Action::TakesBack(number), with(Creator { phase, child: None, ..creator }));
            }
            Phase::Answered(_) | Phase::Dead => {}
        }
    }

    /// What follows from its first read, from which on the parent is in its cache.
    fn read(&self, state: &System, creator: Creator) -> Phase {
        match (state.parent, creator.child) {
            (Some(parent), _) => Phase::Read(Saw::of(parent)),
            (None, None) => Phase::Answered(None),
            (None, Some(_)) if self.is(Mutation::KnownTrusted) => Phase::Answered(Some(state.made - 1)),
            (None, Some(_)) => Phase::TakesBack,
        }
    }

    fn must_look(&self, saw: Saw, at: At) -> bool {
        let is_trusted = match at {
            At::Writing => false,
            At::Written => self.is(Mutation::LateWriteTrusted),
            At::Known => self.is(Mutation::KnownTrusted),
        };
        let is_marked = saw.is_marked && !self.is(Mutation::MarkIgnored);
        !is_trusted && Saw { is_marked, ..saw }.must_look(at.stage())
    }

    /// What follows from another read of the parent, past the cache.
    fn look(&self, parent: Option<Parent>, saw: Saw, at: At) -> Phase {
        let next = next(found(instant(saw.incarnation), parent.map(Parent::stored)));
        match (next, parent) {
            (Next::GoOn, Some(parent)) => Self::go_on(parent, at),
            (Next::Reopen, Some(parent)) => match self.mutation {
                Some(Mutation::MarkIgnored) => Self::go_on(parent, at),
                Some(Mutation::MarkRefuses) => Self::refuse(at),
                _ => Phase::Reopens(parent, at),
            },
            _ => Self::refuse(at),
        }
    }

    fn go_on(parent: Parent, at: At) -> Phase {
        match at {
            At::Writing => Phase::Writes(Saw::of(parent)),
            At::Written | At::Known => Phase::Answered(Some(parent.incarnation)),
        }
    }

    fn refuse(at: At) -> Phase {
        match at {
            At::Writing => Phase::Answered(None),
            At::Written | At::Known => Phase::TakesBack,
        }
    }
}
