//! What a statement does, as far as its text tells.
//!
//! Only a query all of whose parts are known to read, and to give the same answer on every server,
//! is a [`Kind::Read`]. The tree of the parser is not trusted to be PostgreSQL's in every detail:
//! kinds of node are allowed one by one, and what is not allowed is a doubt.
//!
//! A text does not show what triggers, rules, views, casts, operators of the user's and the
//! functions behind them do. Where those write, a standby refuses.

use std::borrow::Cow;
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName,
    ObjectNamePart, Query, Select, SelectFlavor, SetExpr, Statement as Tree, TableAlias,
    TableFactor, Value, Visit, Visitor,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::class::{Class, Hold, Kind, Reason, StateChange, Unreadable};
use super::functions::{self, Effect};
use super::statement::Statement;
use super::tokens::{Shape, Token, Tokens};
use super::utility::{self, Verdict};
use super::words::{catalog_relation, state_by_tokens, state_of, suspicious_words};

/// Longest text that is parsed, in bytes. A longer one is data more than it is a query, and would
/// hold up the shard's other sessions.
pub const QUERY_TEXT_LEN_MAX: usize = 64 * 1024;

/// Words and operators of one text that is parsed. Each may nest the tree by one level, and a tree
/// is taken down by recursion: this many levels fit into a thread's stack several times over.
pub const QUERY_TERMS_MAX: usize = 3000;

/// Nesting of parentheses and subqueries that is parsed.
const NESTING_MAX: usize = 60;

/// Tells what a text does. Never fails: what cannot be told is for the primary.
///
/// `allow_sql_comments` is the parameter of that name: when off, a query after a comment goes to
/// the primary.
#[must_use]
pub fn classify(text: &[u8], allow_sql_comments: bool) -> Class {
    if text.len() > QUERY_TEXT_LEN_MAX {
        return Class::unknown(Reason::TooLong { len: text.len() });
    }
    match read(text) {
        Err(unreadable) => Class::unknown(Reason::Unreadable(unreadable)),
        Ok(scan) => scan.classify(allow_sql_comments),
    }
}

/// A text whose tokens are known.
struct Scan<'a> {
    /// The text, with a space for every byte of a comment.
    text: Cow<'a, [u8]>,
    /// Without comments.
    tokens: Vec<Token>,
    begins_with_comment: bool,
    /// Words and operators, which are what trees are made deep with.
    terms: usize,
}

fn read(text: &[u8]) -> Result<Scan<'_>, Unreadable> {
    let mut scan = Scan {
        text: Cow::Borrowed(text),
        tokens: Vec::new(),
        begins_with_comment: false,
        terms: 0,
    };
    let mut tokens = Tokens::new(text);
    while let Some(token) = tokens.next()? {
        match token.shape {
            Shape::Comment => {
                // Blanked, so that no other reading of where a comment ends can matter.
                if let Some(comment) = scan.text.to_mut().get_mut(token.start..token.end) {
                    comment.fill(b' ');
                }
                scan.begins_with_comment |= scan.tokens.is_empty();
                continue;
            }
            Shape::Symbol(b',' | b'.' | b';' | b')') => {}
            Shape::Symbol(_) | Shape::Word => scan.terms += 1,
            Shape::QuotedName
            | Shape::Text
            | Shape::PrefixedText
            | Shape::Number
            | Shape::Parameter => {}
        }
        scan.tokens.push(token);
    }
    Ok(scan)
}

impl Scan<'_> {
    fn classify(&self, allow_sql_comments: bool) -> Class {
        let statements: Vec<Statement<'_>> = self
            .tokens
            .split(|token| token.shape == Shape::Symbol(b';'))
            .filter(|tokens| !tokens.is_empty())
            .map(|tokens| Statement { text: &self.text, tokens })
            .collect();
        let class = match statements.as_slice() {
            [] => Class::new(Kind::Empty, Reason::NothingToRun),
            [one] => self.classify_one(one),
            many => self.classify_many(many),
        };
        if class.kind == Kind::Read && self.begins_with_comment && !allow_sql_comments {
            return Class { kind: Kind::Write, reason: Reason::CommentBefore, state: class.state };
        }
        class
    }

    fn classify_many(&self, statements: &[Statement<'_>]) -> Class {
        let mut state = StateChange::None;
        for statement in statements {
            let class = self.classify_one(statement);
            state = state.and(class.state);
            // A setting among others cannot be repeated by itself.
            if class.kind == Kind::Setting {
                state = state.and(StateChange::Holds(Hold::Setting));
            }
        }
        Class::leaving(Reason::MultipleStatements { count: statements.len() }, state)
    }

    fn classify_one(&self, statement: &Statement<'_>) -> Class {
        match utility::recognise(statement) {
            Verdict::Known(class) => class,
            Verdict::Query => self.classify_query(statement),
            Verdict::Explain { runs, inner } => {
                let inner = if runs { self.classify_inner(&inner) } else { StateChange::None };
                utility::around(Reason::Explain, inner)
            }
            Verdict::CopyQuery(query) => {
                let class = self.classify_query(&query);
                if class.kind == Kind::Read {
                    Class::new(Kind::Read, Reason::CopyOut)
                } else {
                    class
                }
            }
            Verdict::Table(relation) => match catalog_relation(&relation) {
                Some(reason) => Class::write(reason),
                None => Class::new(Kind::Read, Reason::PlainRead),
            },
            Verdict::CopyRelation(relation) => match catalog_relation(&relation) {
                Some(reason) => Class::write(reason),
                None => Class::new(Kind::Read, Reason::CopyOut),
            },
            Verdict::Creates => {
                let reason = Reason::Command { word: "create".into() };
                let state = self.inspect(statement).map_or(StateChange::Unknown, |i| i.state);
                utility::around(reason, state)
            }
        }
    }

    /// Returns what running the statement of an `EXPLAIN` leaves behind.
    fn classify_inner(&self, statement: &Statement<'_>) -> StateChange {
        match utility::recognise(statement) {
            Verdict::Query => self.classify_query(statement).state,
            Verdict::Creates => StateChange::Unknown,
            Verdict::Known(class) => class.state,
            Verdict::Table(_) => StateChange::None,
            Verdict::Explain { .. } | Verdict::CopyQuery(_) | Verdict::CopyRelation(_) => {
                StateChange::Unknown
            }
        }
    }

    fn classify_query(&self, statement: &Statement<'_>) -> Class {
        let changes_rows = ["insert", "update", "delete", "merge"]
            .iter()
            .any(|word| statement.tokens.first().is_some_and(|t| t.is_word(&self.text, word)));
        let Some(inspection) = self.inspect(statement) else {
            let reason = if self.terms > QUERY_TERMS_MAX {
                Reason::TooComplex { terms: self.terms }
            } else {
                Reason::Unparsable
            };
            return Class { kind: Kind::Write, reason, state: state_by_tokens(statement) };
        };
        let reason = match inspection.doubt {
            None if changes_rows => Reason::Dml,
            None => match suspicious_words(statement) {
                None => return Class::new(Kind::Read, Reason::PlainRead),
                // The tree does not show it, so what it leaves is not in the inspection either.
                Some(reason) => return Class::leaving(reason, state_by_tokens(statement)),
            },
            Some(reason) => reason,
        };
        Class::leaving(reason, inspection.state)
    }

    /// Parses one statement and walks its tree; nothing if it does not parse.
    fn inspect(&self, statement: &Statement<'_>) -> Option<Inspector> {
        let (first, last) = (statement.tokens.first()?, statement.tokens.last()?);
        if self.terms > QUERY_TERMS_MAX {
            return None;
        }
        // Bytes that are not UTF-8 can only stand in literals and quoted names here.
        let text = String::from_utf8_lossy(self.text.get(first.start..last.end)?);
        let dialect = PostgreSqlDialect {};
        let trees = Parser::new(&dialect)
            .with_recursion_limit(NESTING_MAX)
            .try_with_sql(&text)
            .and_then(|mut parser| parser.parse_statements())
            .ok()?;
        let [tree] = trees.as_slice() else { return None };
        let mut inspector = Inspector {
            doubt: None,
            state: StateChange::None,
            depth: 0,
            mentions_temporary: statement.mentions_temporary(),
        };
        let _: ControlFlow<()> = tree.visit(&mut inspector);
        Some(inspector)
    }
}

/// Collects what speaks against a tree's being a plain read.
struct Inspector {
    /// The first reason found.
    doubt: Option<Reason>,
    state: StateChange,
    /// Statements around the one being visited.
    depth: usize,
    mentions_temporary: bool,
}

impl Inspector {
    fn doubt(&mut self, reason: Reason) {
        self.doubt.get_or_insert(reason);
    }

    fn leave(&mut self, state: StateChange) {
        self.state = self.state.and(state);
    }

    fn call(&mut self, name: &ObjectName) {
        self.on_call(name, effect_of(name));
    }

    fn on_call(&mut self, name: &ObjectName, effect: Effect) {
        let name = || name.to_string().into_boxed_str();
        self.leave(state_of(effect));
        match effect {
            Effect::None => {}
            Effect::Primary => self.doubt(Reason::PrimaryFunction { name: name() }),
            // A lock counts for more than what was found before it: a transaction on a standby
            // asks for it.
            Effect::Lock | Effect::SessionLock | Effect::SessionUnlock => {
                self.doubt = Some(Reason::AdvisoryLock { name: name() });
            }
            Effect::Unknown | Effect::SetsParameter | Effect::Leaves => {
                self.doubt(Reason::UnknownFunction { name: name() })
            }
        }
    }

    fn operator(&mut self, operator: &BinaryOperator) {
        let name = if let BinaryOperator::Custom(name) = operator {
            if OWN_OPERATORS.contains(&name.as_str()) {
                return;
            }
            name.clone()
        } else if let BinaryOperator::PGCustomBinaryOperator(parts) = operator {
            parts.join(".")
        } else {
            return;
        };
        let is_own = name.to_ascii_lowercase().starts_with("pg_catalog.");
        if !is_own {
            self.doubt(Reason::UnknownOperator { name: name.into() });
        }
    }

    /// Doubts an alias whose columns have types, which only the calls of functions can have: what
    /// looks like a type with modifiers could be a call.
    fn alias(&mut self, alias: Option<&TableAlias>) {
        if alias.is_some_and(|alias| alias.columns.iter().any(|c| c.data_type.is_some())) {
            self.leave(StateChange::Unknown);
            self.doubt(Reason::ForeignSyntax);
        }
    }

    fn function(&mut self, function: &Function) {
        let is_plain =
            matches!(function.parameters, FunctionArguments::None) && !function.uses_odbc_syntax;
        if !is_plain {
            self.doubt(Reason::ForeignSyntax);
        }
        let mut effect = effect_of(&function.name);
        if effect == Effect::SetsParameter && sets_locally(function) {
            effect = Effect::Primary;
        }
        self.on_call(&function.name, effect);
    }
}

impl Visitor for Inspector {
    type Break = ();

    fn pre_visit_statement(&mut self, tree: &Tree) -> ControlFlow<()> {
        if self.depth > 0 && !matches!(tree, Tree::Query(_)) {
            self.doubt(Reason::DmlInQuery);
        }
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_statement(&mut self, _tree: &Tree) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if !query.locks.is_empty() {
            self.doubt(Reason::LockingClause);
        }
        let is_foreign = query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
            || !query.pipe_operators.is_empty();
        if is_foreign {
            self.doubt(Reason::ForeignSyntax);
        }
        // TABLE is the one way to name a relation that the visitor does not tell of.
        let mut bodies = vec![&*query.body];
        while let Some(body) = bodies.pop() {
            match body {
                SetExpr::SetOperation { left, right, .. } => bodies.extend([&**left, &**right]),
                SetExpr::Table(table) => {
                    let names = [&table.schema_name, &table.table_name];
                    let names: Vec<String> =
                        names.into_iter().flatten().map(|n| n.to_ascii_lowercase()).collect();
                    if let Some(reason) = catalog_relation(&names) {
                        self.doubt(reason);
                    }
                }
                SetExpr::Insert(_)
                | SetExpr::Update(_)
                | SetExpr::Delete(_)
                | SetExpr::Merge(_) => self.doubt(Reason::DmlInQuery),
                SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if select.into.is_some() {
            if self.mentions_temporary {
                self.leave(StateChange::Holds(Hold::TemporaryTable));
            }
            self.doubt(Reason::SelectInto);
        }
        let is_foreign = select.select_modifiers.is_some()
            || select.top.is_some()
            || select.exclude.is_some()
            || select.prewhere.is_some()
            || select.qualify.is_some()
            || select.value_table_mode.is_some()
            || select.flavor != SelectFlavor::Standard
            || !select.lateral_views.is_empty()
            || !select.connect_by.is_empty()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty();
        if is_foreign {
            self.doubt(Reason::ForeignSyntax);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let parts: Option<Vec<String>> =
            relation.0.iter().map(|part| name_part(part).map(|(name, _)| name)).collect();
        match parts {
            None => self.doubt(Reason::ForeignSyntax),
            Some(parts) => {
                if let Some(reason) = catalog_relation(&parts) {
                    self.doubt(reason);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, alias, args, version, partitions, json_path, .. } => {
                if args.is_some() {
                    self.call(name);
                } else {
                    self.alias(alias.as_ref());
                }
                if version.is_some() || json_path.is_some() || !partitions.is_empty() {
                    self.doubt(Reason::ForeignSyntax);
                }
            }
            TableFactor::Function { name, .. } => self.call(name),
            TableFactor::Derived { alias, .. } | TableFactor::NestedJoin { alias, .. } => {
                self.alias(alias.as_ref());
            }
            TableFactor::UNNEST { .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::XmlTable { .. } => {}
            TableFactor::TableFunction { .. }
            | TableFactor::OpenJsonTable { .. }
            | TableFactor::Pivot { .. }
            | TableFactor::Unpivot { .. }
            | TableFactor::UnpivotExpr { .. }
            | TableFactor::MatchRecognize { .. }
            | TableFactor::SemanticView { .. } => {
                self.leave(StateChange::Unknown);
                self.doubt(Reason::ForeignSyntax);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            self.function(function);
        } else if let Expr::BinaryOp { op, .. }
        | Expr::AnyOp { compare_op: op, .. }
        | Expr::AllOp { compare_op: op, .. } = expr
        {
            self.operator(op);
        } else if is_foreign(expr) {
            self.leave(StateChange::Unknown);
            self.doubt(Reason::ForeignSyntax);
        }
        ControlFlow::Continue(())
    }
}

fn effect_of(name: &ObjectName) -> Effect {
    let parts: Option<Vec<_>> = name.0.iter().map(name_part).collect();
    match parts.as_deref() {
        Some([(name, is_quoted)]) => functions::effect(name, *is_quoted),
        Some([(schema, _), (name, _)]) if schema == "pg_catalog" => functions::effect(name, true),
        Some(_) | None => Effect::Unknown,
    }
}

/// Tells whether a call of `set_config` says that it is for the transaction only.
fn sets_locally(function: &Function) -> bool {
    let FunctionArguments::List(list) = &function.args else { return false };
    let [_, _, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(last)))] =
        list.args.as_slice()
    else {
        return false;
    };
    last.value == Value::Boolean(true)
}

/// Tells whether a kind of expression is unknown to PostgreSQL, or unknown here.
fn is_foreign(expr: &Expr) -> bool {
    let is_known = matches!(
        expr,
        Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::CompoundFieldAccess { .. }
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::IsJson { .. }
            | Expr::IsNormalized { .. }
            | Expr::InList { .. }
            | Expr::InSubquery { .. }
            | Expr::Between { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::SimilarTo { .. }
            | Expr::UnaryOp { .. }
            | Expr::Cast { .. }
            | Expr::AtTimeZone { .. }
            | Expr::Extract { .. }
            | Expr::Ceil { .. }
            | Expr::Floor { .. }
            | Expr::Position { .. }
            | Expr::Substring { .. }
            | Expr::Trim { .. }
            | Expr::Overlay { .. }
            | Expr::Collate { .. }
            | Expr::Nested(_)
            | Expr::Value(_)
            | Expr::TypedString(_)
            | Expr::Case { .. }
            | Expr::Exists { .. }
            | Expr::Subquery(_)
            | Expr::GroupingSets(_)
            | Expr::Cube(_)
            | Expr::Rollup(_)
            | Expr::Tuple(_)
            | Expr::Array(_)
            | Expr::Interval(_)
            | Expr::Wildcard(_)
            | Expr::QualifiedWildcard(..)
    );
    !is_known
}

/// Returns a part of a name after identifier folding, and whether it was quoted.
fn name_part(part: &ObjectNamePart) -> Option<(String, bool)> {
    let ObjectNamePart::Identifier(ident) = part else { return None };
    match ident.quote_style {
        None => Some((ident.value.to_ascii_lowercase(), false)),
        Some('"') => Some((ident.value.clone(), true)),
        Some(_) => None,
    }
}

/// Operators of PostgreSQL's own that the parser has no name for.
const OWN_OPERATORS: &[&str] = &["-|-", "!!", "~<~", "~<=~", "~>~", "~>=~", "@@@", "*=", "*<>"];

#[cfg(test)]
pub(super) mod tests;
