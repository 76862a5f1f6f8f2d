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
