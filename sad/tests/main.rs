//! The tests of the database, one program: what they share is compiled and linked once.

mod bundles;
mod common;
mod lifecycle;
mod memory;
mod operations;
mod packets;
mod provider;
mod sequence;
mod snapshot_text;
mod status;
mod suites;
mod two_step;
mod two_step_interleaved;

/// A file that is named nowhere here would never run.
#[test]
fn every_file_of_this_folder_is_part_of_the_program() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: Vec<_> = names.filter_map(|name| name.strip_suffix(".rs").map(str::to_owned)).collect();
    assert!(files.len() > 1);
    for file in files.iter().filter(|file| *file != "main") {
        assert!(include_str!("main.rs").contains(&format!("\nmod {file};\n")), "{file}");
    }
}
