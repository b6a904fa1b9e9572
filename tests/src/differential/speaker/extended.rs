//! The extended protocol: batches, pipelines, and clients that wait in the middle of a batch.

use super::super::conversation::{Effect, Part, Unit, Until};
use super::super::saying::{Bind, Saying};
use super::vocabulary::{Param, TEMPLATES, Template};
use super::{Block, ERRORS, NAMES, Speaker, Topic};

/// The numbers of `int4` and `text` among the types.
const TYPES: [(Param, u32); 2] = [(Param::Int, 23), (Param::Text, 25)];

/// Names of portals. The last one is the unnamed.
const PORTALS: [&str; 3] = ["p1", "p2", ""];

#[derive(Clone, Copy, Debug)]
enum Step {
    Unnamed,
    Prepare,
    Use,
    Close,
    Error,
    Transaction,
    Flush,
}

impl Speaker {
    /// Messages up to a `Sync`, which do no more than `most` to the data.
    pub(super) fn batch(&mut self, most: Effect) -> (Vec<Saying>, Effect) {
        let mut sayings = Vec::new();
        let mut effect = Effect::None;
        for _ in 0..self.dice.weigh(&[(40, 1), (30, 2), (20, 3), (10, 5)]) {
            let step = self.dice.weigh(&[
                (34, Step::Unnamed),
                (14, Step::Prepare),
                (30, Step::Use),
                (8, Step::Close),
                (9, Step::Error),
                (6, Step::Transaction),
                (4, Step::Flush),
            ]);
            effect = effect.max(self.step(step, most, &mut sayings));
        }
        sayings.push(Saying::Sync);
        (sayings, effect)
    }

    /// A statement is closed, and nothing else.
    pub(super) fn close(&mut self) -> Unit {
        let name = self.dice.pick(&NAMES);
        self.prepared.remove(name);
        let sayings = vec![Saying::CloseStatement(name.to_owned()), Saying::Sync];
        Unit::one(sayings, 1, Effect::None)
    }

    /// Several batches at once. After the first that may write, none reads.
    pub(super) fn pipeline(&mut self) -> Unit {
        let count = self.dice.between(2, 4);
        let mut sayings = Vec::new();
        let mut effect = Effect::None;
        // All of them write or none reads: either is fine on any server.
        let most = if self.dice.often(50) { Effect::Writes } else { Effect::Reads };
        for _ in 0..count {
            let (batch, of_batch) =
                self.batch(if effect == Effect::Writes { Effect::None } else { most });
            effect = effect.max(of_batch);
            sayings.extend(batch);
        }
        Unit::one(sayings, count, effect)
    }

    /// What drivers do in loops: a statement is prepared, in a transaction perhaps, and used by
    /// several batches that are sent together.
    pub(super) fn repeated(&mut self) -> Unit {
        const NAME: &str = "repeated";
        let template = self.template(Effect::Reads);
        let prepare = vec![
            Saying::CloseStatement(NAME.to_owned()),
            Saying::Parse(NAME.to_owned(), self.fill(template.line.2), Vec::new()),
            Saying::Sync,
        ];
        let mut parts = vec![Part::then(prepare, Until::Ready(1))];
        if self.block == Block::None && self.dice.often(50) {
            let query = |sql: &str| Part::then(vec![Saying::Query(sql.into())], Until::Ready(1));
            parts.insert(0, query("begin"));
            parts.push(query("commit"));
        }
        let count = self.dice.between(2, 6);
        let mut sayings = Vec::new();
        for _ in 0..count {
            self.bind(NAME, template, &mut sayings);
            sayings.push(Saying::Sync);
        }
        parts.push(Part::then(sayings, Until::Ready(count)));
        Unit { parts, effect: template.line.0 }
    }

    fn step(&mut self, step: Step, most: Effect, sayings: &mut Vec<Saying>) -> Effect {
        match step {
            Step::Unnamed => {
                let template = self.template(most);
                self.parse("", template, sayings);
                if self.dice.often(15) {
                    sayings.push(Saying::DescribeStatement(String::new()));
                }
                self.bind("", template, sayings);
                template.line.0
            }
            Step::Prepare if self.manner.leaves_out(Topic::Named) => {
                self.step(Step::Unnamed, most, sayings)
            }
            Step::Prepare => {
                let name = self.dice.pick(&NAMES);
                let closes = self.prepared.contains_key(name) && self.dice.often(60);
                if closes && !self.manner.leaves_out(Topic::Closings) {
                    sayings.push(Saying::CloseStatement(name.to_owned()));
                }
                let template = self.template(most);
                self.parse(known(name), template, sayings);
                if self.dice.often(50) {
                    sayings.push(Saying::DescribeStatement(name.to_owned()));
                }
                Effect::None
            }
            Step::Use => {
                let named_only = self.manner.leaves_out(Topic::Unnamed);
                let names = self.prepared.keys().copied();
                let names: Vec<&'static str> =
                    names.filter(|name| !(named_only && name.is_empty())).collect();
                // Whether the server has what is believed to be there is not certain.
                if names.is_empty() || most < Effect::Writes {
                    return self.step(Step::Unnamed, most, sayings);
                }
                let name = known(self.dice.pick(&names));
                self.bind(name, self.prepared[name], sayings);
                Effect::Writes
            }
            Step::Close => {
                let closes = !self.manner.leaves_out(Topic::Closings);
                let saying = if closes && self.dice.often(50) {
                    let name = self.dice.pick(&NAMES);
                    self.prepared.remove(name);
                    Saying::CloseStatement(name.to_owned())
                } else {
                    Saying::ClosePortal(self.dice.pick(&PORTALS).to_owned())
                };
                sayings.push(saying);
                Effect::None
            }
            Step::Error => self.error(most, sayings),
            // What a transaction wrote can be read elsewhere when it ends.
            Step::Transaction if most < Effect::Writes => self.step(Step::Unnamed, most, sayings),
            Step::Transaction => {
                let sql = if self.block == Block::None {
                    self.block = Block::Open;
                    "begin"
                } else {
                    self.block = Block::None;
                    self.dice.pick(&["commit", "rollback"])
                };
                self.plain(sql, sayings);
                Effect::Writes
            }
            Step::Flush => {
                sayings.push(Saying::Flush);
                Effect::None
            }
        }
    }

    fn template(&mut self, most: Effect) -> Template {
        let quiet = self.manner.leaves_out(Topic::SettingStatements);
        let known: Vec<&Template> = TEMPLATES
            .iter()
            .filter(|template| template.line.0 <= most && self.manner.says(&template.line))
            .filter(|template| !(quiet && template.line.2.starts_with("set ")))
            .collect();
        *self.dice.pick(&known)
    }

    fn parse(&mut self, name: &'static str, template: Template, sayings: &mut Vec<Saying>) {
        let number = |param: &Param| {
            let found = TYPES.iter().find(|(known, _)| known == param);
            found.map_or(0, |(_, number)| *number)
        };
        let types = match self.dice.between(0, 2) {
            0 => template.params.iter().map(number).collect(),
            1 => template.params.iter().take(1).map(|_| 0).collect(),
            _ => Vec::new(),
        };
        let sql = self.fill(template.line.2);
        self.prepared.insert(name, template);
        sayings.push(Saying::Parse(name.to_owned(), sql, types));
    }

    /// Binds a statement and runs it, in one go or bit by bit.
    fn bind(&mut self, statement: &str, template: Template, sayings: &mut Vec<Saying>) {
        let portal = self.dice.weigh(&[(60, ""), (20, "p1"), (20, "p2")]);
        let bind = self.bound(portal, statement, template);
        sayings.push(Saying::Bind(bind));
        if self.dice.often(50) {
            sayings.push(Saying::DescribePortal(portal.to_owned()));
        }
        let rows_max = self.dice.weigh(&[(60, 0), (20, 1), (20, 2)]);
        sayings.push(Saying::Execute(portal.to_owned(), rows_max));
        if rows_max > 0 {
            for _ in 0..self.dice.between(0, 3) {
                let more = self.dice.weigh(&[(50, 2), (30, 1), (20, 0)]);
                sayings.push(Saying::Execute(portal.to_owned(), more));
            }
        }
        if !portal.is_empty() && self.dice.often(60) {
            sayings.push(Saying::ClosePortal(portal.to_owned()));
        }
    }

    fn bound(&mut self, portal: &str, statement: &str, template: Template) -> Bind {
        let formats: Vec<u16> = match self.dice.between(0, 3) {
            0 if !template.params.is_empty() => vec![1],
            1 => template.params.iter().map(|_| u16::from(self.dice.often(50))).collect(),
            _ => Vec::new(),
        };
        let format = |at: usize| match formats.as_slice() {
            [] => 0,
            [one] => *one,
            many => many[at],
        };
        let params = template.params.iter().enumerate().map(|(at, param)| {
            let value = self.dice.between(0, 7);
            if self.dice.often(7) {
                return None;
            }
            Some(match (param, format(at)) {
                (Param::Int, 1) => i32::try_from(value).expect("it is small").to_be_bytes().into(),
                (Param::Int, _) if self.dice.often(3) => b"not a number".to_vec(),
                (Param::Int, _) => value.to_string().into_bytes(),
                (Param::Text, _) => self.dice.pick(&TEXTS).as_bytes().to_vec(),
            })
        });
        let params = params.collect();
        let results = match self.dice.between(0, 4) {
            0 => vec![1],
            1 => (0..template.columns).map(|_| u16::from(self.dice.often(50))).collect(),
            2 => vec![0],
            _ => Vec::new(),
        };
        Bind {
            portal: portal.to_owned(),
            statement: statement.to_owned(),
            formats: formats.clone(),
            params,
            results,
        }
    }

    /// A statement without parameters, by the unnamed statement and portal.
    fn plain(&mut self, sql: &str, sayings: &mut Vec<Saying>) {
        self.prepared.remove("");
        let none = String::new;
        sayings.extend([
            Saying::Parse(none(), sql.to_owned(), Vec::new()),
            Saying::Bind(Bind::default()),
            Saying::Execute(none(), 0),
        ]);
    }

    /// Something that the server refuses, mostly.
    fn error(&mut self, most: Effect, sayings: &mut Vec<Saying>) -> Effect {
        let unknown = "unknown".to_owned();
        let bind = |bind: Bind| Saying::Bind(bind);
        match self.dice.between(0, 8) {
            0 => sayings.push(bind(Bind { statement: unknown, ..Bind::default() })),
            1 => sayings.push(Saying::DescribeStatement(unknown)),
            2 => sayings.push(Saying::DescribePortal(unknown)),
            3 => sayings.push(Saying::Execute(unknown, 0)),
            4 => sayings.push(Saying::Execute(self.dice.pick(&PORTALS).to_owned(), 0)),
            5 => {
                let template = self.template(most.min(Effect::Reads));
                self.parse("", template, sayings);
                let mut wrong = self.bound("", "", template);
                wrong.params.push(None);
                wrong.formats.clear();
                sayings.push(bind(wrong));
            }
            6 => {
                self.plain("select 1; select 2", sayings);
            }
            7 => {
                let statement = self.dice.pick(&NAMES).to_owned();
                sayings.push(bind(Bind { statement, ..Bind::default() }));
            }
            _ => {
                let (effect, sql) = self.line(ERRORS);
                if effect <= most {
                    self.plain(&sql, sayings);
                    return effect;
                }
            }
        }
        Effect::None
    }

    /// A client that asks for its answers before it goes on.
    pub(super) fn flushed(&mut self) -> Unit {
        let (batch, effect) = self.batch(Effect::Writes);
        let mut parts = Vec::new();
        let mut part = Vec::new();
        for saying in batch {
            let answered = saying.is_answered();
            let sync = saying == Saying::Sync;
            part.push(saying);
            if sync {
                parts.push(Part::then(std::mem::take(&mut part), Until::Ready(1)));
            } else if answered && self.dice.often(50) {
                part.push(Saying::Flush);
                parts.push(Part::then(std::mem::take(&mut part), Until::Flushed));
            }
        }
        Unit { parts, effect }
    }

    /// `COPY … FROM STDIN` by the extended protocol.
    pub(super) fn copy_extended(&mut self) -> Unit {
        let sql = self.copy_text();
        // Nobody else uses this name: a copy that begins where nobody expects one has no end.
        let name = || "copying".to_owned();
        let clearing = vec![Saying::CloseStatement(name()), Saying::Sync];
        let clearing = Part::then(clearing, Until::Ready(1));
        let mut sayings = vec![
            Saying::Parse(name(), sql, Vec::new()),
            Saying::ClosePortal(name()),
            Saying::Bind(Bind { portal: name(), statement: name(), ..Bind::default() }),
            Saying::Execute(name(), 0),
        ];
        let data = self.copied();
        let parts = if self.dice.often(50) {
            // As libpq does it: the first `Sync` is ignored if the copy begins.
            sayings.push(Saying::Sync);
            let data = [data, vec![Saying::Sync]].concat();
            vec![
                clearing,
                Part::then(sayings, Until::Invitation),
                Part::invited(data, Until::Ready(1)),
            ]
        } else {
            sayings.push(Saying::Flush);
            vec![
                clearing,
                Part::then(sayings, Until::InvitationOrError),
                Part::invited(data, Until::Sent),
                Part::then(vec![Saying::Sync], Until::Ready(1)),
            ]
        };
        Unit { parts, effect: Effect::Writes }
    }
}

/// The same name, as one of those that live for ever.
fn known(name: &str) -> &'static str {
    NAMES.into_iter().find(|known| *known == name).unwrap_or("")
}

/// Values of parameters.
const TEXTS: [&str; 5] = ["", "a value", "it's", "TimeZone", "work_mem"];
