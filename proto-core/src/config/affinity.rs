//! On which cores threads run, as the operator has written it. Which cores there are, and which of
//! them the process may use, only its host can say.

use crate::limits;

/// `cpu_affinity`: on which cores the threads that serve clients run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CpuAffinity {
    /// Not said: as the runtime has it. An executor of glommio's has a core of its own, a thread of
    /// smol's runs wherever the system places it.
    #[default]
    Unset,
    /// `none`: wherever the system places them.
    None,
    /// `auto`: one core each, of all that the process may use.
    Auto,
    /// One core each, of these; each is below `limits::CORES_MAX` and named once, and there is one.
    Cores(Vec<usize>),
}

/// Why a text names no cores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadAffinity {
    /// An item is neither a number nor two with a dash between them.
    NoCore(String),
    /// A range ends before it begins.
    Backwards(String),
    /// A number is greater than that of any core.
    TooHigh(String),
    /// A core is named more than once.
    Twice(usize),
}

impl CpuAffinity {
    /// Reads `none`, `auto`, or a list such as `0-3,6`.
    pub(super) fn read(text: &str) -> Result<Self, BadAffinity> {
        match text.trim().to_ascii_lowercase().as_str() {
            "none" => Ok(Self::None),
            "auto" => Ok(Self::Auto),
            list => cores(list).map(Self::Cores),
        }
    }
}

fn cores(list: &str) -> Result<Vec<usize>, BadAffinity> {
    let mut cores = Vec::new();
    for item in list.split(',').map(str::trim) {
        let (first, last) = match item.split_once('-') {
            Some((first, last)) => (core(first, item)?, core(last, item)?),
            None => (core(item, item)?, core(item, item)?),
        };
        if last < first {
            return Err(BadAffinity::Backwards(item.to_owned()));
        }
        for core in first..=last {
            if cores.contains(&core) {
                return Err(BadAffinity::Twice(core));
            }
            cores.push(core);
        }
    }
    Ok(cores)
}

/// Reads the number of a core, which is a part of an item.
fn core(digits: &str, item: &str) -> Result<usize, BadAffinity> {
    let digits = digits.trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadAffinity::NoCore(item.to_owned()));
    }
    // What is no number now has too many digits.
    let core = digits.parse().ok().filter(|core| *core < limits::CORES_MAX);
    core.ok_or_else(|| BadAffinity::TooHigh(digits.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_lists_are_read() {
        let cores = |cores: &[usize]| CpuAffinity::Cores(cores.to_vec());
        let cases = [
            ("none", CpuAffinity::None),
            ("NONE", CpuAffinity::None),
            (" Auto ", CpuAffinity::Auto),
            ("0", cores(&[0])),
            ("6,2", cores(&[6, 2])),
            ("0-3,6", cores(&[0, 1, 2, 3, 6])),
            (" 0 - 1 , 5-5 ", cores(&[0, 1, 5])),
            ("1023", cores(&[1023])),
        ];
        for (text, expected) in cases {
            assert_eq!(CpuAffinity::read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_names_no_cores_is_a_mistake() {
        let cases = [
            ("", BadAffinity::NoCore(String::new())),
            ("all", BadAffinity::NoCore("all".into())),
            ("0,,1", BadAffinity::NoCore(String::new())),
            ("0,auto", BadAffinity::NoCore("auto".into())),
            ("-1", BadAffinity::NoCore("-1".into())),
            ("+1", BadAffinity::NoCore("+1".into())),
            ("0-", BadAffinity::NoCore("0-".into())),
            ("0-1-2", BadAffinity::NoCore("0-1-2".into())),
            ("0x1", BadAffinity::NoCore("0x1".into())),
            ("3-0", BadAffinity::Backwards("3-0".into())),
            ("1024", BadAffinity::TooHigh("1024".into())),
            ("0-99999999999999999999", BadAffinity::TooHigh("99999999999999999999".into())),
            ("0-3,2", BadAffinity::Twice(2)),
            ("7,7", BadAffinity::Twice(7)),
        ];
        for (text, expected) in cases {
            assert_eq!(CpuAffinity::read(text), Err(expected), "{text}");
        }
    }
}
