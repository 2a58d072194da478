/* SPDX-License-Identifier: MIT */
/* Files of viewer/, embedded by embed.S, NUL-terminated. They hold no "]]>": they stand in CDATA.
 */
#ifndef PSPY_OUTPUT_ASSETS_H
#define PSPY_OUTPUT_ASSETS_H

extern const char asset_flamegraph_css[];
extern const char asset_flamegraph_js[];

#endif
