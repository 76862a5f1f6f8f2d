//! Every target over its committed seeds.

use fuzz_targets::TARGETS;
use std::path::Path;

#[test]
fn every_target_holds_on_its_seeds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds");
    for (name, target) in TARGETS {
        let folder = seeds.join(name);
        let mut run = 0;
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            target(&std::fs::read(entry.unwrap().path()).unwrap());
            run += 1;
        }
        assert!(run > 0, "{name} has no seeds");
    }
}

#[test]
fn every_target_has_its_binary_and_every_binary_its_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz_targets");
    let mut binaries: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    binaries.sort();
    let mut names: Vec<_> = TARGETS.iter().map(|(name, _)| format!("{name}.rs")).collect();
    names.sort();
    assert_eq!(binaries, names);
}

#[test]
fn every_target_holds_on_nothing_and_on_very_little() {
    for (_, target) in TARGETS {
        for length in 0..40 {
            target(&vec![0; length]);
            target(&vec![0xff; length]);
        }
    }
}
