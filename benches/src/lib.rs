//! Anchors and cases that the benchmarks share.
