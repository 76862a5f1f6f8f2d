//! Numbers of phase 1: attributes of an ISAKMP SA.

use super::number::open_number;

open_number! {
    /// Class of an attribute of a phase 1 transform (RFC 2409 appendix A).
    IkeAttribute(u16) {
        ENCRYPTION_ALGORITHM = 1, "Encryption Algorithm";
        HASH_ALGORITHM = 2, "Hash Algorithm";
        AUTHENTICATION_METHOD = 3, "Authentication Method";
        GROUP_DESCRIPTION = 4, "Group Description";
        GROUP_TYPE = 5, "Group Type";
        GROUP_PRIME = 6, "Group Prime/Irreducible Polynomial";
        GROUP_GENERATOR_ONE = 7, "Group Generator One";
        GROUP_GENERATOR_TWO = 8, "Group Generator Two";
        GROUP_CURVE_A = 9, "Group Curve A";
        GROUP_CURVE_B = 10, "Group Curve B";
        LIFE_TYPE = 11, "Life Type";
        LIFE_DURATION = 12, "Life Duration";
        PRF = 13, "PRF";
        KEY_LENGTH = 14, "Key Length";
        FIELD_SIZE = 15, "Field Size";
        GROUP_ORDER = 16, "Group Order";
        GSS_IDENTITY_NAME = 16384, "GSS Identity Name";
    }
}

open_number! {
    /// Encryption algorithm of phase 1 (RFC 2409 appendix A).
    IkeCipher(u16) {
        DES_CBC = 1, "DES-CBC";
        IDEA_CBC = 2, "IDEA-CBC";
        BLOWFISH_CBC = 3, "Blowfish-CBC";
        RC5_R16_B64_CBC = 4, "RC5-R16-B64-CBC";
        TRIPLE_DES_CBC = 5, "3DES-CBC";
        CAST_CBC = 6, "CAST-CBC";
        AES_CBC = 7, "AES-CBC";
        CAMELLIA_CBC = 8, "CAMELLIA-CBC";
        SERPENT_CBC = 65004, "Serpent-CBC (private, libreswan)";
        TWOFISH_CBC = 65005, "Twofish-CBC (private, libreswan)";
    }
}

open_number! {
    /// Hash algorithm of phase 1 (RFC 2409 appendix A).
    IkeHash(u16) {
        MD5 = 1, "MD5";
        SHA1 = 2, "SHA-1";
        TIGER = 3, "Tiger";
        SHA2_256 = 4, "SHA2-256";
        SHA2_384 = 5, "SHA2-384";
        SHA2_512 = 6, "SHA2-512";
    }
}

open_number! {
    /// Authentication method of phase 1, with the numbers of XAUTH and hybrid authentication (RFC 2409 appendix A).
    AuthMethod(u16) {
        PRE_SHARED_KEY = 1, "pre-shared key";
        DSS_SIGNATURES = 2, "DSS signatures";
        RSA_SIGNATURES = 3, "RSA signatures";
        RSA_ENCRYPTION = 4, "Encryption with RSA";
        RSA_REVISED_ENCRYPTION = 5, "Revised encryption with RSA";
        EL_GAMAL_ENCRYPTION = 6, "Encryption with El-Gamal";
        EL_GAMAL_REVISED_ENCRYPTION = 7, "Revised encryption with El-Gamal";
        ECDSA_SIGNATURES = 8, "ECDSA signatures";
        ECDSA_P256 = 9, "ECDSA SHA-256 P-256";
        ECDSA_P384 = 10, "ECDSA SHA-384 P-384";
        ECDSA_P521 = 11, "ECDSA SHA-512 P-521";
        HYBRID_INIT_RSA = 64221, "HybridInitRSA";
        HYBRID_RESP_RSA = 64222, "HybridRespRSA";
        HYBRID_INIT_DSS = 64223, "HybridInitDSS";
        HYBRID_RESP_DSS = 64224, "HybridRespDSS";
        XAUTH_INIT_PRE_SHARED = 65001, "XAUTHInitPreShared";
        XAUTH_RESP_PRE_SHARED = 65002, "XAUTHRespPreShared";
        XAUTH_INIT_DSS = 65003, "XAUTHInitDSS";
        XAUTH_RESP_DSS = 65004, "XAUTHRespDSS";
        XAUTH_INIT_RSA = 65005, "XAUTHInitRSA";
        XAUTH_RESP_RSA = 65006, "XAUTHRespRSA";
        XAUTH_INIT_RSA_ENCRYPTION = 65007, "XAUTHInitRSAEncryption";
        XAUTH_RESP_RSA_ENCRYPTION = 65008, "XAUTHRespRSAEncryption";
        XAUTH_INIT_RSA_REVISED_ENCRYPTION = 65009, "XAUTHInitRSARevisedEncryption";
        XAUTH_RESP_RSA_REVISED_ENCRYPTION = 65010, "XAUTHRespRSARevisedEncryption";
    }
}

open_number! {
    /// Diffie-Hellman group (RFC 2409 §6, RFC 3526, RFC 5114, RFC 5903).
    Group(u16) {
        MODP_768 = 1, "MODP-768";
        MODP_1024 = 2, "MODP-1024";
        EC2N_155 = 3, "EC2N-155";
        EC2N_185 = 4, "EC2N-185";
        MODP_1536 = 5, "MODP-1536";
        EC2N_163_RANDOM = 6, "EC2N-163 (random)";
        EC2N_163_KOBLITZ = 7, "EC2N-163 (Koblitz)";
        EC2N_283_RANDOM = 8, "EC2N-283 (random)";
        EC2N_283_KOBLITZ = 9, "EC2N-283 (Koblitz)";
        EC2N_409_RANDOM = 10, "EC2N-409 (random)";
        EC2N_409_KOBLITZ = 11, "EC2N-409 (Koblitz)";
        EC2N_571_RANDOM = 12, "EC2N-571 (random)";
        EC2N_571_KOBLITZ = 13, "EC2N-571 (Koblitz)";
        MODP_2048 = 14, "MODP-2048";
        MODP_3072 = 15, "MODP-3072";
        MODP_4096 = 16, "MODP-4096";
        MODP_6144 = 17, "MODP-6144";
        MODP_8192 = 18, "MODP-8192";
        ECP_256 = 19, "ECP-256";
        ECP_384 = 20, "ECP-384";
        ECP_521 = 21, "ECP-521";
        MODP_1024_160 = 22, "MODP-1024-160";
        MODP_2048_224 = 23, "MODP-2048-224";
        MODP_2048_256 = 24, "MODP-2048-256";
        ECP_192 = 25, "ECP-192";
        ECP_224 = 26, "ECP-224";
        BRAINPOOL_P224R1 = 27, "brainpoolP224r1";
        BRAINPOOL_P256R1 = 28, "brainpoolP256r1";
        BRAINPOOL_P384R1 = 29, "brainpoolP384r1";
        BRAINPOOL_P512R1 = 30, "brainpoolP512r1";
    }
}

open_number! {
    /// Form of a Diffie-Hellman group (RFC 2409 appendix A).
    GroupType(u16) {
        MODP = 1, "MODP";
        ECP = 2, "ECP";
        EC2N = 3, "EC2N";
    }
}

open_number! {
    /// Unit of a lifetime, the same in both phases (RFC 2409 appendix A, RFC 2407 §4.5).
    LifeType(u16) {
        SECONDS = 1, "seconds";
        KILOBYTES = 2, "kilobytes";
    }
}
