//! Signatures over links that lose, double, reorder and delay.

use crate::common::lossy;
use crate::common::signing::{credential, key};
use crate::common::{left, plan, right};
use core::time::Duration;
use drive::Instant;
use ikev1_core::auth::{Authentication, RemoteKey};
use ikev1_core::{ConnectionConfig, Failure, Phase1Mode, Plan};
use simnet::{Chance, Link};

/// An end whose plan holds the peer's key, so that nobody need be asked.
fn signing(config: ConnectionConfig, ours: &str, theirs: &str, mode: Phase1Mode) -> Plan {
    let (local, remote) = (credential(ours, &[]), RemoteKey::Key(key(theirs)));
    plan(config.authentication(Authentication::RsaSignature { local, remote }).mode(mode))
}

fn outcome(seed: u64, link: Link, mode: Phase1Mode) -> Result<Instant, Failure> {
    lossy::outcome(seed, link, signing(left(), "left", "right", mode), signing(right(), "right", "left", mode))
}

#[test]
fn twenty_percent_loss_both_ways_completes_or_fails_by_its_own_limits_in_both_modes() {
    let link = Link::lossy(Duration::from_millis(20), Chance::percent(20));
    for mode in [Phase1Mode::Main, Phase1Mode::Aggressive] {
        let mut completed = 0;
        for seed in 0..50 {
            match outcome(seed, link, mode) {
                Ok(_) => completed += 1,
                Err(failure) => assert!(
                    matches!(failure, Failure::Timeout { .. } | Failure::HalfOpenTimeout),
                    "{mode:?}, seed {seed}: {failure:?}"
                ),
            }
        }
        assert!(completed >= 46, "{mode:?}: {completed} of 50");
    }
}

#[test]
fn doubled_reordered_and_bursty_links_complete_in_both_modes() {
    for mode in [Phase1Mode::Main, Phase1Mode::Aggressive] {
        let link = Link::hostile(Duration::from_millis(30));
        let completed = (0..20).filter(|seed| outcome(*seed, link, mode).is_ok()).count();
        assert!(completed >= 17, "{mode:?}: {completed} of 20");
    }
}
