//! Numbers of the ISAKMP header and payloads.

use super::number::open_number;

open_number! {
    /// Kind of exchange, in the ISAKMP header (RFC 2408 §3.1, RFC 2409 appendix A).
    ExchangeType(u8) {
        NONE = 0, "NONE";
        BASE = 1, "Base";
        MAIN = 2, "Identity Protection (Main Mode)";
        AUTHENTICATION_ONLY = 3, "Authentication Only";
        AGGRESSIVE = 4, "Aggressive";
        INFORMATIONAL = 5, "Informational";
        TRANSACTION = 6, "Transaction (Config Mode)";
        QUICK = 32, "Quick Mode";
        NEW_GROUP = 33, "New Group Mode";
        ACKNOWLEDGED_INFORMATIONAL = 34, "Acknowledged Informational";
        AUTHIP_MAIN_MODE = 243, "AuthIP Main Mode";
        AUTHIP_QUICK_MODE = 244, "AuthIP Quick Mode";
        AUTHIP_EXTENDED_MODE = 245, "AuthIP Extended Mode";
    }
}

open_number! {
    /// Kind of payload, as the next-payload octet before it names it (RFC 2408 §3.1, RFC 3947 §3.2 and §5.2).
    PayloadType(u8) {
        NONE = 0, "NONE";
        SA = 1, "SA";
        PROPOSAL = 2, "Proposal";
        TRANSFORM = 3, "Transform";
        KEY_EXCHANGE = 4, "Key Exchange";
        IDENTIFICATION = 5, "Identification";
        CERTIFICATE = 6, "Certificate";
        CERTIFICATE_REQUEST = 7, "Certificate Request";
        HASH = 8, "Hash";
        SIGNATURE = 9, "Signature";
        NONCE = 10, "Nonce";
        NOTIFICATION = 11, "Notification";
        DELETE = 12, "Delete";
        VENDOR_ID = 13, "Vendor ID";
        ATTRIBUTES = 14, "Attributes (config mode)";
        SA_KEK = 15, "SA KEK";
        SA_TEK = 16, "SA TEK";
        KEY_DOWNLOAD = 17, "Key Download";
        SEQUENCE_NUMBER = 18, "Sequence Number";
        PROOF_OF_POSSESSION = 19, "Proof of Possession";
        NAT_D = 20, "NAT-D (RFC 3947)";
        NAT_OA = 21, "NAT-OA (RFC 3947)";
        GROUP_ASSOCIATED_POLICY = 22, "Group Associated Policy";
        NAT_D_DRAFT = 130, "NAT-D (drafts 00-03)";
        NAT_OA_DRAFT = 131, "NAT-OA (drafts 00-03)";
        FRAGMENT = 132, "IKE Fragment (Cisco/Microsoft)";
    }
}

open_number! {
    /// Domain of interpretation (RFC 2407 §2).
    Doi(u32) {
        ISAKMP = 0, "ISAKMP";
        IPSEC = 1, "IPSEC";
    }
}

open_number! {
    /// Protocol that an SA, a notification or a deletion is about (RFC 2407 §4.4.1).
    ProtocolId(u8) {
        RESERVED = 0, "RESERVED";
        ISAKMP = 1, "ISAKMP";
        AH = 2, "IPSEC_AH";
        ESP = 3, "IPSEC_ESP";
        IPCOMP = 4, "IPCOMP";
    }
}

open_number! {
    /// Form of an identity (RFC 2407 §4.6.2.1; ID_LIST: RFC 3554).
    IdType(u8) {
        RESERVED = 0, "RESERVED";
        IPV4_ADDR = 1, "ID_IPV4_ADDR";
        FQDN = 2, "ID_FQDN";
        USER_FQDN = 3, "ID_USER_FQDN";
        IPV4_ADDR_SUBNET = 4, "ID_IPV4_ADDR_SUBNET";
        IPV6_ADDR = 5, "ID_IPV6_ADDR";
        IPV6_ADDR_SUBNET = 6, "ID_IPV6_ADDR_SUBNET";
        IPV4_ADDR_RANGE = 7, "ID_IPV4_ADDR_RANGE";
        IPV6_ADDR_RANGE = 8, "ID_IPV6_ADDR_RANGE";
        DER_ASN1_DN = 9, "ID_DER_ASN1_DN";
        DER_ASN1_GN = 10, "ID_DER_ASN1_GN";
        KEY_ID = 11, "ID_KEY_ID";
        LIST = 12, "ID_LIST";
    }
}

open_number! {
    /// Form of a certificate (RFC 2408 §3.9).
    CertificateEncoding(u8) {
        NONE = 0, "NONE";
        PKCS7 = 1, "PKCS7 wrapped X.509";
        PGP = 2, "PGP";
        DNS_SIGNED_KEY = 3, "DNS signed key";
        X509_SIGNATURE = 4, "X.509 signature";
        X509_KEY_EXCHANGE = 5, "X.509 key exchange";
        KERBEROS_TOKENS = 6, "Kerberos tokens";
        CRL = 7, "CRL";
        ARL = 8, "ARL";
        SPKI = 9, "SPKI";
        X509_ATTRIBUTE = 10, "X.509 attribute";
    }
}

open_number! {
    /// What a notification says (RFC 2408 §3.14.1, RFC 2407 §4.6.3, RFC 3706 §5.2, makers' own).
    NotifyType(u16) {
        INVALID_PAYLOAD_TYPE = 1, "INVALID-PAYLOAD-TYPE";
        DOI_NOT_SUPPORTED = 2, "DOI-NOT-SUPPORTED";
        SITUATION_NOT_SUPPORTED = 3, "SITUATION-NOT-SUPPORTED";
        INVALID_COOKIE = 4, "INVALID-COOKIE";
        INVALID_MAJOR_VERSION = 5, "INVALID-MAJOR-VERSION";
        INVALID_MINOR_VERSION = 6, "INVALID-MINOR-VERSION";
        INVALID_EXCHANGE_TYPE = 7, "INVALID-EXCHANGE-TYPE";
        INVALID_FLAGS = 8, "INVALID-FLAGS";
        INVALID_MESSAGE_ID = 9, "INVALID-MESSAGE-ID";
        INVALID_PROTOCOL_ID = 10, "INVALID-PROTOCOL-ID";
        INVALID_SPI = 11, "INVALID-SPI";
        INVALID_TRANSFORM_ID = 12, "INVALID-TRANSFORM-ID";
        ATTRIBUTES_NOT_SUPPORTED = 13, "ATTRIBUTES-NOT-SUPPORTED";
        NO_PROPOSAL_CHOSEN = 14, "NO-PROPOSAL-CHOSEN";
        BAD_PROPOSAL_SYNTAX = 15, "BAD-PROPOSAL-SYNTAX";
        PAYLOAD_MALFORMED = 16, "PAYLOAD-MALFORMED";
        INVALID_KEY_INFORMATION = 17, "INVALID-KEY-INFORMATION";
        INVALID_ID_INFORMATION = 18, "INVALID-ID-INFORMATION";
        INVALID_CERT_ENCODING = 19, "INVALID-CERT-ENCODING";
        INVALID_CERTIFICATE = 20, "INVALID-CERTIFICATE";
        CERT_TYPE_UNSUPPORTED = 21, "CERT-TYPE-UNSUPPORTED";
        INVALID_CERT_AUTHORITY = 22, "INVALID-CERT-AUTHORITY";
        INVALID_HASH_INFORMATION = 23, "INVALID-HASH-INFORMATION";
        AUTHENTICATION_FAILED = 24, "AUTHENTICATION-FAILED";
        INVALID_SIGNATURE = 25, "INVALID-SIGNATURE";
        ADDRESS_NOTIFICATION = 26, "ADDRESS-NOTIFICATION";
        NOTIFY_SA_LIFETIME = 27, "NOTIFY-SA-LIFETIME";
        CERTIFICATE_UNAVAILABLE = 28, "CERTIFICATE-UNAVAILABLE";
        UNSUPPORTED_EXCHANGE_TYPE = 29, "UNSUPPORTED-EXCHANGE-TYPE";
        UNEQUAL_PAYLOAD_LENGTHS = 30, "UNEQUAL-PAYLOAD-LENGTHS";
        CHECKPOINT_ERROR = 9101, "CHECKPOINT-ERROR";
        CONNECTED = 16384, "CONNECTED";
        RESPONDER_LIFETIME = 24576, "RESPONDER-LIFETIME";
        REPLAY_STATUS = 24577, "REPLAY-STATUS";
        INITIAL_CONTACT = 24578, "INITIAL-CONTACT";
        CISCO_HELLO = 30000, "CISCO-HELLO";
        CISCO_WWTEBR = 30001, "CISCO-WWTEBR";
        CISCO_SHUT_UP = 30002, "CISCO-SHUT-UP";
        CISCO_KEEPALIVE = 32768, "CISCO-KEEPALIVE";
        CISCO_KEEPALIVE_ACK = 32769, "CISCO-KEEPALIVE-ACK";
        R_U_THERE = 36136, "R-U-THERE";
        R_U_THERE_ACK = 36137, "R-U-THERE-ACK";
        NETSCREEN_NEXT_HOP = 40001, "NETSCREEN-NEXT-HOP";
        UNITY_HEARTBEAT = 40500, "UNITY-HEARTBEAT";
        UNITY_LOAD_BALANCE = 40501, "UNITY-LOAD-BALANCE";
        UNITY_40502 = 40502, "UNITY-40502";
        UNITY_GROUP_HASH = 40503, "UNITY-GROUP-HASH";
    }
}
