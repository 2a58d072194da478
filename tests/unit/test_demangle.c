/* SPDX-License-Identifier: MIT */
/* demangle.h, name by name; test_elf_tools.py compares whole libraries with c++filt. */
#include "pspy/naming/demangle.h"
#include "unit/tap.h"

static const struct {
    const char *symbol, *wanted;
} rows[] = {
    /* C names, also such that look mangled */
    {"main", "main"},
    {"", ""},
    {"_ReadInput", "_ReadInput"},
    {"_Rb_tree", "_Rb_tree"},
    {"_R", "_R"},
    {"_Z", "_Z"},
    {"_Zebra", "_Zebra"},
    {"__Zone_alloc", "__Zone_alloc"},
    {"_ZN", "_ZN"},
    {"foo::h0123456789abcdef", "foo::h0123456789abcdef"},
    /* C++ */
    {"_Z3foov", "foo()"},
    {"_ZN3Foo3barEi", "Foo::bar(int)"},
    {"_ZNSt6vectorIiSaIiEE9push_backEOi",
     "std::vector<int, std::allocator<int> >::push_back(int&&)"},
    {"_ZZ4mainENKUlvE_clEv", "main::{lambda()#1}::operator()() const"},
    {"_ZThn16_N3Foo3barEv", "non-virtual thunk to Foo::bar()"},
    /* Rust, legacy and v0 */
    {"_ZN4core3ptr13drop_in_place17h0123456789abcdefE", "core::ptr::drop_in_place"},
    {"_ZN52_$LT$cold..cold..Bar$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE",
     "<cold::cold::Bar as core::fmt::Debug>::fmt"},
    {"_ZN3foo3bar17h0123456789abcdefE.llvm.12345", "foo::bar"},
    {"_RNvCs1234_7mycrate3foo", "mycrate::foo"},
    {"_RNvCs1234_7mycrate3foo.llvm.999", "mycrate::foo"},
    /* gfortran */
    {"__grid_MOD_step", "grid::step"},
    {"__my_grid_MOD_do_step.constprop.0", "my_grid::do_step"},
    {"__grid_MOD_step._omp_fn.0", "grid::step._omp_fn.0"},
    {"__grid_MOD_step@plt", "grid::step@plt"},
    {"grid_MOD_step", "grid_MOD_step"},
    {"___MOD_step", "___MOD_step"},
    {"__grid_MOD_", "__grid_MOD_"},
    {"step_", "step_"},
    /* versions */
    {"memcpy@@GLIBC_2.14", "memcpy"},
    {"memcpy@GLIBC_2.2.5", "memcpy"},
    {"_Z3foov@@V_1", "foo()"},
    {"@", "@"},
    /* stubs */
    {"malloc@plt", "malloc@plt"},
    {"_Z3foov@plt", "foo()@plt"},
    {"@plt", "@plt"},
    {"foo@plt2", "foo"},
    /* clones */
    {"foo.cold", "foo"},
    {"foo.cold.12", "foo"},
    {"foo.part.0", "foo"},
    {"foo.constprop.0", "foo"},
    {"foo.isra.0", "foo"},
    {"foo.lto_priv.0", "foo"},
    {"foo.llvm.1234567890", "foo"},
    {"foo.clone.3", "foo"},
    {"foo.warm", "foo"},
    {"foo.__uniq.123456789", "foo"},
    {"foo.specialized.1", "foo"},
    {"foo.constprop.0.isra.1.part.2.cold", "foo"},
    {"foo.lto_priv.0.lto_priv.0", "foo"},
    {"_Z3foov.part.0", "foo()"},
    {"_Z3foov.isra.0.cold", "foo()"},
    {"_ZN3Foo3barEi.constprop.0@@V_1", "Foo::bar(int)"},
    /* no clones */
    {"foo.coldness", "foo.coldness"},
    {"foo.cold.start", "foo.cold.start"},
    {"foo.partial.0", "foo.partial.0"},
    {"foo.part", "foo.part"},
    {"foo.part.", "foo.part."},
    {"foo.part.x", "foo.part.x"},
    {"icold", "icold"},
    {".cold", ".cold"},
    {".cold.0", ".cold.0"},
    {"foo.5", "foo.5"},
    {"12", "12"},
    {".12", ".12"},
};

int main(void)
{
    struct strbuf text = STRBUF_INIT;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        strbuf_reset(&text);
        demangle(rows[i].symbol, &text);
        tap_is_str(text.text, rows[i].wanted, rows[i].symbol);
    }
    strbuf_reset(&text);
    strbuf_add_text(&text, "in ");
    demangle("_Z3foov", &text);
    tap_is_str(text.text, "in foo()", "the name is appended");
    strbuf_deinit(&text);
    return tap_done();
}
