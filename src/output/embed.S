/* SPDX-License-Identifier: MIT */
/* The viewer's files as C strings; declared in assets.h. */
    .section .rodata

    .globl asset_flamegraph_css
asset_flamegraph_css:
    .incbin "flamegraph.css"
    .byte 0

    .globl asset_flamegraph_js
asset_flamegraph_js:
    .incbin "flamegraph.js"
    .byte 0

    .section .note.GNU-stack, "", %progbits
