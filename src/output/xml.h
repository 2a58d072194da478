/* SPDX-License-Identifier: MIT */
/* Text into XML 1.0: escaped, without what XML forbids even as a reference (most control
 * characters). */
#ifndef PSPY_OUTPUT_XML_H
#define PSPY_OUTPUT_XML_H

#include <stddef.h>

#include "pspy/output/sink.h"

void xml_text(struct sink *sink, const char *text);
/* At most `columns` columns of monospaced text, "…" in the place of what is cut at the end. */
void xml_text_fit(struct sink *sink, const char *text, size_t columns);
/* The same, cut in the middle: a command line's end says as much as its beginning. */
void xml_text_middle(struct sink *sink, const char *text, size_t columns);

#endif
