//! Looking ahead: what a batch of the extended protocol does, before any of it is sent.

use smallvec::SmallVec;

use super::desk::Desk;
use super::nature::{Nature, Opens};
use super::tally::Sent;
use super::{Effect, Session};
use crate::limits;
use crate::route::Side;
use crate::route::class::{Hold, Kind, StateChange};
use crate::route::verb::Verb;
use crate::wire::error::Violation;
use crate::wire::frame::{Frame, Framer};
use crate::wire::frontend::{self, LOOKS, Subject, tag};

/// What a batch is.
pub(super) enum Ahead {
    /// So many unread bytes must be in view.
    Need(usize),
    /// It is for a server.
    Server(Plan),
    /// It is for pgherd.
    Local,
    /// It is for both.
    Mixed,
}

/// Where a batch goes and what it does.
pub(super) struct Plan {
    pub(super) nature: Nature,
    pub(super) effect: Option<Effect>,
    /// Statements that it carries out.
    pub(super) sent: Sent,
    /// Whether it names a statement about which the server has not answered yet.
    pub(super) reuses: Doubt,
    /// How many bytes it takes, if all of it is in view.
    pub(super) len: Option<usize>,
    /// How many bytes of it were looked at.
    pub(super) looked: usize,
    /// Whether it uses the unnamed statement of an earlier batch.
    pub(super) leans: Doubt,
    /// It uses the unnamed statement of an earlier batch, which only one link has.
    pub(super) needs_unnamed: bool,
}

/// What statements or portals are, by their names. Batches of one statement, which most are, are
/// looked at without allocating.
type Names<'a> = SmallVec<[(&'a [u8], Nature, Option<Effect>); 2]>;

/// What has been seen of a batch.
#[derive(Default)]
struct Survey<'a> {
    /// Statements parsed in the batch.
    parsed: Names<'a>,
    /// Portals bound in the batch.
    portals: Names<'a>,
    nature: Option<Nature>,
    effect: Option<Effect>,
    statements: u32,
    sent: Sent,
    local: u32,
    doubt: Doubt,
    needs_unnamed: Doubt,
    leans: Doubt,
    /// How many of the statements that are carried out have an effect.
    effects: u32,
    /// Whether one of them ends a transaction.
    ends: Doubt,
    /// Whether anything is carried out.
    executed: Doubt,
    /// Whether it names a statement about which the server has not answered yet.
    reuses: Doubt,
    /// How long it is, if its end is in view.
    len: Option<usize>,
    looked: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Doubt {
    #[default]
    No,
    Yes,
}

impl Survey<'_> {
    fn add(&mut self, nature: Nature) {
        self.nature = Some(match self.nature {
            None => nature,
            Some(earlier) => Nature {
                command: nature.command,
                opens: if earlier.opens == Opens::No { nature.opens } else { earlier.opens },
                kind: if earlier.kind == nature.kind { nature.kind } else { Kind::Write },
                state: earlier.state.and(nature.state),
                side: match (earlier.side, nature.side) {
                    (Some(Side::Replica), Some(Side::Replica)) => Some(Side::Replica),
                    (Some(_), Some(_)) => Some(Side::Primary),
                    (None, _) | (_, None) => None,
                },
                verb: if earlier.verb == Verb::Ddl { earlier.verb } else { nature.verb },
                why: if earlier.why == nature.why { nature.why } else { "batch" },
                looseness: earlier.looseness.max(nature.looseness),
                writes: earlier.writes.max(nature.writes),
            },
        });
    }

    fn finish(self, fallback: Nature) -> Ahead {
        if self.local > 0 {
            return if self.local == self.statements { Ahead::Local } else { Ahead::Mixed };
        }
        let mut nature = self.nature.unwrap_or(fallback);
        if self.doubt == Doubt::Yes && nature.side == Some(Side::Replica) {
            nature.side = fallback.side;
        }
        if self.doubt == Doubt::Yes {
            // What else belongs to the batch may leave anything.
            nature.state = nature.state.and(StateChange::Unknown);
        }
        if self.executed == Doubt::No && self.doubt == Doubt::No {
            // What is only prepared does nothing yet.
            nature.state = StateChange::None;
            if nature.kind == Kind::Setting {
                nature.kind = Kind::Empty;
            }
        }
        let mut effect = self.effect;
        // A batch takes effect as a whole or not at all, unless it ends a transaction half way.
        let is_divided = self.effects > 1 || (self.statements > 1 && self.ends == Doubt::Yes);
        if effect.is_some() && (is_divided || self.doubt == Doubt::Yes) {
            // What of it took effect will not be known, nor can the server tell of every value.
            effect = None;
            nature.state = nature.state.and(StateChange::Holds(Hold::Setting));
        }
        if nature.kind == Kind::Read {
            // They are counted one by one.
            nature.kind = Kind::Empty;
        }
        let needs_unnamed = self.needs_unnamed == Doubt::Yes;
        // One that also makes another unnamed statement cannot be repeated.
        let makes_unnamed = self.parsed.iter().any(|(name, ..)| name.is_empty());
        let len = self.len.filter(|_| self.leans == Doubt::No || !makes_unnamed);
        let (sent, leans) = (self.sent, self.leans);
        Ahead::Server(Plan {
            nature,
            effect,
            sent,
            needs_unnamed,
            leans,
            reuses: self.reuses,
            len,
            looked: self.looked,
        })
    }
}

impl Session {
    /// Looks at a batch from its first message to its `Sync`.
    ///
    /// # Errors
    /// Something in it is not a message.
    pub(super) fn look_ahead(&self, desk: &mut Desk, rest: &[u8]) -> Result<Ahead, Violation> {
        let framer = Framer::default();
        let mut survey = Survey::default();
        let fallback = self.judge(desk, None);
        let fallback = Nature { state: StateChange::None, opens: Opens::No, ..fallback };
        let mut at = 0;
        loop {
            let unread = rest.get(at..).unwrap_or_default();
            let (tag, len, body) = match framer.peek(unread, &LOOKS)? {
                Frame::Start { tag, len, body } => (tag, len, body),
                Frame::Need(more) if at + more <= limits::PIPELINE_VIEW_LEN.max(more) => {
                    return Ok(Ahead::Need(at + more));
                }
                Frame::Need(_) | Frame::Middle { .. } => {
                    survey.doubt = Doubt::Yes;
                    break;
                }
            };
            match tag {
                tag::SYNC => {
                    survey.len = Some(at + len);
                    break;
                }
                tag::PARSE | tag::BIND | tag::DESCRIBE | tag::EXECUTE | tag::CLOSE => {
                    self.survey(desk, &mut survey, tag, body);
                }
                // Without a Sync nobody knows what else belongs to the batch.
                _ => {
                    survey.doubt = Doubt::Yes;
                    break;
                }
            }
            at += len;
            survey.looked = at;
            if at >= limits::PIPELINE_VIEW_LEN || at > rest.len() {
                survey.doubt = Doubt::Yes;
                break;
            }
        }
        Ok(survey.finish(fallback))
    }

    fn survey<'a>(&self, desk: &mut Desk, survey: &mut Survey<'a>, tag: u8, body: &'a [u8]) {
        match tag {
            tag::PARSE => match frontend::parse(body) {
                Some((name, text)) => {
                    if !name.is_empty() && self.is_changing(desk, name) {
                        survey.reuses = Doubt::Yes;
                    }
                    let nature = self.judge(desk, Some(text));
                    let others = survey.parsed.len();
                    if !name.is_empty() && !self.statements.has_room(name.len(), body.len(), others)
                    {
                        survey.doubt = Doubt::Yes;
                    }
                    survey.statements += 1;
                    survey.local += u32::from(self.answers(nature.kind));
                    let effect = self.effect_of(desk, nature, Some(text));
                    survey.parsed.push((name, nature, effect));
                    survey.add(nature);
                }
                None => survey.doubt = Doubt::Yes,
            },
            tag::BIND => match frontend::bind(body) {
                Some((portal, name)) => {
                    if let Some((nature, effect)) = self.use_of(desk, survey, name) {
                        survey.portals.push((portal, nature, effect));
                    }
                }
                None => survey.doubt = Doubt::Yes,
            },
            tag::DESCRIBE => match frontend::subject(body) {
                Some(Subject::Statement(name)) => {
                    self.use_of(desk, survey, name);
                }
                Some(Subject::Portal(portal)) => survey.use_portal(portal),
                None => survey.doubt = Doubt::Yes,
            },
            tag::EXECUTE => match frontend::execute(body) {
                Some(portal) => {
                    let found = survey.portals.iter().rev().find(|(name, ..)| *name == portal);
                    if let Some((_, nature, effect)) = found {
                        survey.sent.add(nature.verb, nature.counted());
                        survey.effects += u32::from(effect.is_some());
                        survey.effect = survey.effect.take().or_else(|| effect.clone());
                        if nature.kind == Kind::End {
                            survey.ends = Doubt::Yes;
                        }
                    }
                    survey.executed = Doubt::Yes;
                    survey.use_portal(portal);
                }
                None => survey.doubt = Doubt::Yes,
            },
            _ => match frontend::subject(body) {
                Some(Subject::Statement(name)) if self.is_local(name) => {
                    survey.statements += 1;
                    survey.local += 1;
                }
                Some(_) | None => {}
            },
        }
    }

    /// Notes the use of a statement by name; returns what it is, if a server has it.
    fn use_of(
        &self,
        desk: &mut Desk,
        survey: &mut Survey<'_>,
        name: &[u8],
    ) -> Option<(Nature, Option<Effect>)> {
        if let Some((_, nature, effect)) = survey.parsed.iter().rev().find(|(n, ..)| *n == name) {
            return Some((*nature, effect.clone()));
        }
        if self.is_local(name) {
            survey.statements += 1;
            survey.local += 1;
            return None;
        }
        survey.statements += 1;
        if self.is_changing(desk, name) {
            // What it does is known when the server has said which one it is.
            survey.reuses = Doubt::Yes;
            survey.doubt = Doubt::Yes;
            return None;
        }
        if let Some(statement) = self.statements.get(name) {
            let nature = self.judge_prepared(desk, statement);
            survey.add(nature);
            let effect = self.effect_of(desk, nature, Some(statement.text()));
            return Some((nature, effect));
        }
        if name.is_empty() {
            if self.unnamed.only_at().is_some() {
                survey.needs_unnamed = Doubt::Yes;
            }
            if let Some(text) = self.unnamed.text() {
                survey.leans = Doubt::Yes;
                let nature = self.judge(desk, Some(text));
                survey.add(nature);
                return Some((nature, self.effect_of(desk, nature, Some(text))));
            }
        }
        survey.doubt = Doubt::Yes;
        None
    }
}

impl Survey<'_> {
    fn use_portal(&mut self, portal: &[u8]) {
        // A portal of an earlier batch lives only inside a transaction, which decides the place.
        if self.local == 0 && !self.portals.iter().any(|(name, ..)| *name == portal) {
            self.doubt = Doubt::Yes;
        }
    }
}
