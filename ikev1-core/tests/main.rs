//! The tests of the endpoint, one program: what they share is compiled and linked once.

mod aggressive;
mod attributes;
mod base;
mod bundle_loss;
mod bundles;
mod certificate_requests;
mod commit_bit;
mod commit_initiator;
mod common;
mod fragments;
mod grid;
mod handshake;
mod heartbeats;
mod hostile;
mod hybrid;
mod index;
mod initial_contact;
mod known_answers;
mod landing;
mod late_vendor_ids;
mod limits;
mod loss;
mod many_quick_modes;
mod mode_config;
mod mode_config_hostile;
mod nat;
mod nat_oa;
mod nat_versions;
mod negative;
mod negotiation;
mod offers;
mod peers;
mod pfs_identities;
mod recorded;
mod refused_by_name;
mod rekey_race;
mod replay;
mod retry;
mod rsa_aggressive;
mod rsa_base;
mod rsa_loss;
mod rsa_main;
mod scripted;
mod signatures;
mod states;
mod support;
mod transport;
mod under_right_keys;
mod vendor_ids;
mod xauth;
mod xauth_hostile;
mod xauth_loss;

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
