//! Numbers of phase 2: transforms and attributes of IPsec SAs.

use super::number::open_number;

open_number! {
    /// Class of an attribute of a phase 2 transform (RFC 2407 §4.5).
    IpsecAttribute(u16) {
        SA_LIFE_TYPE = 1, "SA Life Type";
        SA_LIFE_DURATION = 2, "SA Life Duration";
        GROUP_DESCRIPTION = 3, "Group Description";
        ENCAPSULATION_MODE = 4, "Encapsulation Mode";
        AUTHENTICATION_ALGORITHM = 5, "Authentication Algorithm";
        KEY_LENGTH = 6, "Key Length";
        KEY_ROUNDS = 7, "Key Rounds";
        COMPRESS_DICTIONARY_SIZE = 8, "Compress Dictionary Size";
        COMPRESS_PRIVATE_ALGORITHM = 9, "Compress Private Algorithm";
        ECN_TUNNEL = 10, "ECN Tunnel";
        EXTENDED_SEQUENCE_NUMBER = 11, "Extended (64-bit) Sequence Number";
        AUTHENTICATION_KEY_LENGTH = 12, "Authentication Key Length";
        SIGNATURE_ENCODING_ALGORITHM = 13, "Signature Encoding Algorithm";
        ADDRESS_PRESERVATION = 14, "Address Preservation";
        SA_DIRECTION = 15, "SA Direction";
    }
}

open_number! {
    /// Mode of an IPsec SA (RFC 2407 §4.5, RFC 3947 §5.1).
    EncapsulationMode(u16) {
        TUNNEL = 1, "Tunnel";
        TRANSPORT = 2, "Transport";
        UDP_TUNNEL = 3, "UDP-Encapsulated-Tunnel";
        UDP_TRANSPORT = 4, "UDP-Encapsulated-Transport";
        UDP_TUNNEL_CHECK_POINT = 61440, "UDP-Encapsulated-Tunnel (Check Point)";
        UDP_TUNNEL_DRAFT = 61443, "UDP-Encapsulated-Tunnel (drafts)";
        UDP_TRANSPORT_DRAFT = 61444, "UDP-Encapsulated-Transport (drafts)";
    }
}

open_number! {
    /// Authentication algorithm of an IPsec SA (RFC 2407 §4.5).
    AuthAlgorithm(u16) {
        HMAC_MD5 = 1, "HMAC-MD5";
        HMAC_SHA = 2, "HMAC-SHA";
        DES_MAC = 3, "DES-MAC";
        KPDK = 4, "KPDK";
        HMAC_SHA2_256 = 5, "HMAC-SHA2-256";
        HMAC_SHA2_384 = 6, "HMAC-SHA2-384";
        HMAC_SHA2_512 = 7, "HMAC-SHA2-512";
        HMAC_RIPEMD = 8, "HMAC-RIPEMD";
        AES_XCBC_MAC = 9, "AES-XCBC-MAC";
        SIG_RSA = 10, "SIG-RSA";
        AES_128_GMAC = 11, "AES-128-GMAC";
        AES_192_GMAC = 12, "AES-192-GMAC";
        AES_256_GMAC = 13, "AES-256-GMAC";
    }
}

open_number! {
    /// Transform of an ISAKMP SA (RFC 2407 §4.4.2).
    IsakmpTransform(u8) {
        KEY_IKE = 1, "KEY_IKE";
    }
}

open_number! {
    /// Transform of AH (RFC 2407 §4.4.3).
    AhTransform(u8) {
        MD5 = 2, "AH_MD5";
        SHA = 3, "AH_SHA";
        DES = 4, "AH_DES";
        SHA2_256 = 5, "AH_SHA2-256";
        SHA2_384 = 6, "AH_SHA2-384";
        SHA2_512 = 7, "AH_SHA2-512";
        RIPEMD = 8, "AH_RIPEMD";
        AES_XCBC_MAC = 9, "AH_AES-XCBC-MAC";
        RSA = 10, "AH_RSA";
        AES_128_GMAC = 11, "AH_AES-128-GMAC";
        AES_192_GMAC = 12, "AH_AES-192-GMAC";
        AES_256_GMAC = 13, "AH_AES-256-GMAC";
    }
}

open_number! {
    /// Transform of ESP (RFC 2407 §4.4.4).
    EspTransform(u8) {
        RESERVED = 0, "RESERVED";
        DES_IV64 = 1, "ESP_DES_IV64";
        DES = 2, "ESP_DES";
        TRIPLE_DES = 3, "ESP_3DES";
        RC5 = 4, "ESP_RC5";
        IDEA = 5, "ESP_IDEA";
        CAST = 6, "ESP_CAST";
        BLOWFISH = 7, "ESP_BLOWFISH";
        TRIPLE_IDEA = 8, "ESP_3IDEA";
        DES_IV32 = 9, "ESP_DES_IV32";
        RC4 = 10, "ESP_RC4";
        NULL = 11, "ESP_NULL";
        AES_CBC = 12, "ESP_AES-CBC";
        AES_CTR = 13, "ESP_AES-CTR";
        AES_CCM_8 = 14, "ESP_AES-CCM_8";
        AES_CCM_12 = 15, "ESP_AES-CCM_12";
        AES_CCM_16 = 16, "ESP_AES-CCM_16";
        AES_GCM_8 = 18, "ESP_AES-GCM_8";
        AES_GCM_12 = 19, "ESP_AES-GCM_12";
        AES_GCM_16 = 20, "ESP_AES-GCM_16";
        SEED_CBC = 21, "ESP_SEED_CBC";
        CAMELLIA = 22, "ESP_CAMELLIA";
        NULL_AUTH_AES_GMAC = 23, "ESP_NULL_AUTH_AES-GMAC";
    }
}

open_number! {
    /// Transform of IPComp (RFC 2407 §4.4.5).
    IpcompTransform(u8) {
        OUI = 1, "IPCOMP_OUI";
        DEFLATE = 2, "IPCOMP_DEFLATE";
        LZS = 3, "IPCOMP_LZS";
        LZJH = 4, "IPCOMP_LZJH";
    }
}
