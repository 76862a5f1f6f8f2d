use super::open_number;

open_number! {
    /// The type of an AVP of the IETF (vendor 0).
    AttributeType(u16) {
        /// Message Type.
        MESSAGE_TYPE = 0, "Message Type";
        /// Result Code.
        RESULT_CODE = 1, "Result Code";
        /// Protocol Version of L2TPv2.
        PROTOCOL_VERSION = 2, "Protocol Version";
        /// Framing Capabilities of L2TPv2.
        FRAMING_CAPABILITIES = 3, "Framing Capabilities";
        /// Bearer Capabilities of L2TPv2.
        BEARER_CAPABILITIES = 4, "Bearer Capabilities";
        /// Control Connection Tie Breaker, Session Tie Breaker.
        TIE_BREAKER = 5, "Tie Breaker";
        /// Firmware Revision of L2TPv2.
        FIRMWARE_REVISION = 6, "Firmware Revision";
        /// Host Name.
        HOST_NAME = 7, "Host Name";
        /// Vendor Name.
        VENDOR_NAME = 8, "Vendor Name";
        /// Assigned Tunnel ID of L2TPv2.
        ASSIGNED_TUNNEL_ID = 9, "Assigned Tunnel ID";
        /// Receive Window Size.
        RECEIVE_WINDOW = 10, "Receive Window Size";
        /// Challenge of L2TPv2.
        CHALLENGE = 11, "Challenge";
        /// Challenge Response of L2TPv2.
        CHALLENGE_RESPONSE = 13, "Challenge Response";
        /// Serial Number.
        SERIAL_NUMBER = 15, "Serial Number";
        /// Physical Channel ID.
        PHYSICAL_CHANNEL = 25, "Physical Channel ID";
        /// Circuit Errors.
        CIRCUIT_ERRORS = 34, "Circuit Errors";
        /// Random Vector.
        RANDOM_VECTOR = 36, "Random Vector";
        /// Extended Vendor ID.
        EXTENDED_VENDOR = 58, "Extended Vendor ID";
        /// Message Digest.
        MESSAGE_DIGEST = 59, "Message Digest";
        /// Router ID.
        ROUTER_ID = 60, "Router ID";
        /// Assigned Control Connection ID.
        ASSIGNED_CONNECTION_ID = 61, "Assigned Control Connection ID";
        /// Pseudowire Capabilities List.
        PSEUDOWIRE_CAPABILITIES = 62, "Pseudowire Capabilities List";
        /// Local Session ID.
        LOCAL_SESSION_ID = 63, "Local Session ID";
        /// Remote Session ID.
        REMOTE_SESSION_ID = 64, "Remote Session ID";
        /// Assigned Cookie.
        ASSIGNED_COOKIE = 65, "Assigned Cookie";
        /// Remote End ID.
        REMOTE_END_ID = 66, "Remote End ID";
        /// Application Code.
        APPLICATION_CODE = 67, "Application Code";
        /// Pseudowire Type.
        PSEUDOWIRE_TYPE = 68, "Pseudowire Type";
        /// L2-Specific Sublayer.
        SUBLAYER = 69, "L2-Specific Sublayer";
        /// Data Sequencing.
        DATA_SEQUENCING = 70, "Data Sequencing";
        /// Circuit Status.
        CIRCUIT_STATUS = 71, "Circuit Status";
        /// Preferred Language.
        PREFERRED_LANGUAGE = 72, "Preferred Language";
        /// Control Message Authentication Nonce.
        NONCE = 73, "Control Message Authentication Nonce";
        /// Tx Connect Speed.
        TX_SPEED = 74, "Tx Connect Speed";
        /// Rx Connect Speed.
        RX_SPEED = 75, "Rx Connect Speed";
        /// Frame Relay Header Length, RFC 4591.
        FRAME_RELAY_HEADER = 85, "Frame Relay Header Length";
        /// Attachment Group Identifier, RFC 4667.
        ATTACHMENT_GROUP = 89, "Attachment Group Identifier";
        /// Local End ID, RFC 4667.
        LOCAL_END_ID = 90, "Local End ID";
        /// Interface MTU, RFC 4667.
        INTERFACE_MTU = 91, "Interface Maximum Transmission Unit";
        /// FCS Retention, RFC 4720.
        FCS_RETENTION = 92, "FCS Retention";
    }
}

impl AttributeType {
    /// Returns whether the H bit is allowed on the AVP, RFC 3931 §5.4.
    pub const fn may_be_hidden(self) -> bool {
        !matches!(
            self,
            Self::MESSAGE_TYPE
                | Self::RESULT_CODE
                | Self::TIE_BREAKER
                | Self::HOST_NAME
                | Self::RECEIVE_WINDOW
                | Self::RANDOM_VECTOR
                | Self::MESSAGE_DIGEST
                | Self::ROUTER_ID
                | Self::NONCE
        )
    }

    /// Returns whether the M bit is set by default when the AVP is sent, RFC 3931 §5.4.
    pub const fn is_mandatory(self) -> bool {
        !matches!(
            self,
            Self::VENDOR_NAME
                | Self::SERIAL_NUMBER
                | Self::PHYSICAL_CHANNEL
                | Self::CIRCUIT_ERRORS
                | Self::EXTENDED_VENDOR
                | Self::APPLICATION_CODE
                | Self::PREFERRED_LANGUAGE
                | Self::TX_SPEED
                | Self::RX_SPEED
                | Self::FRAME_RELAY_HEADER
                | Self::ATTACHMENT_GROUP
                | Self::LOCAL_END_ID
                | Self::INTERFACE_MTU
                | Self::FCS_RETENTION
        )
    }

    /// Returns whether the AVP is one of L2TPv2 that a message of version 3 may carry for automatic
    /// fallback and that is ignored then, whatever its M bit, RFC 3931 §4.7.3.
    pub const fn is_version_2_only(self) -> bool {
        matches!(
            self,
            Self::PROTOCOL_VERSION
                | Self::FRAMING_CAPABILITIES
                | Self::BEARER_CAPABILITIES
                | Self::FIRMWARE_REVISION
                | Self::ASSIGNED_TUNNEL_ID
                | Self::CHALLENGE
                | Self::CHALLENGE_RESPONSE
        )
    }
}

open_number! {
    /// The vendor of an AVP: an SMI private enterprise number, 0 for the IETF.
    VendorId(u32) {
        /// The IETF.
        IETF = 0, "IETF";
        /// Cisco Systems, whose draft AVPs older routers send.
        CISCO = 9, "Cisco";
    }
}

open_number! {
    /// The type of a draft AVP of Cisco (vendor 9); the values are those of the IETF's successors.
    CiscoAttribute(u16) {
        /// Assigned Control Connection ID.
        ASSIGNED_CONNECTION_ID = 1, "Assigned Connection ID";
        /// Pseudowire Capabilities List.
        PSEUDOWIRE_CAPABILITIES = 2, "PW Capabilities";
        /// Local Session ID.
        LOCAL_SESSION_ID = 3, "Local Session ID";
        /// Remote Session ID.
        REMOTE_SESSION_ID = 4, "Remote Session ID";
        /// Assigned Cookie.
        ASSIGNED_COOKIE = 5, "Assigned Cookie";
        /// Remote End ID.
        REMOTE_END_ID = 6, "Remote End ID";
        /// Pseudowire Type.
        PSEUDOWIRE_TYPE = 7, "PW Type";
        /// Circuit Status.
        CIRCUIT_STATUS = 8, "Circuit Status";
        /// Session Tie Breaker.
        TIE_BREAKER = 9, "Session Tie Breaker";
        /// Draft AVP Version.
        DRAFT_VERSION = 10, "Draft AVP Version";
        /// Message Digest of the drafts; its computation differs, so it is passed over.
        MESSAGE_DIGEST = 12, "Message Digest";
        /// Nonce of the drafts, passed over.
        NONCE = 13, "Nonce";
        /// Interface MTU.
        INTERFACE_MTU = 14, "Interface MTU";
    }
}

impl CiscoAttribute {
    /// Returns the IETF's AVP with the same meaning and value.
    pub const fn successor(self) -> Option<AttributeType> {
        Some(match self {
            Self::ASSIGNED_CONNECTION_ID => AttributeType::ASSIGNED_CONNECTION_ID,
            Self::PSEUDOWIRE_CAPABILITIES => AttributeType::PSEUDOWIRE_CAPABILITIES,
            Self::LOCAL_SESSION_ID => AttributeType::LOCAL_SESSION_ID,
            Self::REMOTE_SESSION_ID => AttributeType::REMOTE_SESSION_ID,
            Self::ASSIGNED_COOKIE => AttributeType::ASSIGNED_COOKIE,
            Self::REMOTE_END_ID => AttributeType::REMOTE_END_ID,
            Self::PSEUDOWIRE_TYPE => AttributeType::PSEUDOWIRE_TYPE,
            Self::CIRCUIT_STATUS => AttributeType::CIRCUIT_STATUS,
            Self::TIE_BREAKER => AttributeType::TIE_BREAKER,
            Self::INTERFACE_MTU => AttributeType::INTERFACE_MTU,
            _ => return None,
        })
    }

    /// Returns the draft AVP that means the same as one of the IETF's.
    pub const fn predecessor(attribute: AttributeType) -> Option<Self> {
        Some(match attribute {
            AttributeType::ASSIGNED_CONNECTION_ID => Self::ASSIGNED_CONNECTION_ID,
            AttributeType::PSEUDOWIRE_CAPABILITIES => Self::PSEUDOWIRE_CAPABILITIES,
            AttributeType::LOCAL_SESSION_ID => Self::LOCAL_SESSION_ID,
            AttributeType::REMOTE_SESSION_ID => Self::REMOTE_SESSION_ID,
            AttributeType::ASSIGNED_COOKIE => Self::ASSIGNED_COOKIE,
            AttributeType::REMOTE_END_ID => Self::REMOTE_END_ID,
            AttributeType::PSEUDOWIRE_TYPE => Self::PSEUDOWIRE_TYPE,
            AttributeType::CIRCUIT_STATUS => Self::CIRCUIT_STATUS,
            AttributeType::INTERFACE_MTU => Self::INTERFACE_MTU,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_draft_avp_with_a_predecessor_leads_back_to_itself() {
        for number in 0..200 {
            if let Some(draft) = CiscoAttribute::predecessor(AttributeType(number)) {
                assert_eq!(draft.successor(), Some(AttributeType(number)));
            }
        }
    }

    #[test]
    fn an_unnamed_number_prints_as_a_number() {
        assert_eq!(alloc::format!("{}", AttributeType(999)), "999");
        assert_eq!(alloc::format!("{:?}", AttributeType::ROUTER_ID), "AttributeType(60 Router ID)");
    }
}
