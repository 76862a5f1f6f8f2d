//! The tests of the gateway, one program: what they share is compiled and linked once.

mod allocation;
mod batch;
mod built_in;
mod bundles;
mod common;
mod contest;
mod contract;
mod copies;
mod counters;
mod debug;
mod fail_closed;
mod fragments;
mod headers;
mod hostile;
mod icmp_errors;
mod linux;
mod old_nat;
mod path_mtu;
mod provider;
mod records;
mod rekey;
mod replay;
mod route_templates;
mod sessions;
mod shared_nat;
mod transport;
mod tunnel;
mod udp_tunnel;

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
