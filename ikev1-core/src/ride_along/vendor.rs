use crate::config::ModeConfig;
use crate::fragment::Fragmentation;
use crate::plan::{ConnectionPlan, DpdMode, Phase1Mode};
use ipsec_wire::isakmp::payload::VendorId;
use ipsec_wire::isakmp::vendor::ours;
use ipsec_wire::isakmp::{ChainBuilder, Payloads};
use ipsec_wire::registry::PayloadType;
use nat_t::Version;

/// The vendor id of dead peer detection: 14 octets that name it, then major and minor version, RFC 3706 §5.1.
const DPD: [u8; 16] = *b"\xaf\xca\xd7\x13\x68\xa1\xf1\xc9\x6b\x86\x96\xfc\x77\x57\x01\x00";
/// The vendor id of XAUTH: the first octets of MD5 of `draft-ietf-ipsra-isakmp-xauth-06.txt`.
const XAUTH: [u8; 8] = *b"\x09\x00\x26\x89\xdf\xd6\xb7\x12";
/// The vendor id of Cisco Unity: 14 octets that name it, then major and minor version.
const UNITY: [u8; 16] = *b"\x12\xf5\xf2\x8c\x45\x71\x68\xa9\x70\x2d\x9f\xe2\x74\xcc\x01\x00";
/// The octets of either that are compared: a later minor version is the same to us.
const NAME: usize = 14;

/// What the peer's vendor ids say it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// It answers R-U-THERE.
    pub(crate) dpd: bool,
    /// The version of NAT traversal in common.
    pub(crate) nat_t: Option<Version>,
    /// It speaks the attributes of Cisco's Unity clients.
    pub(crate) unity: bool,
    /// It joins messages from parts.
    pub(crate) fragmentation: bool,
}

/// Adds the vendor ids of message 1: all that this end knows.
pub(crate) fn contribute_offer(connection: &ConnectionPlan, mode: Phase1Mode, chain: &mut ChainBuilder) {
    if connection.dpd != DpdMode::Off {
        chain.push(&VendorId { data: DPD });
    }
    contribute_user(connection, true, chain);
    if connection.fragmentation != Fragmentation::Off {
        chain.push(&VendorId { data: fragmentation_id(mode) });
    }
    for version in connection.nat_t.offers() {
        chain.push(&VendorId { data: version.vendor_id() });
    }
}

/// Adds the vendor ids of message 2: of NAT traversal only the version chosen, RFC 3947 §3.1.
pub(crate) fn contribute_answer(
    connection: &ConnectionPlan,
    mode: Phase1Mode,
    chosen: Capabilities,
    chain: &mut ChainBuilder,
) {
    if connection.dpd != DpdMode::Off {
        chain.push(&VendorId { data: DPD });
    }
    contribute_user(connection, chosen.unity, chain);
    if chosen.fragmentation || connection.fragmentation == Fragmentation::Force {
        chain.push(&VendorId { data: fragmentation_id(mode) });
    }
    if let Some(version) = chosen.nat_t {
        chain.push(&VendorId { data: version.vendor_id() });
    }
}

/// Adds to message 4 what a responder says to a peer that told only in message 3 what it knows: that this end takes
/// parts.
pub(crate) fn contribute_late(
    connection: &ConnectionPlan,
    mode: Phase1Mode,
    (said, known): (Capabilities, Capabilities),
    chain: &mut ChainBuilder,
) {
    if known.fragmentation && !said.fragmentation && connection.fragmentation != Fragmentation::Force {
        chain.push(&VendorId { data: fragmentation_id(mode) });
    }
}

/// Adds the vendor ids of phase 1.5, where it follows; that of Unity to a peer that knows it, or may.
fn contribute_user(connection: &ConnectionPlan, unity: bool, chain: &mut ChainBuilder) {
    if connection.xauth.is_some() {
        chain.push(&VendorId { data: XAUTH });
    }
    if unity && speaks_unity(connection) {
        chain.push(&VendorId { data: UNITY });
    }
}

/// Returns whether a connection has attributes of Unity to give or to ask for.
const fn speaks_unity(connection: &ConnectionPlan) -> bool {
    match &connection.mode_config {
        Some(ModeConfig::Client(client)) => client.unity,
        Some(ModeConfig::Server(_)) => true,
        None => false,
    }
}

/// Reads the vendor ids of message 1.
pub(crate) fn absorb_offer(connection: &ConnectionPlan, mode: Phase1Mode, payloads: &Payloads<'_>) -> Capabilities {
    let nat_t = connection.nat_t.choose_as_responder(versions(payloads));
    Capabilities { nat_t, ..absorb(connection, mode, payloads) }
}

/// Reads the vendor ids of message 2.
pub(crate) fn absorb_answer(connection: &ConnectionPlan, mode: Phase1Mode, payloads: &Payloads<'_>) -> Capabilities {
    let nat_t = connection.nat_t.choose_as_initiator(versions(payloads));
    Capabilities { nat_t, ..absorb(connection, mode, payloads) }
}

/// Reads the vendor ids of the messages that follow: some peers say only there what else they know. The version
/// of NAT traversal stays as it was chosen.
pub(crate) fn absorb_later(
    connection: &ConnectionPlan,
    mode: Phase1Mode,
    payloads: &Payloads<'_>,
    known: Capabilities,
) -> Capabilities {
    let said = absorb(connection, mode, payloads);
    Capabilities {
        dpd: known.dpd || said.dpd,
        nat_t: known.nat_t,
        unity: known.unity || said.unity,
        fragmentation: known.fragmentation || said.fragmentation,
    }
}

/// Reads what stands in either message alike.
fn absorb(connection: &ConnectionPlan, mode: Phase1Mode, payloads: &Payloads<'_>) -> Capabilities {
    Capabilities {
        dpd: knows(payloads, &DPD),
        nat_t: None,
        unity: knows(payloads, &UNITY),
        fragmentation: connection.fragmentation != Fragmentation::Off && knows_fragments(mode, payloads),
    }
}

fn vendor_ids<'a>(payloads: &Payloads<'a>) -> impl Iterator<Item = &'a [u8]> {
    payloads.iter().filter(|payload| payload.payload_type() == PayloadType::VENDOR_ID).map(|payload| payload.body())
}

fn versions<'a>(payloads: &Payloads<'a>) -> impl Iterator<Item = Version> {
    vendor_ids(payloads).filter_map(Version::recognise)
}

fn knows(payloads: &Payloads<'_>, wanted: &[u8; 16]) -> bool {
    vendor_ids(payloads).any(|id| id.len() == wanted.len() && id.get(..NAME) == wanted.get(..NAME))
}

/// The octets of the id of fragmentation that are compared; a word of capabilities may follow.
const FRAGMENTATION_NAME: usize = 16;
/// The bit of that word that stands for main and aggressive mode.
const FRAGMENTATION_MAIN: u8 = 0x80;
/// The bit of that word that stands for base mode.
const FRAGMENTATION_BASE: u8 = 0x40;

/// Returns the id of fragmentation: in base mode its word names that mode too.
const fn fragmentation_id(mode: Phase1Mode) -> [u8; 20] {
    let mut id = ours::FRAGMENTATION;
    if matches!(mode, Phase1Mode::Base) {
        let [.., first, _, _, _] = &mut id;
        *first |= FRAGMENTATION_BASE;
    }
    id
}

/// Returns whether the peer takes parts: without a word of capabilities it does, as Windows does, but not in
/// base mode, which Windows does not have; with one, if the word says so.
fn knows_fragments(mode: Phase1Mode, payloads: &Payloads<'_>) -> bool {
    let (bit, without_word) = match mode {
        Phase1Mode::Main | Phase1Mode::Aggressive => (FRAGMENTATION_MAIN, true),
        Phase1Mode::Base => (FRAGMENTATION_BASE, false),
    };
    vendor_ids(payloads).any(|id| {
        id.get(..FRAGMENTATION_NAME) == ours::FRAGMENTATION.get(..FRAGMENTATION_NAME)
            && if id.len() == ours::FRAGMENTATION.len() {
                id.get(FRAGMENTATION_NAME).is_some_and(|word| word & bit != 0)
            } else {
                without_word
            }
    })
}
