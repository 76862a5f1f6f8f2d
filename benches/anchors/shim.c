/* ESP by Intel ipsec-mb and by OpenSSL, as fast as each does it: framing, IV and padding are in place, keys
 * and HMAC states are ready. Benchmarks only. Packets of a batch have one length and one key, and stand
 * `stride` octets apart: SPI, sequence number, IV, text, ICV. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <intel-ipsec-mb.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CIPHER_AES128_CBC = 1, CIPHER_AES256_CBC = 2, CIPHER_AES192_CBC = 3, CIPHER_AES128_GCM = 5 };
enum { HASH_NONE = 0, HASH_SHA1 = 1, HASH_SHA256 = 2, HASH_MD5 = 3, HASH_SHA384 = 4, HASH_SHA512 = 5 };
enum { HEADER = 8, MAX_BATCH = 128 };

typedef struct {
    uint8_t *base;
    size_t stride;
    int32_t count, iv, text, icv;
} batch;

static int differ(const uint8_t *a, const uint8_t *b, int n) {
    uint8_t d = 0;
    for (int i = 0; i < n; i++) d |= a[i] ^ b[i];
    return d;
}

/* ---- ipsec-mb ---- */

static IMB_MGR *manager;

typedef struct {
    uint8_t enc[16 * 15] __attribute__((aligned(64)));
    uint8_t dec[16 * 15] __attribute__((aligned(64)));
    uint8_t ipad[64] __attribute__((aligned(64)));
    uint8_t opad[64] __attribute__((aligned(64)));
    struct gcm_key_data gcm __attribute__((aligned(64)));
    uint8_t salt[4];
    int cipher, hash, key_len;
} mb_sa;

void *anchor_mb_new(int cipher, int hash, const uint8_t *key, int key_len, const uint8_t *auth, int auth_len,
                    const uint8_t *salt) {
    if (cipher == CIPHER_AES192_CBC || hash > HASH_SHA256) return NULL;
    if (!manager) {
        IMB_ARCH arch;
        manager = alloc_mb_mgr(0);
        if (!manager) return NULL;
        init_mb_mgr_auto(manager, &arch);
    }
    mb_sa *sa = aligned_alloc(64, (sizeof *sa + 63) & ~(size_t)63);
    if (!sa) return NULL;
    memset(sa, 0, sizeof *sa);
    sa->cipher = cipher;
    sa->hash = hash;
    sa->key_len = key_len;
    memcpy(sa->salt, salt, 4);
    if (cipher == CIPHER_AES128_CBC) IMB_AES_KEYEXP_128(manager, key, sa->enc, sa->dec);
    if (cipher == CIPHER_AES256_CBC) IMB_AES_KEYEXP_256(manager, key, sa->enc, sa->dec);
    if (cipher == CIPHER_AES128_GCM) IMB_AES128_GCM_PRE(manager, key, &sa->gcm);
    uint8_t in[64], out[64];
    memset(in, 0x36, 64);
    memset(out, 0x5c, 64);
    for (int i = 0; i < auth_len; i++) in[i] ^= auth[i], out[i] ^= auth[i];
    if (hash == HASH_SHA1) IMB_SHA1_ONE_BLOCK(manager, in, sa->ipad), IMB_SHA1_ONE_BLOCK(manager, out, sa->opad);
    if (hash == HASH_SHA256) IMB_SHA256_ONE_BLOCK(manager, in, sa->ipad), IMB_SHA256_ONE_BLOCK(manager, out, sa->opad);
    return sa;
}

static void fill(mb_sa *sa, IMB_JOB *job, uint8_t *packet, const batch *b, int open, uint8_t *tag) {
    int at = HEADER + b->iv;
    job->cipher_direction = open ? IMB_DIR_DECRYPT : IMB_DIR_ENCRYPT;
    job->chain_order = open ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
    job->src = packet;
    job->dst = packet + at;
    job->cipher_start_src_offset_in_bytes = at;
    job->msg_len_to_cipher_in_bytes = b->text;
    job->iv = packet + HEADER;
    job->iv_len_in_bytes = b->iv;
    job->key_len_in_bytes = sa->key_len;
    if (sa->cipher == CIPHER_AES128_GCM) {
        job->cipher_mode = IMB_CIPHER_GCM;
        job->enc_keys = job->dec_keys = &sa->gcm;
        memcpy(tag + 32, sa->salt, 4);
        memcpy(tag + 36, packet + HEADER, 8);
        job->iv = tag + 32;
        job->iv_len_in_bytes = 12;
        job->u.GCM.aad = packet;
        job->u.GCM.aad_len_in_bytes = HEADER;
        job->hash_alg = IMB_AUTH_AES_GMAC;
    } else {
        job->cipher_mode = IMB_CIPHER_CBC;
        job->enc_keys = sa->enc;
        job->dec_keys = sa->dec;
        job->hash_start_src_offset_in_bytes = 0;
        job->msg_len_to_hash_in_bytes = at + b->text;
        job->hash_alg = sa->hash == HASH_SHA1 ? IMB_AUTH_HMAC_SHA_1 : IMB_AUTH_HMAC_SHA_256;
        job->u.HMAC._hashed_auth_key_xor_ipad = sa->ipad;
        job->u.HMAC._hashed_auth_key_xor_opad = sa->opad;
    }
    job->auth_tag_output = open ? tag : packet + at + b->text;
    job->auth_tag_output_len_in_bytes = b->icv;
}

/* One burst; returns 0 if every packet came out right. */
int anchor_mb_run(void *state, const batch *b, int open) {
    static uint8_t tags[MAX_BATCH][64] __attribute__((aligned(64)));
    mb_sa *sa = state;
    IMB_JOB *jobs[MAX_BATCH];
    int done = 0, given = 0;
    if (b->count > MAX_BATCH) return 1;
    while (given < b->count) {
        int got = IMB_GET_NEXT_BURST(manager, b->count - given, jobs);
        for (int i = 0; i < got; i++)
            fill(sa, jobs[i], b->base + (size_t)(given + i) * b->stride, b, open, tags[given + i]);
        done += IMB_SUBMIT_BURST_NOCHECK(manager, got, jobs);
        given += got;
    }
    while (done < b->count) {
        int flushed = IMB_FLUSH_BURST(manager, b->count - done, jobs);
        if (!flushed) break;
        done += flushed;
    }
    int bad = done != b->count;
    if (open)
        for (int i = 0; i < b->count; i++)
            bad |= differ(tags[i], b->base + (size_t)i * b->stride + HEADER + b->iv + b->text, b->icv);
    return bad;
}

/* ---- OpenSSL ---- */

typedef struct {
    EVP_CIPHER_CTX *enc, *dec;
    HMAC_CTX *mac;
    int cipher;
    uint8_t salt[4];
} ssl_sa;

void *anchor_ssl_new(int cipher, int hash, const uint8_t *key, const uint8_t *auth, int auth_len, const uint8_t *salt) {
    ssl_sa *sa = calloc(1, sizeof *sa);
    if (!sa) return NULL;
    static const char *const ciphers[] = { NULL, "AES-128-CBC", "AES-256-CBC", "AES-192-CBC", NULL, "AES-128-GCM" };
    EVP_CIPHER *evp = EVP_CIPHER_fetch(NULL, ciphers[cipher], NULL);
    sa->cipher = cipher;
    memcpy(sa->salt, salt, 4);
    sa->enc = EVP_CIPHER_CTX_new();
    sa->dec = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex2(sa->enc, evp, key, NULL, NULL);
    EVP_DecryptInit_ex2(sa->dec, evp, key, NULL, NULL);
    EVP_CIPHER_CTX_set_padding(sa->enc, 0);
    EVP_CIPHER_CTX_set_padding(sa->dec, 0);
    if (hash) {
        static const char *const hashes[] = { NULL, "SHA1", "SHA2-256", "MD5", "SHA2-384", "SHA2-512" };
        sa->mac = HMAC_CTX_new();
        HMAC_Init_ex(sa->mac, auth, auth_len, EVP_MD_fetch(NULL, hashes[hash], NULL), NULL);
    }
    return sa;
}

static int ssl_gcm(ssl_sa *sa, uint8_t *packet, const batch *b, int open) {
    uint8_t nonce[12], tag[16];
    int len, at = HEADER + b->iv;
    memcpy(nonce, sa->salt, 4);
    memcpy(nonce + 4, packet + HEADER, 8);
    if (!open) {
        EVP_EncryptInit_ex2(sa->enc, NULL, NULL, nonce, NULL);
        EVP_EncryptUpdate(sa->enc, NULL, &len, packet, HEADER);
        EVP_EncryptUpdate(sa->enc, packet + at, &len, packet + at, b->text);
        EVP_EncryptFinal_ex(sa->enc, tag, &len);
        EVP_CIPHER_CTX_ctrl(sa->enc, EVP_CTRL_AEAD_GET_TAG, 16, packet + at + b->text);
        return 0;
    }
    EVP_DecryptInit_ex2(sa->dec, NULL, NULL, nonce, NULL);
    EVP_DecryptUpdate(sa->dec, NULL, &len, packet, HEADER);
    EVP_DecryptUpdate(sa->dec, packet + at, &len, packet + at, b->text);
    EVP_CIPHER_CTX_ctrl(sa->dec, EVP_CTRL_AEAD_SET_TAG, 16, packet + at + b->text);
    return EVP_DecryptFinal_ex(sa->dec, tag, &len) <= 0;
}

/* The packets one after another; returns 0 if every one came out right. */
int anchor_ssl_run(void *state, const batch *b, int open) {
    ssl_sa *sa = state;
    int bad = 0, len, at = HEADER + b->iv;
    uint8_t tag[64];
    for (int i = 0; i < b->count; i++) {
        uint8_t *packet = b->base + (size_t)i * b->stride;
        if (sa->cipher == CIPHER_AES128_GCM) {
            bad |= ssl_gcm(sa, packet, b, open);
            continue;
        }
        if (!open) {
            EVP_EncryptInit_ex2(sa->enc, NULL, NULL, packet + HEADER, NULL);
            EVP_EncryptUpdate(sa->enc, packet + at, &len, packet + at, b->text);
        }
        unsigned tag_len;
        HMAC_Init_ex(sa->mac, NULL, 0, NULL, NULL);
        HMAC_Update(sa->mac, packet, at + b->text);
        HMAC_Final(sa->mac, tag, &tag_len);
        if (!open) {
            memcpy(packet + at + b->text, tag, b->icv);
        } else {
            bad |= differ(tag, packet + at + b->text, b->icv);
            EVP_DecryptInit_ex2(sa->dec, NULL, NULL, packet + HEADER, NULL);
            EVP_DecryptUpdate(sa->dec, packet + at, &len, packet + at, b->text);
        }
    }
    return bad;
}
