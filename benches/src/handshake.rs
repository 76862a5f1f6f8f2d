//! `handshake`: one main mode and one quick mode between two endpoints, both roles, against the bare exponentiations.

use crate::measure::Report;
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use drive::Instant;
use ikev1_core::auth::PreSharedKey;
use ikev1_core::crypto::{CipherAlgorithm, DhGroup, HashAlgorithm};
use ikev1_core::proposal::{AuthenticationMethod, Lifetime, Phase1Transform};
use ikev1_core::{Action, Command, Config, ConnectionConfig, Endpoint, Peer, Plan, PolicyConfig, TrafficSelector};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::net::{IpAddr, Ipv4Addr};

/// The whole pair costs at most this much of its exponentiations.
const TARGET: f64 = 1.3;
/// Datagrams in one pair of exchanges: six of main mode, three of quick mode.
const MESSAGES: usize = 9;

const LEFT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const RIGHT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

/// The published parameters of the groups, as the known answers of `ikev1-core` have them.
const GROUPS: &str = include_str!("../../ikev1-core/tests/vectors/groups.json");

/// Prints a line for each group that routers use, and one with perfect forward secrecy.
///
/// # Panics
/// When the exchanges do not complete: then there is nothing to measure.
pub fn run(report: &mut Report) {
    let groups = [DhGroup::Modp1024, DhGroup::Modp1536, DhGroup::Modp2048, DhGroup::Modp3072, DhGroup::Modp4096];
    for group in groups {
        case(report, group, false);
    }
    case(report, DhGroup::Modp2048, true);
}

fn case(report: &mut Report, group: DhGroup, pfs: bool) {
    let name = format!("main and quick mode, {}{}", group.name(), if pfs { ", PFS" } else { "" });
    let bare = Exponentiations::new(group);
    let agreements = if pfs { 2 } else { 1 };
    assert_eq!(handshake(group, pfs), (MESSAGES, 4), "{name}");
    report.compare(&name, Some(TARGET), || handshake(group, pfs), || (0..agreements).for_each(|_| bare.agree()));
}

/// The four exponentiations of one Diffie-Hellman agreement, by crypto-bigint and with nothing around them.
struct Exponentiations {
    generator: BoxedMontyForm,
    public: BoxedMontyForm,
    private: BoxedUint,
    bits: u32,
}

impl Exponentiations {
    fn new(group: DhGroup) -> Self {
        let prime = Odd::new(BoxedUint::from_be_slice_vartime(&prime(group))).expect("a prime of the table is odd");
        let precision = prime.bits_precision();
        let params = BoxedMontyParams::new_vartime(prime);
        let bits = group.default_exponent_bits();
        let mut octets = vec![0u8; bits.div_ceil(8) as usize];
        ChaCha20Rng::seed_from_u64(1).fill_bytes(&mut octets);
        let private = BoxedUint::from_be_slice_truncated(&octets, bits.next_multiple_of(64));
        let generator = BoxedMontyForm::new(BoxedUint::from_be_slice_truncated(&[2], precision), &params);
        let public = generator.pow_bounded_exp(&private, bits);
        Self { generator, public, private, bits }
    }

    fn agree(&self) {
        for base in [&self.generator, &self.public, &self.generator, &self.public] {
            std::hint::black_box(base.pow_bounded_exp(&self.private, self.bits).retrieve());
        }
    }
}

fn prime(group: DhGroup) -> Vec<u8> {
    let groups: serde_json::Value = serde_json::from_str(GROUPS).expect("the table of groups is JSON");
    let group = groups["modp"].as_array().into_iter().flatten().find(|row| row["id"] == group.number().0);
    let prime = group.and_then(|row| row["p"].as_str()).expect("the table holds every group");
    hex::decode(prime).expect("the table is in hex")
}

/// Runs both exchanges between two fresh endpoints; returns the datagrams and the SAs they made.
fn handshake(group: DhGroup, pfs: bool) -> (usize, usize) {
    let now = Instant::ZERO;
    let left_plan = plan(LEFT, RIGHT, group, pfs);
    let connection = left_plan.connection_named("peer").expect("the plan has it");
    let mut ends = [
        (LEFT, Endpoint::new(left_plan, Box::new(ChaCha20Rng::seed_from_u64(1)))),
        (RIGHT, Endpoint::new(plan(RIGHT, LEFT, group, pfs), Box::new(ChaCha20Rng::seed_from_u64(2)))),
    ];
    ends[0].1.handle_command(now, Command::Initiate { connection }).expect("the command is lawful");
    let mut datagrams = 0;
    let mut installed = 0;
    loop {
        let mut quiet = true;
        for at in 0..2 {
            while let Some(action) = ends[at].1.poll_action() {
                match action {
                    Action::Transmit(transmit) => {
                        quiet = false;
                        datagrams += 1;
                        let _ = ends[1 - at].1.handle_datagram(now, transmit.as_received());
                    }
                    Action::InstallSa(_) => installed += 1,
                    _ => {}
                }
            }
        }
        if quiet {
            return (datagrams, installed);
        }
    }
}

fn plan(local: IpAddr, remote: IpAddr, group: DhGroup, pfs: bool) -> Plan {
    let transform = Phase1Transform {
        cipher: CipherAlgorithm::Aes128,
        hash: HashAlgorithm::Sha1,
        group,
        authentication: AuthenticationMethod::PreSharedKey,
        lifetime: Lifetime::default(),
    };
    let mut policy = PolicyConfig::new("net").local(TrafficSelector::host(local)).remote(TrafficSelector::host(remote));
    if pfs {
        policy = policy.pfs(group);
    }
    let connection = ConnectionConfig::new("peer")
        .peer(Peer::Address(remote))
        .local(local)
        .pre_shared_key(PreSharedKey::copied(b"a key for the benchmark"))
        .phase1(vec![transform])
        .dangerously_allow_weak_algorithms(true)
        .policy(policy);
    Config::new().connection(connection).build().expect("the plan is lawful")
}
