//! A command line in the manner of GNU's `getopt_long`, which Pgpool-II's programs read theirs by:
//! options and operands in any order, short ones in one word, long ones cut short.
//!
//! The messages are those of glibc, to the letter.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// An option that a program knows: its letter, its name, and whether an argument follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    letter: char,
    name: &'static str,
    takes_argument: bool,
    spelling: Spelling,
}

/// How an option may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    /// By its letter and by its name.
    Either,
    /// By its name alone: the letter is only what it is told by.
    Name,
}

/// An option without an argument.
pub(super) const fn flag(letter: char, name: &'static str) -> Known {
    Known { letter, name, takes_argument: false, spelling: Spelling::Either }
}

/// An option with an argument.
pub(super) const fn valued(letter: char, name: &'static str) -> Known {
    Known { letter, name, takes_argument: true, spelling: Spelling::Either }
}

impl Known {
    /// The same by its name alone.
    pub(super) const fn by_name(self) -> Self {
        Self { spelling: Spelling::Name, ..self }
    }

    /// Its letter.
    pub(super) const fn letter(&self) -> char {
        self.letter
    }

    /// Its name.
    pub(super) const fn name(&self) -> &'static str {
        self.name
    }
}

/// A command line that has been read as far as it can be understood.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// The options by their letters, in order.
    pub(super) options: Vec<(char, OsString)>,
    /// Everything else. Empty if there is a fault.
    pub(super) operands: Vec<OsString>,
    /// What is not understood. What stands before it is in `options`.
    pub(super) fault: Option<Fault>,
}

/// Why a command line is not understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No option has this letter.
    Letter(char),
    /// The option with this letter is the last word, and takes an argument.
    LetterAlone(char),
    /// No option has this name, which is as it was written.
    Name(String),
    /// The option of this name is the last word, and takes an argument.
    NameAlone(&'static str),
    /// The option of this name takes no argument, and has one.
    Argument(&'static str),
    /// Several options begin like what was written.
    Ambiguous(String, Vec<&'static str>),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Letter(letter) => write!(f, "invalid option -- '{letter}'"),
            Self::LetterAlone(letter) => write!(f, "option requires an argument -- '{letter}'"),
            Self::Name(word) => write!(f, "unrecognized option '--{word}'"),
            Self::NameAlone(name) => write!(f, "option '--{name}' requires an argument"),
            Self::Argument(name) => write!(f, "option '--{name}' doesn't allow an argument"),
            Self::Ambiguous(word, names) => {
                write!(f, "option '--{word}' is ambiguous; possibilities:")?;
                names.iter().try_for_each(|name| write!(f, " '--{name}'"))
            }
        }
    }
}

impl Line {
    /// Reads the arguments of a program.
    pub(super) fn read(known: &[Known], args: &[OsString]) -> Self {
        let mut reader = Reader { known, line: Self::default(), rest: args.iter() };
        if let Err(fault) = reader.read() {
            reader.line.operands.clear();
            reader.line.fault = Some(fault);
        }
        reader.line
    }
}

struct Reader<'a> {
    known: &'a [Known],
    line: Line,
    rest: std::slice::Iter<'a, OsString>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), Fault> {
        while let Some(word) = self.rest.next() {
            match word.as_bytes() {
                b"--" => {
                    self.line.operands.extend(self.rest.by_ref().cloned());
                }
                [b'-', b'-', long @ ..] => self.long(long)?,
                [b'-', letters @ ..] if !letters.is_empty() => self.short(letters)?,
                _ => self.line.operands.push(word.clone()),
            }
        }
        Ok(())
    }

    fn short(&mut self, letters: &[u8]) -> Result<(), Fault> {
        let mut rest = letters;
        while let [letter, behind @ ..] = rest {
            let letter = char::from(*letter);
            let is_meant =
                |known: &&Known| known.letter == letter && known.spelling == Spelling::Either;
            let known = self.known.iter().find(is_meant);
            let known = known.ok_or(Fault::Letter(letter))?;
            let mut argument = OsString::new();
            rest = behind;
            if known.takes_argument {
                argument = if behind.is_empty() {
                    self.argument(Fault::LetterAlone(letter))?
                } else {
                    OsString::from_vec(behind.to_vec())
                };
                rest = &[];
            }
            self.line.options.push((letter, argument));
        }
        Ok(())
    }

    fn long(&mut self, text: &[u8]) -> Result<(), Fault> {
        let mut parts = text.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default();
        let given = parts.next().map(|value| OsString::from_vec(value.to_vec()));
        let known = self.named(&String::from_utf8_lossy(name), &String::from_utf8_lossy(text))?;
        let name = known.name;
        let argument = match (known.takes_argument, given) {
            (true, Some(argument)) => argument,
            (true, None) => self.argument(Fault::NameAlone(name))?,
            (false, Some(_)) => return Err(Fault::Argument(name)),
            (false, None) => OsString::new(),
        };
        self.line.options.push((known.letter, argument));
        Ok(())
    }

    /// Finds an option by its name, or by a beginning that no other has; `word` is all that was
    /// written.
    fn named(&self, name: &str, word: &str) -> Result<Known, Fault> {
        let named = self.known.iter().filter(|known| !known.name.is_empty());
        if let Some(known) = named.clone().find(|known| known.name == name) {
            return Ok(*known);
        }
        let found: Vec<&Known> = named.filter(|known| known.name.starts_with(name)).collect();
        match found.as_slice() {
            [] => Err(Fault::Name(word.to_owned())),
            [only] => Ok(**only),
            several => {
                let names = several.iter().map(|known| known.name).collect();
                Err(Fault::Ambiguous(word.to_owned(), names))
            }
        }
    }

    fn argument(&mut self, lack: Fault) -> Result<OsString, Fault> {
        self.rest.next().cloned().ok_or(lack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Known; 6] = [
        flag('h', "help"),
        flag('p', "prompt"),
        flag('P', "prompt-for-key"),
        valued('u', "username"),
        valued('f', "config-file"),
        flag('w', "whole").by_name(),
    ];

    /// A command line, what is understood of it, and what is not.
    type Case =
        (&'static str, &'static [(char, &'static str)], &'static [&'static str], &'static str);

    /// The messages were written by programs that use glibc 2.36.
    #[test]
    fn command_lines_are_read_as_glibc_reads_them() {
        let cases: &[Case] = &[
            ("", &[], &[], ""),
            ("a -h b", &[('h', "")], &["a", "b"], ""),
            ("-hpu bob x", &[('h', ""), ('p', ""), ('u', "bob")], &["x"], ""),
            ("-hubob", &[('h', ""), ('u', "bob")], &[], ""),
            ("-u -h", &[('u', "-h")], &[], ""),
            ("--username=bob --username al", &[('u', "bob"), ('u', "al")], &[], ""),
            ("--user=a=b --c f", &[('u', "a=b"), ('f', "f")], &[], ""),
            ("--prompt", &[('p', "")], &[], ""),
            ("--prompt-", &[('P', "")], &[], ""),
            ("-h -- -p --x", &[('h', "")], &["-p", "--x"], ""),
            ("- -h", &[('h', "")], &["-"], ""),
            ("a -h -z", &[('h', "")], &[], "invalid option -- 'z'"),
            ("-hz", &[('h', "")], &[], "invalid option -- 'z'"),
            ("-w", &[], &[], "invalid option -- 'w'"),
            ("--whole", &[('w', "")], &[], ""),
            ("-u", &[], &[], "option requires an argument -- 'u'"),
            ("--user", &[], &[], "option '--username' requires an argument"),
            ("--prompt-for-key=3", &[], &[], "option '--prompt-for-key' doesn't allow an argument"),
            ("--zz=1", &[], &[], "unrecognized option '--zz=1'"),
            (
                "--pro=1",
                &[],
                &[],
                "option '--pro=1' is ambiguous; possibilities: '--prompt' '--prompt-for-key'",
            ),
        ];
        for (args, options, operands, fault) in cases {
            let args: Vec<OsString> = args.split_whitespace().map(OsString::from).collect();
            let line = Line::read(&KNOWN, &args);
            let options: Vec<_> =
                options.iter().map(|(letter, text)| (*letter, OsString::from(text))).collect();
            assert_eq!(line.options, options, "{args:?}");
            assert_eq!(line.operands, *operands, "{args:?}");
            let found = line.fault.map(|fault| fault.to_string()).unwrap_or_default();
            assert_eq!(found, *fault, "{args:?}");
        }
    }
}
