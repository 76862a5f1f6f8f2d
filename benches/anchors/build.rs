//! Compiles the C side and links OpenSSL and ipsec-mb (Debian: libssl-dev, libipsec-mb-dev).

fn main() {
    println!("cargo:rerun-if-changed=shim.c");
    cc::Build::new().file("shim.c").opt_level(3).flag("-march=x86-64-v2").compile("anchors_shim");
    println!("cargo:rustc-link-lib=IPSec_MB");
    println!("cargo:rustc-link-lib=crypto");
}
