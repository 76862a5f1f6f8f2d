use super::open_number;

open_number! {
    /// The type of a control message, RFC 3931 §3.1.
    MessageType(u16) {
        /// Start-Control-Connection-Request.
        SCCRQ = 1, "SCCRQ";
        /// Start-Control-Connection-Reply.
        SCCRP = 2, "SCCRP";
        /// Start-Control-Connection-Connected.
        SCCCN = 3, "SCCCN";
        /// Stop-Control-Connection-Notification.
        STOP_CCN = 4, "StopCCN";
        /// Keepalive.
        HELLO = 6, "HELLO";
        /// Outgoing-Call-Request.
        OCRQ = 7, "OCRQ";
        /// Outgoing-Call-Reply.
        OCRP = 8, "OCRP";
        /// Outgoing-Call-Connected.
        OCCN = 9, "OCCN";
        /// Incoming-Call-Request.
        ICRQ = 10, "ICRQ";
        /// Incoming-Call-Reply.
        ICRP = 11, "ICRP";
        /// Incoming-Call-Connected.
        ICCN = 12, "ICCN";
        /// Call-Disconnect-Notify.
        CDN = 14, "CDN";
        /// WAN-Error-Notify.
        WEN = 15, "WEN";
        /// Set-Link-Info.
        SLI = 16, "SLI";
        /// Modem status, RFC 3573.
        MDMST = 17, "MDMST";
        /// Service relay request, RFC 3817.
        SRRQ = 18, "SRRQ";
        /// Service relay reply, RFC 3817.
        SRRP = 19, "SRRP";
        /// Explicit acknowledgement.
        ACK = 20, "ACK";
        /// Failover session query, RFC 4951.
        FSQ = 21, "FSQ";
        /// Failover session response, RFC 4951.
        FSR = 22, "FSR";
        /// Connect speed update notification, RFC 5515.
        CSUN = 28, "CSUN";
        /// Connect speed update request, RFC 5515.
        CSURQ = 29, "CSURQ";
    }
}

impl MessageType {
    /// Returns whether the message belongs to a session: its faults end the session, not the connection.
    pub const fn is_session(self) -> bool {
        matches!(
            self,
            Self::OCRQ
                | Self::OCRP
                | Self::OCCN
                | Self::ICRQ
                | Self::ICRP
                | Self::ICCN
                | Self::CDN
                | Self::WEN
                | Self::SLI
        )
    }
}
