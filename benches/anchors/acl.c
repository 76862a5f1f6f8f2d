/* Ordered five-field look-up by DPDK's rte_acl. Benchmarks only. One list at a time: addresses by prefix, ports by
 * range, the protocol by mask; the first rule wins. */
#define _GNU_SOURCE
#define ALLOW_EXPERIMENTAL_API
#include <arpa/inet.h>
#include <rte_acl.h>
#include <rte_cpuflags.h>
#include <rte_eal.h>
#include <rte_vect.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint32_t source, destination;
    uint16_t source_first, source_last, destination_first, destination_last;
    uint8_t source_length, destination_length, protocol, protocol_mask;
} acl_rule;

/* A packet's fields in network order, as rte_acl reads them. */
typedef struct {
    uint8_t protocol, pad[3];
    uint32_t source, destination;
    uint16_t source_port, destination_port;
} acl_key;

enum { PROTOCOL, SOURCE, DESTINATION, SOURCE_PORT, DESTINATION_PORT, FIELDS };

static const struct rte_acl_field_def definitions[FIELDS] = {
    {RTE_ACL_FIELD_TYPE_BITMASK, 1, PROTOCOL, 0, offsetof(acl_key, protocol)},
    {RTE_ACL_FIELD_TYPE_MASK, 4, SOURCE, 1, offsetof(acl_key, source)},
    {RTE_ACL_FIELD_TYPE_MASK, 4, DESTINATION, 2, offsetof(acl_key, destination)},
    {RTE_ACL_FIELD_TYPE_RANGE, 2, SOURCE_PORT, 3, offsetof(acl_key, source_port)},
    {RTE_ACL_FIELD_TYPE_RANGE, 2, DESTINATION_PORT, 3, offsetof(acl_key, destination_port)},
};

RTE_ACL_RULE_DEF(five_fields, FIELDS);

typedef struct {
    struct rte_acl_ctx *context;
    acl_key *keys;
    const uint8_t **pointers;
    size_t count;
} acl;

static int start(void) {
    static int started;
    if (started) return 1;
    char *arguments[] = {"anchor", "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "-m", "2048", "--log-level=error"};
    /* All work is on the calling thread, where it was put: its CPU stays as it is. */
    cpu_set_t here;
    if (sched_getaffinity(0, sizeof here, &here) != 0) return 0;
    if (rte_eal_init(sizeof arguments / sizeof *arguments, arguments) < 0) return 0;
    if (sched_setaffinity(0, sizeof here, &here) != 0) return 0;
    rte_vect_set_max_simd_bitwidth(RTE_VECT_SIMD_512);
    return started = 1;
}

/* Returns NULL if rte_acl refuses the list. */
acl *anchor_acl_new(const acl_rule *rules, size_t count) {
    static unsigned lists;
    if (!start()) return NULL;
    char name[16];
    name[0] = 'l';
    unsigned number = lists++;
    for (int at = 1; at < 9; at++, number >>= 4) name[at] = "0123456789abcdef"[number & 15];
    name[9] = 0;
    struct rte_acl_param parameters = {
        .name = name, .socket_id = SOCKET_ID_ANY, .rule_size = RTE_ACL_RULE_SZ(FIELDS), .max_rule_num = count};
    acl *list = calloc(1, sizeof *list);
    list->context = rte_acl_create(&parameters);
    if (!list->context) return free(list), NULL;
    for (size_t i = 0; i < count; i++) {
        struct five_fields rule;
        memset(&rule, 0, sizeof rule);
        rule.data.category_mask = 1;
        rule.data.priority = (int32_t)(count - i);
        rule.data.userdata = i + 1;
        rule.field[PROTOCOL].value.u8 = rules[i].protocol;
        rule.field[PROTOCOL].mask_range.u8 = rules[i].protocol_mask;
        rule.field[SOURCE].value.u32 = rules[i].source;
        rule.field[SOURCE].mask_range.u32 = rules[i].source_length;
        rule.field[DESTINATION].value.u32 = rules[i].destination;
        rule.field[DESTINATION].mask_range.u32 = rules[i].destination_length;
        rule.field[SOURCE_PORT].value.u16 = rules[i].source_first;
        rule.field[SOURCE_PORT].mask_range.u16 = rules[i].source_last;
        rule.field[DESTINATION_PORT].value.u16 = rules[i].destination_first;
        rule.field[DESTINATION_PORT].mask_range.u16 = rules[i].destination_last;
        if (rte_acl_add_rules(list->context, (struct rte_acl_rule *)&rule, 1) != 0) goto refused;
    }
    struct rte_acl_config config = {.num_categories = 1, .num_fields = FIELDS};
    memcpy(config.defs, definitions, sizeof definitions);
    if (rte_acl_build(list->context, &config) == 0) return list;
refused:
    rte_acl_free(list->context);
    free(list);
    return NULL;
}

/* Sets the trace: fields in host order. */
void anchor_acl_trace(acl *list, const acl_key *keys, size_t count) {
    list->keys = malloc(count * sizeof *keys + 64);
    list->pointers = malloc(count * sizeof *list->pointers);
    list->count = count;
    for (size_t i = 0; i < count; i++) {
        list->keys[i] = keys[i];
        list->keys[i].source = htonl(keys[i].source);
        list->keys[i].destination = htonl(keys[i].destination);
        list->keys[i].source_port = htons(keys[i].source_port);
        list->keys[i].destination_port = htons(keys[i].destination_port);
        list->pointers[i] = (const uint8_t *)&list->keys[i];
    }
}

enum { SCALAR, SSE, AVX2, AVX512, METHODS };

/* rte_acl takes a method as asked for, whatever the CPU: this is asked before. */
static int has(int method) {
    switch (method) {
    case SCALAR:
        return 1;
    case SSE:
        return rte_cpu_get_flag_enabled(RTE_CPUFLAG_SSE4_1) > 0;
    case AVX2:
        return rte_cpu_get_flag_enabled(RTE_CPUFLAG_AVX2) > 0 && rte_vect_get_max_simd_bitwidth() >= RTE_VECT_SIMD_256;
    case AVX512:
        return rte_cpu_get_flag_enabled(RTE_CPUFLAG_AVX512F) > 0 && rte_cpu_get_flag_enabled(RTE_CPUFLAG_AVX512VL) > 0 &&
               rte_cpu_get_flag_enabled(RTE_CPUFLAG_AVX512CD) > 0 && rte_cpu_get_flag_enabled(RTE_CPUFLAG_AVX512BW) > 0 &&
               rte_vect_get_max_simd_bitwidth() >= RTE_VECT_SIMD_512;
    default:
        return 0;
    }
}

/* Looks `count` packets of the trace up from `first` on, `burst` a call; a result is the rule's place from 1, or 0.
 * Returns -1 if this CPU lacks what `method` needs, or rte_acl refuses it. */
int anchor_acl_run(acl *list, size_t first, size_t count, size_t burst, int method, uint32_t *results) {
    static const enum rte_acl_classify_alg methods[METHODS] = {RTE_ACL_CLASSIFY_SCALAR, RTE_ACL_CLASSIFY_SSE,
                                                               RTE_ACL_CLASSIFY_AVX2, RTE_ACL_CLASSIFY_AVX512X32};
    if (!has(method) || first + count > list->count || count % burst != 0) return -1;
    for (size_t i = 0; i < count; i += burst)
        if (rte_acl_classify_alg(list->context, list->pointers + first + i, results + i, burst, 1, methods[method]) != 0)
            return -1;
    return 0;
}

void anchor_acl_free(acl *list) {
    rte_acl_free(list->context);
    free(list->keys);
    free(list->pointers);
    free(list);
}
