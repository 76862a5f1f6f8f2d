//! What is counted, and how routers show it.

use crate::data_plane::EncapsulateError;
use crate::drops::{DropCounters, DropReason};

/// What a session counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounters {
    /// Frames received.
    pub received_packets: u64,
    /// Octets of frames received.
    pub received_octets: u64,
    /// Frames sent.
    pub sent_packets: u64,
    /// Octets of frames sent.
    pub sent_octets: u64,
    /// Packets with a wrong cookie.
    pub cookie_mismatches: u64,
    /// Packets with an old sequence number: out of order, or repeated.
    pub old_sequences: u64,
    /// Packets without the number they should have.
    pub missing_sequences: u64,
    /// Packets too short for a frame.
    pub runts: u64,
    /// Frames without a tag on a VLAN pseudowire.
    pub untagged: u64,
    /// Packets from another address or port than the peer's.
    pub wrong_paths: u64,
    /// How often the numbers of a run of old packets were believed.
    pub resynchronisations: u64,
    /// Frames that could not be sent: too short, or without room for the header.
    pub sent_errors: u64,
    /// Frames thrown away because the peer's circuit is down.
    pub sent_discards: u64,
}

impl SessionCounters {
    pub(crate) fn count_drop(&mut self, reason: DropReason) {
        let counter = if reason == DropReason::CookieMismatch {
            &mut self.cookie_mismatches
        } else if reason == DropReason::OldSequence {
            &mut self.old_sequences
        } else if reason == DropReason::MissingSequence {
            &mut self.missing_sequences
        } else if reason == DropReason::Untagged {
            &mut self.untagged
        } else if reason == DropReason::WrongPath {
            &mut self.wrong_paths
        } else {
            &mut self.runts
        };
        *counter += 1;
    }

    pub(crate) const fn count_unsent(&mut self, error: EncapsulateError) {
        match error {
            EncapsulateError::CircuitDown => self.sent_discards += 1,
            EncapsulateError::UnknownSession | EncapsulateError::BadFrame | EncapsulateError::BufferTooSmall { .. } => {
                self.sent_errors += 1
            }
        }
    }

    /// Returns the ten counters that a SEIL shows of an interface.
    pub const fn interface(&self) -> InterfaceCounters {
        InterfaceCounters {
            ipkts: self.received_packets,
            ierrs: self.runts,
            opkts: self.sent_packets,
            oerrs: self.sent_errors,
            colls: 0,
            in_octets: self.received_octets,
            out_octets: self.sent_octets,
            in_drops: self.cookie_mismatches + self.old_sequences + self.missing_sequences + self.wrong_paths,
            out_discards: self.sent_discards,
            in_unknown_protos: self.untagged,
        }
    }
}

/// The counters of an interface, by the names a SEIL gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// `Ipkts`: packets received.
    pub ipkts: u64,
    /// `Ierrs`: packets received that were taken as errors.
    pub ierrs: u64,
    /// `Opkts`: packets sent.
    pub opkts: u64,
    /// `Oerrs`: packets to send that were taken as errors.
    pub oerrs: u64,
    /// `Colls`: collisions; a pseudowire has none.
    pub colls: u64,
    /// `InOctets`: octets received.
    pub in_octets: u64,
    /// `OutOctets`: octets sent.
    pub out_octets: u64,
    /// `InDrops`: packets received and dropped.
    pub in_drops: u64,
    /// `OutDiscards`: packets to send that were thrown away.
    pub out_discards: u64,
    /// `InUnknownProtos`: packets received of an unknown protocol.
    pub in_unknown_protos: u64,
}

/// What an endpoint counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointCounters {
    /// Datagrams dropped, by reason.
    pub drops: DropCounters,
    /// Control messages taken in, acknowledgements included.
    pub received_messages: u64,
    /// Control messages sent, retransmissions and acknowledgements included.
    pub sent_messages: u64,
    /// Control messages received again.
    pub duplicates: u64,
    /// Control messages sent again, over all connections there were.
    pub retransmissions: u64,
    /// Messages held back because the peer had not proven its address.
    pub withheld: u64,
    /// AVPs passed over.
    pub ignored_avps: u64,
    /// Control connections that came up.
    pub connections_up: u64,
    /// Control connections that ended.
    pub connections_down: u64,
    /// Sessions that came up.
    pub sessions_up: u64,
    /// Sessions that ended.
    pub sessions_down: u64,
}
