//! Bodies of the fuzz targets, as ordinary functions.
//!
//! Each takes arbitrary octets and panics when a promise is broken. [`TARGETS`] names them all;
//! `cargo test` runs each over its committed seeds, `cargo fuzz run NAME` over everything else.
#![forbid(unsafe_code)]

pub mod data;
pub mod l2tp;
pub mod list;
pub mod negotiate;
pub mod wire;

/// The body of a target.
pub type Target = fn(&[u8]);

/// Every target by the name of its binary and of its folder of seeds.
pub const TARGETS: &[(&str, Target)] = &[
    ("wire_header", wire::header),
    ("wire_message", wire::message),
    ("wire_decrypted", wire::decrypted),
    ("wire_describe", wire::describe),
    ("wire_structured", wire::structured),
    ("wire_broken", wire::broken),
    ("wire_ip", wire::ip),
    ("payload_sa", wire::payload_sa),
    ("payload_key_exchange", wire::payload_key_exchange),
    ("payload_identification", wire::payload_identification),
    ("payload_certificate", wire::payload_certificate),
    ("payload_certificate_request", wire::payload_certificate_request),
    ("payload_hash", wire::payload_hash),
    ("payload_signature", wire::payload_signature),
    ("payload_nonce", wire::payload_nonce),
    ("payload_notification", wire::payload_notification),
    ("payload_delete", wire::payload_delete),
    ("payload_vendor_id", wire::payload_vendor_id),
    ("payload_attributes", wire::payload_attributes),
    ("payload_nat_d", wire::payload_nat_d),
    ("payload_nat_oa", wire::payload_nat_oa),
    ("payload_fragment", wire::payload_fragment),
    ("payload_group_key", wire::payload_group_key),
    ("negotiate_phase1", negotiate::phase1),
    ("negotiate_phase2", negotiate::phase2),
    ("public_value", negotiate::public_value),
    ("certificate", negotiate::certificate),
    ("l2tp_message", l2tp::message),
    ("l2tp_avps", l2tp::avps),
    ("l2tp_hidden", l2tp::hidden),
    ("l2tp_data", l2tp::data),
    ("l2tp_machine", l2tp::machine),
    ("esp_packet", data::esp_packet),
    ("esp_batch", data::esp_batch),
    ("esp_text", data::esp_text),
    ("ah_packet", data::ah_packet),
    ("ipcomp", data::ipcomp),
    ("modes", data::modes),
    ("policies", data::policies),
    ("policy_changes", list::policy_changes),
    ("gateway_packet", data::gateway_packet),
];
