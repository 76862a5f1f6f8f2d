//! Differences that have a reason: faults of the oracle, and broken messages that must be refused
//! whole while the oracle shows what stands before the break.

/// Returns why a message differs.
pub fn reason(place: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(known, _)| place == *known).map(|(_, reason)| *reason)
}

const SAK: &str = "NAT-D under number 15 (draft 07) is well formed; tshark takes it for SA KEK and loses the chain";
const SYNTHETIC: &str = "made by hand: an SA payload without a proposal, which RFC 2408 §3.4 does not allow";
const BROKEN: &str = "broken on purpose: it must be refused";
const WRONG_KEY: &str = "the sides have different keys: tshark decrypts with the wrong one";
const MESSAGE_ID_0: &str = "the peer sent a phase 2 message with message id 0: its IV cannot be known";

const KNOWN: &[(&str, &str)] = &[
    ("main_quick_psk_cisco frame 3", SAK),
    ("main_quick_psk_cisco frame 4", SAK),
    (
        "main_quick_certs_openswan_keys frame 8",
        "a retransmission of frame 7: tshark chains its IV and decrypts garbage",
    ),
    ("mixed_v1_v2_synthetic frame 1", SYNTHETIC),
    ("mixed_v1_v2_synthetic frame 3", SYNTHETIC),
    ("delete_segfault frame 1", BROKEN),
    ("no_none_np frame 1", BROKEN),
    ("payload_bad_length frame 1", BROKEN),
    ("v1_attr_oobr frame 1", BROKEN),
    ("nat-vpnc frame 22", MESSAGE_ID_0),
    ("nat-vpnc frame 23", MESSAGE_ID_0),
    ("wrong-psk frame 6", WRONG_KEY),
    ("wrong-psk frame 7", WRONG_KEY),
    ("wrong-psk frame 8", WRONG_KEY),
];
