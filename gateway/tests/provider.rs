//! Somebody else does the cryptography of packets.

use crate::common::{Side, Sites, subnet};
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use esp_ah::suite::MAX_ICV_LEN;
use esp_ah::{Aead, CipherAlgorithm, IntegrityAlgorithm, Mac, Pieces, Provider, ProviderFailed, ProviderId, Ring};
use gateway::{Config, Outcome};
use hmac::{Hmac, KeyInit, Mac as _};
use ikev1_core::auth::PreSharedKey;
use ikev1_core::proposal::Bundle;
use ikev1_core::{ConnectionConfig, PolicyConfig};
use sha2::Sha512;
use std::net::IpAddr;
use std::sync::Arc;

/// Ring with a hash beside it, and how many keys they made.
#[derive(Debug, Default)]
struct Counted(AtomicU32);

impl Provider for Counted {
    fn id(&self) -> ProviderId {
        Ring::ID
    }

    fn aead(&self, cipher: CipherAlgorithm, key: &[u8], salt: &[u8]) -> Option<Box<dyn Aead>> {
        Ring.aead(cipher, key, salt).inspect(|_| {
            self.0.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn mac(&self, algorithm: IntegrityAlgorithm, key: &[u8]) -> Option<Box<dyn Mac>> {
        (algorithm == IntegrityAlgorithm::HmacSha512_256).then(|| {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::new(HmacSha512(Hmac::new_from_slice(key).unwrap())) as Box<dyn Mac>
        })
    }
}

struct HmacSha512(Hmac<Sha512>);

impl Mac for HmacSha512 {
    fn icv(&self, message: &mut Pieces<'_>) -> Result<[u8; MAX_ICV_LEN], ProviderFailed> {
        let mut mac = self.0.clone();
        message(&mut |piece| mac.update(piece));
        mac.finalize().into_bytes().first_chunk().copied().ok_or(ProviderFailed)
    }
}

fn config(side: Side, suites: &str) -> Config {
    let child = PolicyConfig::new("net")
        .local(subnet(side.lan))
        .remote(subnet(side.far_lan))
        .suites(Bundle::parse_alternatives(suites).unwrap());
    let connection = ConnectionConfig::new("office")
        .local(IpAddr::from(side.local))
        .peer(side.peer)
        .pre_shared_key(PreSharedKey::copied(side.key))
        .policy(child);
    Config::new(ikev1_core::Config::new().connection(connection))
}

/// Pings both ways between a gateway with a provider and one without, and returns how many keys the provider made.
fn keys_made(seed: u64, suites: &str) -> u32 {
    let provider = Arc::new(Counted::default());
    let left = config(Side::left(), suites).provider(Arc::clone(&provider) as Arc<dyn Provider>);
    let right = config(Side::right(), suites);
    let mut sites = Sites::new(seed, left.build().unwrap(), right.build().unwrap());
    sites.up();
    for number in 0..5 {
        assert_eq!(sites.ping(sites.left, number), Outcome::Sent);
        assert_eq!(sites.ping(sites.right, 100 + number), Outcome::Sent);
        sites.run(Duration::from_secs(1));
        assert_eq!((sites.replies(sites.left, number), sites.replies(sites.right, 100 + number)), (1, 1));
    }
    provider.0.load(Ordering::Relaxed)
}

#[test]
fn a_provider_makes_the_keys_of_its_suites_and_the_peer_does_not_notice() {
    assert_eq!(keys_made(1, "esp-aes128gcm16"), 2);
    assert_eq!(keys_made(2, "esp-aes256gcm16"), 2);
    assert_eq!(keys_made(5, "esp-aes256-sha512"), 2);
    assert_eq!(keys_made(6, "ah-sha512"), 2);
}

#[test]
fn suites_that_the_provider_does_not_make_work_all_the_same() {
    assert_eq!(keys_made(3, "esp-aes128gcm8"), 0);
    assert_eq!(keys_made(4, "esp-aes128-sha256"), 0);
}
