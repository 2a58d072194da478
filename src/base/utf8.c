/* SPDX-License-Identifier: MIT */
#include "pspy/base/utf8.h"

/* Lead byte ranges with what the second byte may be: this excludes overlong forms (C0, C1, E0 80,
 * F0 80), surrogates (ED A0) and what lies beyond U+10FFFF (F4 90). */
static const struct lead {
    uint8_t first, last;
    uint8_t second_min, second_max;
    uint8_t continuation; /* bytes after the lead */
    uint8_t bits;         /* mask of the lead's payload */
} leads[] = {
    {0xc2, 0xdf, 0x80, 0xbf, 1, 0x1f}, {0xe0, 0xe0, 0xa0, 0xbf, 2, 0x0f},
    {0xe1, 0xec, 0x80, 0xbf, 2, 0x0f}, {0xed, 0xed, 0x80, 0x9f, 2, 0x0f},
    {0xee, 0xef, 0x80, 0xbf, 2, 0x0f}, {0xf0, 0xf0, 0x90, 0xbf, 3, 0x07},
    {0xf1, 0xf3, 0x80, 0xbf, 3, 0x07}, {0xf4, 0xf4, 0x80, 0x8f, 3, 0x07},
};

static const struct lead *find_lead(uint8_t byte)
{
    for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++)
        if (byte >= leads[i].first && byte <= leads[i].last)
            return &leads[i];
    return NULL;
}

uint32_t utf8_next(const char **text)
{
    const unsigned char *at = (const unsigned char *)*text;
    const struct lead *lead;
    uint32_t code;

    *text += 1;
    if (at[0] < 0x80)
        return at[0];
    lead = find_lead(at[0]);
    if (!lead || at[1] < lead->second_min || at[1] > lead->second_max)
        return UTF8_REPLACEMENT;
    code = (uint32_t)(at[0] & lead->bits) << 6 | (at[1] & 0x3f);
    for (int i = 2; i <= lead->continuation; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return UTF8_REPLACEMENT;
        code = code << 6 | (at[i] & 0x3f);
    }
    *text += lead->continuation;
    return code;
}

size_t utf8_encode(uint32_t code, char ret[4])
{
    if (code < 0x80) {
        ret[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        ret[0] = (char)(0xc0 | code >> 6);
        ret[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        ret[0] = (char)(0xe0 | code >> 12);
        ret[1] = (char)(0x80 | (code >> 6 & 0x3f));
        ret[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    ret[0] = (char)(0xf0 | code >> 18);
    ret[1] = (char)(0x80 | (code >> 12 & 0x3f));
    ret[2] = (char)(0x80 | (code >> 6 & 0x3f));
    ret[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

size_t utf8_count(const char *text)
{
    size_t count = 0;

    while (*text) {
        utf8_next(&text);
        count++;
    }
    return count;
}
