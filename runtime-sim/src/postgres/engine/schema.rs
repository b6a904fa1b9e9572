//! What a database holds, and how changes of it are written down.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::postgres::syntax::{Column, ColumnKind, Function, Select};
use crate::postgres::value::Value;

/// A table, or what looks like one.
#[derive(Clone, Debug, Default)]
pub(in crate::postgres) struct Table {
    pub(in crate::postgres) columns: Vec<Column>,
    /// By row number, which is the order of insertion.
    pub(in crate::postgres) rows: BTreeMap<u64, Vec<Value>>,
    pub(in crate::postgres) nature: Nature,
}

/// What a table is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::postgres) enum Nature {
    #[default]
    Permanent,
    /// No standby has its rows, and a crash takes them.
    Unlogged,
    View(Rc<Select>),
}

impl Table {
    /// Counts the relations that it is made of: itself, its indexes, its sequences.
    pub(in crate::postgres) fn relations(&self) -> usize {
        let parts = self.columns.iter().map(|column| match column.kind {
            ColumnKind::Plain => 0,
            ColumnKind::Serial | ColumnKind::Key => 1,
            ColumnKind::SerialKey => 2,
        });
        1 + parts.sum::<usize>()
    }
}

/// What one database holds.
#[derive(Clone, Debug, Default)]
pub(in crate::postgres) struct Schema {
    pub(in crate::postgres) tables: BTreeMap<String, Table>,
    pub(in crate::postgres) functions: BTreeMap<String, Rc<Function>>,
    /// Access methods for tables, beside PostgreSQL's own.
    pub(in crate::postgres) methods: BTreeSet<String>,
    /// The roles that users take on at a login, by user.
    pub(in crate::postgres) roles: BTreeMap<String, String>,
}

/// A change of a database.
#[derive(Clone, Debug)]
pub(in crate::postgres) enum Effect {
    Create(String, Vec<Column>, Nature),
    Drop(String),
    Put(String, u64, Vec<Value>),
    Delete(String, u64),
    Truncate(String),
    Define(String, Rc<Function>),
    Undefine(String),
    /// An access method is there from now on.
    Equip(String),
    /// It is there no longer.
    Strip(String),
    /// A user takes on a role at every login from now on, or none.
    Assume(String, Option<String>),
    /// The database itself comes into being.
    Found,
    /// The database goes, with all that it holds.
    Raze,
}

impl Effect {
    /// The table that is changed, if it is a table.
    pub(in crate::postgres) fn table(&self) -> Option<&str> {
        match self {
            Self::Create(table, ..)
            | Self::Drop(table)
            | Self::Put(table, ..)
            | Self::Delete(table, _)
            | Self::Truncate(table) => Some(table),
            Self::Define(..)
            | Self::Undefine(_)
            | Self::Equip(_)
            | Self::Strip(_)
            | Self::Assume(..)
            | Self::Found
            | Self::Raze => None,
        }
    }
}

impl Schema {
    /// Changes the database.
    pub(in crate::postgres) fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Define(name, function) => {
                self.functions.insert(name.clone(), Rc::clone(function));
            }
            Effect::Undefine(name) => drop(self.functions.remove(name)),
            Effect::Equip(name) => {
                self.methods.insert(name.clone());
            }
            Effect::Strip(name) => {
                self.methods.remove(name);
            }
            Effect::Assume(user, Some(role)) => {
                self.roles.insert(user.clone(), role.clone());
            }
            Effect::Assume(user, None) => {
                self.roles.remove(user);
            }
            Effect::Found | Effect::Raze => *self = Self::default(),
            Effect::Create(name, ..)
            | Effect::Drop(name)
            | Effect::Put(name, ..)
            | Effect::Delete(name, _)
            | Effect::Truncate(name) => {
                let mut table = self.tables.remove(name).map(Cow::Owned);
                apply(&mut table, effect);
                if let Some(table) = table {
                    self.tables.insert(name.clone(), table.into_owned());
                }
            }
        }
    }
}

/// Changes a table, which may not be there before or after.
pub(in crate::postgres) fn apply(table: &mut Option<Cow<'_, Table>>, effect: &Effect) {
    match (effect, table.as_mut()) {
        (Effect::Create(_, columns, nature), _) => {
            let (columns, nature) = (columns.clone(), nature.clone());
            *table = Some(Cow::Owned(Table { columns, rows: BTreeMap::new(), nature }));
        }
        (Effect::Drop(_), _) => *table = None,
        (Effect::Put(_, row, values), Some(table)) => {
            table.to_mut().rows.insert(*row, values.clone());
        }
        (Effect::Delete(_, row), Some(table)) => {
            table.to_mut().rows.remove(row);
        }
        (Effect::Truncate(_), Some(table)) => table.to_mut().rows.clear(),
        (Effect::Put(..) | Effect::Delete(..) | Effect::Truncate(_), None)
        | (
            Effect::Define(..)
            | Effect::Undefine(_)
            | Effect::Equip(_)
            | Effect::Strip(_)
            | Effect::Assume(..)
            | Effect::Found
            | Effect::Raze,
            _,
        ) => {}
    }
}
