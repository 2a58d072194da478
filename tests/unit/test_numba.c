/* SPDX-License-Identifier: MIT */
/* Numba's symbols, taken from Numba 0.68; live/test_numba.py has Numba read them. */

#include "../../src/naming/jitnames.h"
#include "pspy/naming/numba.h"
#include "unit/tap.h"

#define TAGS "B3v10B42c8tJTIeFIjxB2IKSgI4CrvQClcaMQ5hEEUSJJgA_3d"

static const struct {
    const char *symbol, *name; /* NULL: no name of Numba's */
} names[] = {
    {"_ZN8__main__5inner" TAGS "Edx", "__main__.inner(float64, int64)"},
    {"_ZN7cpython8__main__5inner" TAGS "Edx", "__main__.inner(float64, int64) [Python wrapper]"},
    {"cfunc._ZN8__main__5inner" TAGS "Edx", "__main__.inner(float64, int64) [C wrapper]"},
    {"_ZN3pkg7conv_2d4step" TAGS "E5ArrayIdLi2E1C7mutable7alignedE5ArrayIfLi3E1F8readonly7alignedE",
     "pkg.conv_2d.step(float64[:, ::1], float32[::1, :, :])"},
    {"_ZN8__main__1f" TAGS "E5ArrayIxLi2E1A7mutable7alignedE", "__main__.f(int64[:, :])"},
    {"_ZN5numba2np9arraymath9array_sum12_3clocals_3e14array_sum_impl" TAGS
     "E5ArrayIdLi1E1C7mutable7alignedE27omitted_28default_3dNone_29",
     "numba.np.arraymath.array_sum.<locals>.array_sum_impl(float64[::1], omitted(default=None))"},
    {"_ZN8__main__1f" TAGS "E8UniTupleIxLi2EE", "__main__.f(UniTuple<int64, 2>)"},
    {"__gufunc__._ZN13_3cdynamic_3e36__numba_parfor_gufunc_0x7efe2f3002d0" TAGS
     "E5ArrayIyLi1E1C7mutable7alignedE",
     "<dynamic>.__numba_parfor_gufunc_0x7efe2f3002d0(uint64[::1]) [gufunc]"},
    {"_ZN3foo3barEi", NULL},
    {"_ZN8__main__5inner" TAGS, NULL},
    {"_ZN", NULL},
    {"NRT_decref", NULL},
    {"", NULL},
};

static void test_kernel(void)
{
    const struct module_list none = {VEC_INIT};
    struct strbuf found = STRBUF_INIT;

    jit_name(&none, "_ZTSN4dpnp6tensor7kernels3addIdEE", &found);
    tap_is_str(found.text, "dpnp::tensor::kernels::add<double>", "a SYCL kernel");
    strbuf_deinit(&found);
}

int main(void)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct strbuf found = STRBUF_INIT;
        bool is_named = numba_name(names[i].symbol, &found);

        tap_ok(is_named == (names[i].name != NULL) &&
                   strcmp(found.text, names[i].name ? names[i].name : "") == 0,
               "%s: %s", names[i].name ? names[i].name : "no name", found.text);
        strbuf_deinit(&found);
    }
    test_kernel();
    return tap_done();
}
