//! Statements about the transaction.

use super::{Outcome, Stop, done, in_block};
use crate::postgres::context::{Block, Context};
use crate::postgres::engine::Engine;
use crate::postgres::syntax::{Access, Statement};
use crate::postgres::value::SqlError;

fn no_savepoint(name: &str) -> SqlError {
    SqlError::new("3B001", format!("savepoint \"{name}\" does not exist"))
}

fn warn(context: &mut Context, code: &'static str, what: &str) {
    context.notices.push(("WARNING", code, what.to_owned()));
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other statement is carried out elsewhere"
)]
pub(super) fn transaction(
    statement: &Statement,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    match statement {
        Statement::Begin(access) => {
            standby_only_reads(*access, engine)?;
            if context.block == Block::Open {
                warn(context, "25001", "there is already a transaction in progress");
            } else {
                context.block = Block::Open;
            }
            context.access = access.unwrap_or(context.access);
            done("BEGIN")
        }
        Statement::Commit if context.block == Block::Failed => {
            context.roll_back(engine);
            done("ROLLBACK")
        }
        Statement::Commit => {
            if context.block != Block::Open {
                warn(context, "25P01", "there is no transaction in progress");
            }
            context.commit(engine);
            done("COMMIT")
        }
        Statement::Rollback => {
            if context.block == Block::Implicit {
                warn(context, "25P01", "there is no transaction in progress");
            }
            context.roll_back(engine);
            done("ROLLBACK")
        }
        Statement::Savepoint(name) => {
            in_block(context, "SAVEPOINT")?;
            context.save(name);
            done("SAVEPOINT")
        }
        Statement::RollbackTo(name) => {
            if context.block != Block::Failed {
                in_block(context, "ROLLBACK TO SAVEPOINT")?;
            }
            if !context.back_to(name) {
                return Err(Stop::Error(no_savepoint(name)));
            }
            context.block = Block::Open;
            done("ROLLBACK")
        }
        Statement::Release(name) => {
            in_block(context, "RELEASE SAVEPOINT")?;
            if !context.release(name) {
                return Err(Stop::Error(no_savepoint(name)));
            }
            done("RELEASE")
        }
        _ => Err(Stop::Error(SqlError::unsupported("the statement"))),
    }
}

/// A standby has no transactions that write.
pub(super) fn standby_only_reads(access: Option<Access>, engine: &Engine) -> Result<(), SqlError> {
    if access == Some(Access::ReadWrite) && engine.is_standby() {
        let what = "cannot set transaction read-write mode during recovery";
        return Err(SqlError::new("0A000", what));
    }
    Ok(())
}
