//! Recovery by the scripts in the primary's data directory, which Pgpool-II's extension runs.

use bytes::Bytes;

use super::{Control, Stage};
use crate::auth::answer::Answer;
use crate::auth::passwd::Stored;
use crate::backend::dialogue::{Dialogue, Rows};
use crate::control::order::{Failed, What};
use crate::control::standing::Hold;
use crate::control::watch::introduce;
use crate::id::{BackendId, ConnId};
use crate::limits;
use crate::recovery::extension::{self, Caller, Offer};

impl Control {
    /// Begins a conversation as the user who recovers.
    pub(in crate::control) fn recovery_dialogue(&mut self, first: Bytes) -> Dialogue {
        let policy = &self.config.recovery;
        let at = self.recovery.as_ref().map_or(0, |recovery| recovery.database);
        let database = policy.databases.get(at).map_or("", String::as_str);
        let (user, password) = self.config.recoverer();
        let params = introduce(user, database, extension::APPLICATION_NAME);
        let stored = password.cloned().map(Stored::Plain);
        let answer = Answer::new(user, stored.as_ref(), &mut self.entropy);
        Dialogue::new(&params, answer, first)
    }

    /// Asks the primary what can be done there.
    pub(super) fn ask_primary(&mut self, primary: BackendId) -> Stage {
        let order = self.order(primary, What::Recover, [extension::QUERY], limits::ORDER_TIMEOUT);
        Stage::Asking(order)
    }

    /// An order that has to do with the recovery was carried out, or was not.
    pub(in crate::control) fn on_recovery_ordered(
        &mut self,
        conn: ConnId,
        ended: Result<Rows, Failed>,
    ) {
        let Some(recovery) = self.recovery.as_ref().filter(|r| r.stage.order() == Some(conn))
        else {
            return;
        };
        let (stage, primary) = (recovery.stage, recovery.primary.id);
        let next = match (stage, ended) {
            (Stage::Asking(_), Ok(rows)) => self.on_offered(&rows),
            (Stage::Copying(_), Ok(rows)) if said_yes(&rows) => self.start_node(),
            (Stage::Starting(_), Ok(rows)) if said_yes(&rows) => Ok(self.watch_node()),
            (Stage::Slotting(_) | Stage::Running(_) | Stage::Awaiting(_), _) => return,
            (Stage::Asking(_), Err(why)) => {
                Err(format!("node {primary} could not be asked what can be done: {why}"))
            }
            (Stage::Copying(_), Ok(_)) => {
                Err("pgpool_recovery says that recovery_1st_stage_command failed".to_owned())
            }
            (Stage::Copying(_), Err(Failed::Refused(why))) => {
                Err(format!("recovery_1st_stage_command failed: {why}"))
            }
            (Stage::Copying(_), Err(Failed::Unanswered(why))) => Err(format!(
                "nothing is known of recovery_1st_stage_command, which may still run on node \
                 {primary}: {why}"
            )),
            (Stage::Starting(_), Ok(_)) => {
                Err("pgpool_remote_start says that it failed".to_owned())
            }
            (Stage::Starting(_), Err(why)) => Err(format!("pgpool_remote_start failed: {why}")),
        };
        match next {
            Ok(stage) => self.go_on(stage),
            Err(why) => self.fail_recovery(&why),
        }
    }

    /// The primary has said what can be done. From here on the node's data may be touched.
    fn on_offered(&mut self, rows: &Rows) -> Result<Stage, String> {
        let Some(recovery) = &mut self.recovery else { return Err(String::new()) };
        let (node, primary) = (recovery.node.id, recovery.primary.id);
        let offer = Offer::read(rows).ok_or("its answer cannot be understood")?;
        let policy = &self.config.recovery;
        let script = policy.first_stage.clone();
        let can_copy = script.is_empty() || offer.arguments > 0;
        if !can_copy || !offer.can_start {
            if recovery.database + 1 < policy.databases.len() {
                recovery.database += 1;
                return Ok(self.ask_primary(primary));
            }
            return Err(format!(
                "node {primary} has no pgpool_recovery in {}: run CREATE EXTENSION pgpool_recovery \
                 there, or set recovery_database",
                policy.databases.join(" or ")
            ));
        }
        if offer.caller != Caller::Superuser {
            return Err("recovery_user is no superuser, which pgpool_recovery demands".to_owned());
        }
        if let Some(process) = offer.busy {
            return Err(format!(
                "a script of an earlier recovery still runs on node {primary}, for process \
                 {process}: wait for it, or end it there"
            ));
        }
        let sites = recovery.sites();
        if !self.is_out(node) {
            return Err(format!("node {node} is in service again"));
        }
        self.hold(node, Hold::Detached);
        if script.is_empty() {
            return self.start_node();
        }
        let call = sites.copy(&script, offer.arguments).ok_or("its names cannot be written")?;
        let within = self.config.recovery.command_timeout;
        let queries = [extension::NO_LIMIT, call.as_str()];
        Ok(Stage::Copying(self.order(primary, What::Recover, queries, within)))
    }

    /// Has the node's server started.
    fn start_node(&mut self) -> Result<Stage, String> {
        let Some(recovery) = &self.recovery else { return Err(String::new()) };
        let primary = recovery.primary.id;
        let call = recovery.sites().start().ok_or("its names cannot be written")?;
        let within = self.config.recovery.timeout;
        let queries = [extension::NO_LIMIT, call.as_str()];
        Ok(Stage::Starting(self.order(primary, What::Recover, queries, within)))
    }
}

/// Whether a function that says whether it succeeded says so.
fn said_yes(rows: &Rows) -> bool {
    rows.iter().flatten().any(|value| value == "t")
}
