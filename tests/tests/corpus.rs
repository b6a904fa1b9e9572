//! What is kept of fuzzing, and of real conversations: inputs that once mattered stay harmless.

#[path = "corpus/depth.rs"]
mod depth;
#[expect(unreachable_pub, reason = "the fuzz targets' library, which is a crate of its own too")]
#[path = "../../fuzz/src/lib.rs"]
mod fuzz;
#[allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its message tells which recording"
)]
#[path = "corpus/relay.rs"]
mod relay;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

fn fuzz_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// The files of a directory, in order of their names; none if there is no such directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the directory is readable").path()).collect();
    files.sort();
    files
}

/// Every input in `corpus/` and `regressions/` does what its target asks.
#[test]
fn every_kept_input_is_survived() {
    let mut failed = Vec::new();
    for (name, target) in fuzz::TARGETS {
        let corpus = files(&fuzz_directory().join("corpus").join(name));
        assert!((10..200).contains(&corpus.len()), "{name} has {} inputs", corpus.len());
        let regressions = files(&fuzz_directory().join("regressions").join(name));
        for file in corpus.iter().chain(&regressions) {
            let data = fs::read(file).unwrap();
            if catch_unwind(|| target(&data)).is_err() {
                failed.push(file.display().to_string());
            }
        }
    }
    assert!(failed.is_empty(), "{} inputs fail:\n{}", failed.len(), failed.join("\n"));
}

/// Every directory of inputs belongs to a target, and every target is one for fuzzing.
#[test]
fn inputs_and_targets_belong_together() {
    let names: Vec<&str> = fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
    for kind in ["corpus", "regressions"] {
        for directory in files(&fuzz_directory().join(kind)) {
            let name = directory.file_name().unwrap().to_str().unwrap();
            assert!(names.contains(&name), "{kind}/{name} belongs to no target");
        }
    }
    let mut programs: Vec<String> = files(&fuzz_directory().join("fuzz_targets"))
        .iter()
        .map(|file| file.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    programs.sort();
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    names.sort();
    assert_eq!(programs, names);
}
