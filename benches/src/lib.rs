//! Anchors and cases that the benchmarks share.
//!
//! A claim of speed is one line of `cargo run --release -p benches --bin ratios -- NAME`:
//! [`measure`] runs ours and its anchor interleaved in one process and prints their ratio.

pub mod esp;
pub mod handshake;
pub mod l2tp;
pub mod measure;
pub mod sad;
pub mod spd;
pub mod wire;
