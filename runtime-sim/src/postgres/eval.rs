//! Values of expressions.

use std::cell::RefCell;

use pgherd_core::time::Instant;

use super::engine::{Deed, Replay, print_lsn};
use super::settings::Values;
use super::syntax::{Column, Expr, Op};
use super::value::{SqlError, Type, Value};

/// What an expression may ask about besides its row.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) now: Instant,
    pub(super) process: u32,
    pub(super) database: String,
    pub(super) node: usize,
    pub(super) standby: bool,
    pub(super) lsn: u64,
    pub(super) lsn_received: u64,
    pub(super) conninfo: String,
    pub(super) settings: Values,
    pub(super) params: Vec<Value>,
    /// What the expression does to others.
    pub(super) deeds: RefCell<Vec<Deed>>,
    /// What it sends to others.
    pub(super) notes: RefCell<Vec<(String, String)>>,
}

impl Facts {
    /// Makes facts for a result that outlives its statement, and does nothing to others.
    pub(super) fn detached(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            params: self.params.clone(),
            database: self.database.clone(),
            conninfo: self.conninfo.clone(),
            deeds: RefCell::default(),
            notes: RefCell::default(),
            ..*self
        }
    }
}

/// The row that an expression is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowView<'a> {
    pub(super) columns: &'a [Column],
    pub(super) values: &'a [Value],
}

impl RowView<'_> {
    /// No row.
    pub(super) const NONE: RowView<'static> = RowView { columns: &[], values: &[] };
}

/// Computes an expression.
pub(super) fn eval(expr: &Expr, row: RowView<'_>, facts: &Facts) -> Result<Value, SqlError> {
    match expr {
        Expr::Literal(value, _) => Ok(value.clone()),
        Expr::Param(number) => {
            let value = number.checked_sub(1).and_then(|at| facts.params.get(at));
            let what = || SqlError::new("42P02", format!("there is no parameter ${number}"));
            value.cloned().ok_or_else(what)
        }
        Expr::Column(name) => {
            let at = row.columns.iter().position(|column| column.name == *name);
            let value = at.and_then(|at| row.values.get(at)).cloned();
            value.ok_or_else(|| no_column(name))
        }
        Expr::Cast(inside, ty) => ty.cast(eval(inside, row, facts)?),
        Expr::Call(function, arguments) => {
            let arguments: Result<Vec<_>, _> =
                arguments.iter().map(|argument| eval(argument, row, facts)).collect();
            call(function, &arguments?, facts)
        }
        Expr::Not(inside) => Ok(match eval(inside, row, facts)? {
            Value::Null => Value::Null,
            value @ (Value::Bool(_) | Value::Int(_) | Value::Text(_)) => {
                Value::Bool(!is_true(&value))
            }
        }),
        Expr::IsNull(inside) => Ok(Value::Bool(eval(inside, row, facts)? == Value::Null)),
        Expr::Binary(op, left, right) => {
            binary(*op, eval(left, row, facts)?, eval(right, row, facts)?)
        }
    }
}

pub(super) fn no_column(name: &str) -> SqlError {
    SqlError::new("42703", format!("column \"{name}\" does not exist"))
}

/// Tells whether a filter lets a row pass.
pub(super) fn is_true(value: &Value) -> bool {
    matches!(Type::Bool.cast(value.clone()), Ok(Value::Bool(true)))
}

fn binary(op: Op, left: Value, right: Value) -> Result<Value, SqlError> {
    match op {
        Op::And => return Ok(Value::Bool(is_true(&left) && is_true(&right))),
        Op::Or => return Ok(Value::Bool(is_true(&left) || is_true(&right))),
        _ if left == Value::Null || right == Value::Null => return Ok(Value::Null),
        Op::Concat => return Ok(Value::Text(format!("{left}{right}"))),
        Op::Equal
        | Op::Unequal
        | Op::Less
        | Op::LessEqual
        | Op::Greater
        | Op::GreaterEqual
        | Op::Add
        | Op::Subtract
        | Op::Multiply
        | Op::Divide
        | Op::Modulo => {}
    }
    let (left, right) = alike(left, right)?;
    let compared = match op {
        Op::Equal => left == right,
        Op::Unequal => left != right,
        Op::Less => left < right,
        Op::LessEqual => left <= right,
        Op::Greater => left > right,
        Op::GreaterEqual => left >= right,
        Op::Add | Op::Subtract | Op::Multiply | Op::Divide | Op::Modulo => {
            return arithmetic(op, left, right);
        }
        Op::And | Op::Or | Op::Concat => false,
    };
    Ok(Value::Bool(compared))
}

/// A text beside another type is read as that type.
fn alike(left: Value, right: Value) -> Result<(Value, Value), SqlError> {
    Ok(match (left, right) {
        (left @ Value::Int(_), right @ Value::Text(_)) => (left, Type::Int8.cast(right)?),
        (left @ Value::Text(_), right @ Value::Int(_)) => (Type::Int8.cast(left)?, right),
        (left @ Value::Bool(_), right @ Value::Text(_)) => (left, Type::Bool.cast(right)?),
        (left @ Value::Text(_), right @ Value::Bool(_)) => (Type::Bool.cast(left)?, right),
        pair => pair,
    })
}

fn arithmetic(op: Op, left: Value, right: Value) -> Result<Value, SqlError> {
    let (Value::Int(left), Value::Int(right)) = (Type::Int8.cast(left)?, Type::Int8.cast(right)?)
    else {
        return Err(SqlError::new("42883", "operator does not exist"));
    };
    if right == 0 && matches!(op, Op::Divide | Op::Modulo) {
        return Err(SqlError::new("22012", "division by zero"));
    }
    let result = match op {
        Op::Add => left.checked_add(right),
        Op::Subtract => left.checked_sub(right),
        Op::Multiply => left.checked_mul(right),
        Op::Divide => left.checked_div(right),
        Op::Modulo => left.checked_rem(right),
        Op::Or
        | Op::And
        | Op::Equal
        | Op::Unequal
        | Op::Less
        | Op::LessEqual
        | Op::Greater
        | Op::GreaterEqual
        | Op::Concat => None,
    };
    result.map(Value::Int).ok_or_else(|| SqlError::new("22003", "bigint out of range"))
}

fn call(function: &str, arguments: &[Value], facts: &Facts) -> Result<Value, SqlError> {
    let text = |text: &str| Ok(Value::Text(text.to_owned()));
    let first = arguments.first().cloned().unwrap_or(Value::Null);
    match function {
        "pg_is_in_recovery" => Ok(Value::Bool(facts.standby)),
        "pg_backend_pid" => Ok(Value::Int(i64::from(facts.process))),
        "inet_server_port" => Ok(Value::Int(5432 + facts.node as i64)),
        "current_user" | "user" => text(facts.settings.user()),
        "session_user" => text(facts.settings.show("session_authorization")?),
        "current_database" => text(&facts.database),
        "current_schema" => text("public"),
        "now"
        | "clock_timestamp"
        | "current_timestamp"
        | "statement_timestamp"
        | "transaction_timestamp"
        | "timeofday" => text(&facts.now.to_string()),
        "version" => text("PostgreSQL 15.18 (simulated)"),
        "current_setting" if first.to_string() == "primary_conninfo" => text(&facts.conninfo),
        "current_setting" if first.to_string() == "primary_slot_name" => text(""),
        "current_setting" => match facts.settings.show(&first.to_string()) {
            Err(_) if arguments.get(1).is_some_and(is_true) => Ok(Value::Null),
            shown => text(shown?),
        },
        "pg_current_wal_lsn" if facts.standby => {
            Err(SqlError::new("55000", "recovery is in progress"))
        }
        "pg_current_wal_lsn" => text(&print_lsn(facts.lsn)),
        "pg_last_wal_replay_lsn" if facts.standby => text(&print_lsn(facts.lsn)),
        "pg_last_wal_receive_lsn" if facts.standby => text(&print_lsn(facts.lsn_received)),
        "pg_last_wal_replay_lsn" | "pg_last_wal_receive_lsn" => Ok(Value::Null),
        "repeat" => {
            let times = arguments.get(1).map_or(Ok(Value::Null), |n| Type::Int4.cast(n.clone()))?;
            let Value::Int(times) = times else { return Ok(Value::Null) };
            text(&first.to_string().repeat(usize::try_from(times).unwrap_or(0)))
        }
        "length" | "char_length" => {
            Ok(Value::Int(i64::try_from(first.to_string().chars().count()).unwrap_or(0)))
        }
        "upper" => text(&first.to_string().to_uppercase()),
        "lower" => text(&first.to_string().to_lowercase()),
        "md5" => {
            use md5::{Digest, Md5};
            let digest = Md5::digest(first.to_string().as_bytes());
            Ok(Value::Text(digest.iter().map(|byte| format!("{byte:02x}")).collect()))
        }
        "coalesce" => {
            Ok(arguments.iter().find(|v| **v != Value::Null).cloned().unwrap_or(Value::Null))
        }
        _ => deed(function, &first, arguments, facts),
    }
}

/// Functions that do something.
fn deed(
    function: &str,
    first: &Value,
    arguments: &[Value],
    facts: &Facts,
) -> Result<Value, SqlError> {
    let process = match Type::Int8.cast(first.clone()) {
        Ok(Value::Int(value)) => u32::try_from(value).unwrap_or(0),
        Ok(Value::Null | Value::Bool(_) | Value::Text(_)) | Err(_) => 0,
    };
    let doing = match function {
        "pg_terminate_backend" => Deed::Terminate(process),
        "pg_cancel_backend" => Deed::Cancel(process),
        "pg_wal_replay_pause" | "pg_wal_replay_resume" if !facts.standby => {
            return Err(SqlError::new("55000", "recovery is not in progress"));
        }
        "pg_reload_conf" => Deed::Reload,
        "pg_wal_replay_pause" => Deed::Replay(Replay::Paused),
        "pg_wal_replay_resume" => Deed::Replay(Replay::Running),
        "pg_notify" if facts.standby => {
            return Err(SqlError::new("25006", "cannot execute NOTIFY during recovery"));
        }
        "pg_notify" => {
            let payload = arguments.get(1).map(ToString::to_string).unwrap_or_default();
            facts.notes.borrow_mut().push((first.to_string(), payload));
            return Ok(Value::Text(String::new()));
        }
        _ => {
            let what = format!("function {function}() does not exist");
            return Err(SqlError::new("42883", what));
        }
    };
    facts.deeds.borrow_mut().push(doing);
    let answers = matches!(doing, Deed::Terminate(_) | Deed::Cancel(_) | Deed::Reload);
    Ok(if answers { Value::Bool(true) } else { Value::Text(String::new()) })
}

/// The type of an expression over the given columns.
pub(super) fn type_of(expr: &Expr, columns: &[Column], params: &[Type]) -> Type {
    match expr {
        Expr::Literal(_, ty) | Expr::Cast(_, ty) => *ty,
        Expr::Param(number) => {
            let ty = number.checked_sub(1).and_then(|at| params.get(at));
            ty.copied().unwrap_or(Type::Text)
        }
        Expr::Column(name) => {
            columns.iter().find(|column| column.name == *name).map_or(Type::Text, |c| c.ty)
        }
        Expr::Not(_) | Expr::IsNull(_) => Type::Bool,
        Expr::Binary(op, left, right) => match op {
            Op::Concat => Type::Text,
            Op::Add | Op::Subtract | Op::Multiply | Op::Divide | Op::Modulo => {
                let types = [type_of(left, columns, params), type_of(right, columns, params)];
                if types.contains(&Type::Int8) { Type::Int8 } else { Type::Int4 }
            }
            Op::Or
            | Op::And
            | Op::Equal
            | Op::Unequal
            | Op::Less
            | Op::LessEqual
            | Op::Greater
            | Op::GreaterEqual => Type::Bool,
        },
        Expr::Call(function, arguments) => match function.as_str() {
            "min" | "max" | "coalesce" => {
                arguments.first().map_or(Type::Text, |one| type_of(one, columns, params))
            }
            name => BUILTINS.iter().find(|(known, _)| *known == name).map_or(Type::Text, |b| b.1),
        },
    }
}

/// Tells whether the server has a function of this name.
pub(super) fn is_builtin(name: &str) -> bool {
    BUILTINS.iter().any(|(known, _)| *known == name)
}

/// The functions that the server has, and the types of what they give.
const BUILTINS: [(&str, Type); 56] = [
    ("char_length", Type::Int4),
    ("clock_timestamp", Type::Text),
    ("coalesce", Type::Text),
    ("count", Type::Int8),
    ("current_database", Type::Text),
    ("current_schema", Type::Text),
    ("current_setting", Type::Text),
    ("current_timestamp", Type::Text),
    ("current_user", Type::Text),
    ("generate_series", Type::Int4),
    ("inet_server_port", Type::Int4),
    ("length", Type::Int4),
    ("lower", Type::Text),
    ("max", Type::Text),
    ("md5", Type::Text),
    ("min", Type::Text),
    ("nextval", Type::Int8),
    ("now", Type::Text),
    ("pg_advisory_lock", Type::Void),
    ("pg_advisory_lock_shared", Type::Void),
    ("pg_advisory_unlock", Type::Bool),
    ("pg_advisory_unlock_all", Type::Void),
    ("pg_advisory_unlock_shared", Type::Bool),
    ("pg_advisory_xact_lock", Type::Void),
    ("pg_advisory_xact_lock_shared", Type::Void),
    ("pg_backend_pid", Type::Int4),
    ("pg_cancel_backend", Type::Bool),
    ("pg_current_wal_lsn", Type::Text),
    ("pg_is_in_recovery", Type::Bool),
    ("pg_last_wal_receive_lsn", Type::Text),
    ("pg_last_wal_replay_lsn", Type::Text),
    ("pg_notify", Type::Void),
    ("pg_promote", Type::Bool),
    ("pg_reload_conf", Type::Bool),
    ("pg_sleep", Type::Void),
    ("pg_terminate_backend", Type::Bool),
    ("pg_try_advisory_lock", Type::Bool),
    ("pg_try_advisory_lock_shared", Type::Bool),
    ("pg_try_advisory_xact_lock", Type::Bool),
    ("pg_try_advisory_xact_lock_shared", Type::Bool),
    ("pg_wal_replay_pause", Type::Void),
    ("pg_wal_replay_resume", Type::Void),
    ("pgpool_recovery", Type::Bool),
    ("pgpool_remote_start", Type::Bool),
    ("repeat", Type::Text),
    ("session_user", Type::Text),
    ("set_config", Type::Text),
    ("setval", Type::Int8),
    ("sum", Type::Int8),
    ("txid_current", Type::Int8),
    ("upper", Type::Text),
    ("user", Type::Text),
    ("version", Type::Text),
    ("timeofday", Type::Text),
    ("statement_timestamp", Type::Text),
    ("transaction_timestamp", Type::Text),
];
