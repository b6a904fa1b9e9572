//! Two transcripts side by side, for a person.

use std::fmt::Write as _;

use super::conversation::{Conversation, Given};
use super::transcript::{Heard, Transcript};

/// Shows what was said and what was heard, direct on the left and through pgherd on the right;
/// lines that differ are marked.
#[must_use]
pub fn side_by_side(
    conversation: &Conversation,
    direct: &Transcript,
    through: &Transcript,
) -> String {
    let mut text = String::new();
    for turn in 0..=conversation.units.len() {
        write_said(&mut text, conversation, turn);
        let heard = |of: &Transcript| of.turns.get(turn).cloned();
        write_heard(&mut text, heard(direct), heard(through));
    }
    let (one, other) = (direct.end, through.end);
    writeln!(text, "in the end: {one:?} direct, {other:?} through pgherd").expect(WRITES);
    text
}

/// Shows what was said alone.
#[must_use]
pub fn said(conversation: &Conversation) -> String {
    let mut text = String::new();
    for turn in 0..=conversation.units.len() {
        write_said(&mut text, conversation, turn);
    }
    text
}

fn write_said(text: &mut String, conversation: &Conversation, turn: usize) {
    let Some(unit) = turn.checked_sub(1).and_then(|at| conversation.units.get(at)) else {
        let login = &conversation.login;
        let (user, database) = (&login.user, &login.database);
        writeln!(text, "login: {user} to {database}, {:?}", login.params).expect(WRITES);
        return;
    };
    writeln!(text, "unit {turn}:").expect(WRITES);
    for part in &unit.parts {
        if part.given == Given::Invited {
            writeln!(text, "  (if invited)").expect(WRITES);
        }
        for saying in &part.sayings {
            writeln!(text, "  > {}", cut(&saying.to_string(), 2 * WIDTH)).expect(WRITES);
        }
    }
}

fn write_heard(text: &mut String, direct: Option<Vec<Heard>>, through: Option<Vec<Heard>>) {
    if direct.is_none() && through.is_none() {
        writeln!(text, "    (not said)").expect(WRITES);
    }
    let (direct, through) = (direct.unwrap_or_default(), through.unwrap_or_default());
    for at in 0..direct.len().max(through.len()) {
        let (one, other) = (direct.get(at), through.get(at));
        let shown = |heard: Option<&Heard>| heard.map(ToString::to_string).unwrap_or_default();
        let (mut left, mut right) = (shown(one), shown(other));
        let mark = if one == other { ' ' } else { '!' };
        if one != other && left == right {
            // What is read of a message is not all that is in it.
            let bytes = |heard: Option<&Heard>| heard.map(|h| h.body.escape_ascii().to_string());
            left = bytes(one).unwrap_or_default();
            right = bytes(other).unwrap_or_default();
        }
        let (left, right) = (cut(&left, WIDTH), cut(&right, WIDTH));
        writeln!(text, "  {mark} {left:WIDTH$} | {right}").expect(WRITES);
    }
}

/// Leaves out the middle of a long line.
fn cut(line: &str, width: usize) -> String {
    let chars: Vec<char> = line.chars().collect();
    if chars.len() <= width {
        return line.to_owned();
    }
    let half = width / 2 - 1;
    let text = |chars: &[char]| chars.iter().collect::<String>();
    format!("{}..{}", text(&chars[..half]), text(&chars[chars.len() - half..]))
}

/// The width of a column.
const WIDTH: usize = 90;

const WRITES: &str = "text can be written";
