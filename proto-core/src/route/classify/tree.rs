//! What the tree of a query shows: functions, relations, and whatever no plain read has.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName,
    ObjectNamePart, Query, Select, SelectFlavor, SetExpr, Statement as Tree, TableAlias,
    TableFactor, Value, Visit, Visitor,
};

use super::super::class::{Hold, Reason, StateChange};
use super::super::lore::{Called, Lore};
use crate::limits;

/// What a tree shows.
pub(super) struct Inspection {
    /// What speaks against its being a plain read: the first reason found.
    pub(super) doubt: Option<Reason>,
    /// What it leaves in the session.
    pub(super) state: StateChange,
    /// The relations in it, without their schemas, changed or read.
    pub(super) relations: BTreeSet<Box<str>>,
    /// The functions in it that may write and are not PostgreSQL's own, with `()` behind them.
    pub(super) calls: BTreeSet<Box<str>>,
}

/// Walks a tree.
pub(super) fn inspect(tree: &Tree, mentions_temporary: bool, lore: &Lore<'_>) -> Inspection {
    let found = Inspection {
        doubt: None,
        state: StateChange::None,
        relations: BTreeSet::new(),
        calls: BTreeSet::new(),
    };
    let mut inspector = Inspector { found, depth: 0, mentions_temporary, lore };
    let _: ControlFlow<()> = tree.visit(&mut inspector);
    inspector.found
}

/// Collects what speaks against a tree's being a plain read.
struct Inspector<'a> {
    found: Inspection,
    /// Statements around the one being visited.
    depth: usize,
    mentions_temporary: bool,
    lore: &'a Lore<'a>,
}

impl Inspector<'_> {
    fn doubt(&mut self, reason: Reason) {
        self.found.doubt.get_or_insert(reason);
    }

    fn leave(&mut self, state: StateChange) {
        self.found.state = self.found.state.and(state);
    }

    fn call(&mut self, name: &ObjectName) {
        let called = self.judge(name);
        self.on_call(name, called);
    }

    fn judge(&self, name: &ObjectName) -> Called {
        let parts: Option<Vec<_>> = name.0.iter().map(name_part).collect();
        match parts.as_deref() {
            Some([(name, is_quoted)]) => self.lore.call(None, name, *is_quoted),
            Some([(schema, _), (name, is_quoted)]) => {
                self.lore.call(Some(schema), name, *is_quoted)
            }
            Some(_) | None => Called {
                doubt: Some(Reason::UnknownFunction { name: name.to_string().into() }),
                state: StateChange::Unknown,
            },
        }
    }

    fn on_call(&mut self, name: &ObjectName, called: Called) {
        self.leave(called.state);
        let Some(doubt) = called.doubt else { return };
        if let Reason::UnknownFunction { .. }
        | Reason::VolatileFunction { .. }
        | Reason::ListedFunction { .. }
        | Reason::SessionFunction { .. } = &doubt
            && let Some((name, _)) = name.0.last().and_then(name_part)
            && self.found.calls.len() <= limits::CLASS_RELATIONS_MAX
        {
            self.found.calls.insert(format!("{name}()").into());
        }
        // A lock counts for more than what was found before it: a transaction on a standby asks
        // for it.
        if matches!(doubt, Reason::AdvisoryLock { .. }) {
            self.found.doubt = Some(doubt);
        } else {
            self.doubt(doubt);
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

    fn relation(&mut self, parts: &[String]) {
        if let Some(reason) = self.lore.relation(parts) {
            self.doubt(reason);
        }
        if let Some(name) = parts.last()
            && self.found.relations.len() <= limits::CLASS_RELATIONS_MAX
        {
            self.found.relations.insert(name.as_str().into());
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
        let mut called = self.judge(&function.name);
        if let Some(Reason::SessionFunction { name }) = &called.doubt
            && name.ends_with("set_config")
            && sets_locally(function)
        {
            let doubt = Some(Reason::PrimaryFunction { name: name.clone() });
            called = Called { doubt, state: StateChange::None };
        }
        self.on_call(&function.name, called);
    }
}

impl Visitor for Inspector<'_> {
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
                    self.relation(&names);
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
            Some(parts) => self.relation(&parts),
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
