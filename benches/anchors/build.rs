//! Compiles the C side and links OpenSSL, ipsec-mb and rte_acl (Debian: libssl-dev, libipsec-mb-dev, libdpdk-dev).

fn main() {
    for file in ["shim.c", "acl.c"] {
        println!("cargo:rerun-if-changed={file}");
    }
    let dpdk = pkg_config::Config::new().cargo_metadata(false).probe("libdpdk").expect("libdpdk-dev is installed");
    cc::Build::new().file("shim.c").opt_level(3).flag("-march=x86-64-v2").compile("anchors_shim");
    // DPDK's headers say what they need of the processor; the library itself chooses at run time.
    let mut acl = cc::Build::new();
    acl.includes(dpdk.include_paths).flag("-include").flag("rte_config.h");
    acl.file("acl.c").opt_level(3).flag("-march=x86-64-v2").compile("anchors_acl");
    for library in ["IPSec_MB", "crypto", "rte_acl", "rte_eal"] {
        println!("cargo:rustc-link-lib={library}");
    }
}
