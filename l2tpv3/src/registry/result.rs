use super::open_number;

open_number! {
    /// Why a control connection ends, RFC 3931 §5.4.2.
    StopResult(u16) {
        /// General request to clear the connection.
        CLEARED = 1, "general request to clear";
        /// See the error code.
        GENERAL_ERROR = 2, "general error";
        /// A control connection exists already.
        EXISTS = 3, "control connection exists";
        /// The requester is not authorised.
        NOT_AUTHORISED = 4, "not authorised";
        /// The version is not supported; the error code is the highest that is.
        BAD_VERSION = 5, "protocol version not supported";
        /// The requester is being shut down.
        SHUTTING_DOWN = 6, "shutting down";
        /// State machine error or time-out.
        STATE_ERROR = 7, "state machine error or timeout";
    }
}

open_number! {
    /// Why a session ends, RFC 3931 §5.4.2 and the pseudowire RFCs.
    CdnResult(u16) {
        /// Loss of carrier.
        CARRIER_LOST = 1, "carrier lost";
        /// See the error code.
        GENERAL_ERROR = 2, "general error";
        /// Administrative.
        ADMINISTRATIVE = 3, "administrative";
        /// No facility, for now.
        NO_FACILITY = 4, "no facility (temporary)";
        /// No facility at all.
        NO_FACILITY_EVER = 5, "no facility (permanent)";
        /// The tie was lost.
        LOST_TIE = 13, "lost the tie";
        /// The pseudowire type is not supported.
        UNSUPPORTED_PSEUDOWIRE = 14, "unsupported pseudowire type";
        /// Sequencing asked for without a sublayer.
        SEQUENCING_WITHOUT_SUBLAYER = 15, "sequencing without sublayer";
        /// State machine error or time-out.
        STATE_ERROR = 16, "state machine error or timeout";
        /// The frame relay PVC was deleted, RFC 4591.
        FRAME_RELAY_DELETED = 17, "FR PVC deleted";
        /// The frame relay PVC was inactive too long, RFC 4591.
        FRAME_RELAY_INACTIVE = 18, "FR PVC inactive too long";
        /// The frame relay header lengths differ, RFC 4591.
        FRAME_RELAY_HEADER = 19, "mismatched FR header length";
        /// The HDLC link was deleted, RFC 4349.
        HDLC_DELETED = 20, "HDLC link deleted";
        /// The HDLC link was inactive too long, RFC 4349.
        HDLC_INACTIVE = 21, "HDLC link inactive too long";
        /// The interface MTUs differ, RFC 4667.
        MTU_MISMATCH = 23, "mismatching interface MTU";
        /// No such forwarder, RFC 4667.
        UNKNOWN_FORWARDER = 24, "unknown forwarder";
        /// The forwarder is not authorised, RFC 4667.
        UNAUTHORISED_FORWARDER = 25, "unauthorised forwarder";
    }
}

open_number! {
    /// What a general error was, RFC 3931 §5.4.2.
    ErrorCode(u16) {
        /// No general error.
        NONE = 0, "no error";
        /// There is no control connection yet.
        NO_CONNECTION = 1, "no control connection";
        /// A length is wrong.
        LENGTH = 2, "wrong length";
        /// A value is out of range.
        RANGE = 3, "value out of range";
        /// Resources are short for now.
        RESOURCES = 4, "insufficient resources";
        /// The session id is not known.
        SESSION_ID = 5, "invalid session id";
        /// Something of the vendor's.
        VENDOR = 6, "vendor specific";
        /// Try another responder.
        TRY_ANOTHER = 7, "try another";
        /// An AVP with the M bit was not known.
        UNKNOWN_AVP = 8, "unknown mandatory AVP";
        /// Try another responder, named in the text.
        TRY_ANOTHER_DIRECTED = 9, "try another directed";
    }
}
