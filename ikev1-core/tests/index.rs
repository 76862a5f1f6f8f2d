//! The table of known flaws names tests that are there.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_test_that_the_table_of_flaws_names_exists_in_the_file_it_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests"), &mut files);
    let table = fs::read_to_string(root.join("tests/HOSTILE.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let named: Vec<&str> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 100, "{} tests", named.len());
    for name in named {
        let (file, test) = name.rsplit_once("::").unwrap_or_else(|| panic!("{name} names no file"));
        let file = format!("{}.rs", file.rsplit("::").next().unwrap());
        let definition = format!("fn {test}(");
        let is_there = |path: &PathBuf| {
            path.file_name().is_some_and(|name| *name == *file)
                && fs::read_to_string(path).unwrap().contains(&definition)
        };
        assert!(files.iter().any(is_there), "{name}");
    }
}
