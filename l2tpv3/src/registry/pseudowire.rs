use super::open_number;

open_number! {
    /// What a session carries, RFC 3931 §5.4.4.
    PseudowireType(u16) {
        /// Frame Relay, RFC 4591.
        FRAME_RELAY = 1, "Frame Relay DLCI";
        /// ATM AAL5 SDU, RFC 4454.
        ATM_AAL5 = 2, "ATM AAL5";
        /// ATM cells of a port, RFC 4454.
        ATM_PORT = 3, "ATM port";
        /// Ethernet frames of one VLAN, RFC 4719.
        ETHERNET_VLAN = 4, "Ethernet VLAN";
        /// Ethernet frames of a port, RFC 4719.
        ETHERNET = 5, "Ethernet";
        /// HDLC, RFC 4349.
        HDLC = 6, "HDLC";
        /// PPP.
        PPP = 7, "PPP";
        /// ATM cells of a VCC, RFC 4454.
        ATM_VCC = 9, "ATM VCC";
        /// ATM cells of a VPC, RFC 4454.
        ATM_VPC = 10, "ATM VPC";
        /// IP packets without framing.
        IP = 11, "IP";
        /// DOCSIS, MPEG transport stream.
        DOCSIS_MPT = 12, "DOCSIS MPT";
        /// DOCSIS, packet streaming protocol.
        DOCSIS_PSP = 13, "DOCSIS PSP";
    }
}

open_number! {
    /// What stands between the session header and the frame, RFC 3931 §5.4.4.
    SublayerType(u16) {
        /// Nothing.
        NONE = 0, "none";
        /// Four octets: S bit and a sequence number of 24 bits.
        DEFAULT = 1, "default";
        /// The ATM sublayer, RFC 4454.
        ATM = 2, "ATM";
    }
}

open_number! {
    /// Which frames the sender of the AVP wants numbered, RFC 3931 §5.4.4.
    SequencingLevel(u16) {
        /// No frame.
        NONE = 0, "none";
        /// Frames that do not carry IP.
        NON_IP = 1, "non-IP";
        /// Every frame.
        ALL = 2, "all";
    }
}
