//! Crates whose test files are one program leave none of them out.

use std::fs;
use std::path::{Path, PathBuf};

/// The names of what is in a folder.
fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_test_file_that_is_not_found_by_itself_is_named_in_the_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let is_one_program = |member: &PathBuf| {
        fs::read_to_string(member.join("Cargo.toml")).is_ok_and(|manifest| manifest.contains("autotests = false"))
    };
    let members: Vec<_> = names(&root).into_iter().map(|name| root.join(name)).filter(is_one_program).collect();
    assert!(!members.is_empty());
    for tests in members.iter().map(|member| member.join("tests")) {
        let program = fs::read_to_string(tests.join("main.rs")).unwrap();
        let names = names(&tests);
        let files: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(".rs")).collect();
        assert!(files.len() > 1, "{}", tests.display());
        for file in files.into_iter().filter(|file| *file != "main") {
            assert!(program.lines().any(|line| line == format!("mod {file};")), "{}: {file}", tests.display());
        }
    }
}
