//! The list of tests beside this file names tests that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_test_of_this_crate_in_the_list_exists_and_every_row_has_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests"), &mut files);
    let known: BTreeSet<String> = files
        .iter()
        .flat_map(|path| {
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            // What stands in `vendor/mod.rs` is listed as `vendor`.
            let folder = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
            let stem = if stem == "mod" { folder } else { stem };
            let text = fs::read_to_string(path).unwrap();
            let names: Vec<_> = text
                .lines()
                .filter_map(|line| line.trim().strip_prefix("fn "))
                .filter_map(|rest| rest.split_once('('))
                .map(|(name, _)| format!("{stem}::{name}"))
                .collect();
            names
        })
        .collect();
    let list = fs::read_to_string(root.join("tests/README.md")).unwrap();
    let mut checked = 0;
    for name in list.split('`').skip(1).step_by(2).filter(|name| name.contains("::") && !name.contains('/')) {
        assert!(name == "file::name" || known.contains(name), "{name} is listed and does not exist");
        checked += 1;
    }
    assert!(checked > 80, "{checked}");
    let rows = list.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| #"));
    rows.for_each(|row| assert!(row.contains("::") || row.contains("src/lib.rs"), "{row} names no test"));
}
