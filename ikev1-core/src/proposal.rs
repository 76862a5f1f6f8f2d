//! What the peers negotiate: suites of phase 1 and phase 2, to and from the transforms of SA payloads.

mod algorithms;
mod attributes;
mod bundle;
mod bundle_text;
mod ipsec;
mod lifetime;
mod phase1;
mod term;

pub use algorithms::{AesKey, Compression, EspCipher, Icv, Integrity};
pub use attributes::AttributeError;
pub use bundle::Bundle;
pub use bundle_text::{BundleTextError, MAX_BUNDLE_CANDIDATES, MAX_BUNDLE_TEXT};
pub use ipsec::{IpsecTransform, Mode, OfferedIpsec, Protection, UdpEncapsulation};
pub use lifetime::{Lifetime, LifetimeRule};
pub use phase1::{AuthenticationMethod, OfferedPhase1, Phase1Transform};
pub use term::{Mismatch, Term};
