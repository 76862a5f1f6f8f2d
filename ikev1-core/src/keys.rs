//! Keys of a phase 1 and phase 2 exchange: SKEYID and its children, IVs, KEYMAT.

mod base;
mod iv;
mod keymat;
mod schedule;

pub use base::BaseProof;
pub use iv::{IvChain, NextIv};
pub use keymat::{Keymat, KeymatInput};
pub use schedule::{IsakmpKeys, Phase1Keys, Phase1Seed, Skeyid, SkeyidA, SkeyidD, SkeyidE, Transcript};
